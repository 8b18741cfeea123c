import HotpatchSymbols

/// Which closures of an edited object are which of the baseline's.
///
/// Compilers number the closures of a function, so that one that is inserted renames all behind it. Where the function itself is what it
/// was, each of its closures is passed to what it was passed to before, whatever it does now. Where it is not, closures are matched by what
/// they are: of those of one function and one type, equal code first, wherever it stands; then what is left alone of its type between two
/// matches. What a closure captures must be the same: of the same types and, where its code is not what it was, by the same names. What is
/// derived of a closure, nested closures too, goes with it.
package struct ClosureMatch: Sendable {
    /// Maps the name of each new closure that was matched under another name to that name. A closure's symbol is the prefix of the names derived
    /// from it.
    package private(set) var names: [String: String] = [:]
    /// Closures of the baseline that the new object does not have any more, or has with other captures. Where one is stored, it stays as
    /// it is.
    package private(set) var unmatchedOld: [String] = []
    /// Closures of the new object that the baseline does not have.
    package private(set) var unmatchedNew: [String] = []

    /// What stands behind the name of one that is new, though another closure had its number.
    static let unmatchedMark = "\u{0}"

    /// Whether a name is that of something new, whoever had its number before.
    static func isUnmatched(_ name: String) -> Bool { name.utf8.contains(0) }

    /// Types of which nothing is what it was.
    private let renewed: RenewedTypes?

    init(renewed: RenewedTypes? = nil) { self.renewed = renewed }

    /// - Parameters:
    ///   - renewed: types of which nothing is what it was.
    ///   - described: what is known of the captures of a closure of the baseline and a new one.
    init(
        _ comparison: inout GraphComparison, renewed: RenewedTypes? = nil,
        described: (_ old: String, _ new: String) -> InterfaceComparison.Captures = { _, _ in .same }
    ) {
        self.renewed = renewed
        let old = Families(comparison.old)
        let new = Families(comparison.new)
        guard !old.closures.isEmpty || !new.closures.isEmpty else { return }
        // What encloses others comes first, so that the name that these have is known.
        for depth in 0...max(old.depth, new.depth) {
            var parents: [String: (old: [String], new: [String], same: Bool)] = [:]
            for closure in old.closures where old.depths[closure] == depth {
                parents[old.parents[closure]!, default: ([], [], false)].old.append(closure)
            }
            for closure in new.closures where new.depths[closure] == depth {
                parents[renamed(new.parents[closure]!), default: ([], [], false)].new.append(closure)
            }
            comparison.rename { [taken = self] in taken.renamed($0) }
            for (parent, closures) in parents {
                guard let before = closures.old.first, let after = closures.new.first else { continue }
                let bodies = (old.bodies[old.parents[before]!], new.bodies[new.parents[after]!])
                guard let mine = bodies.0, let theirs = bodies.1, mine.count == theirs.count else { continue }
                parents[parent]!.same = mine.allSatisfy { rest, piece in
                    theirs[rest].map { comparison.areEqual(piece, $0) } ?? false
                }
            }
            for key in parents.keys.sorted() {
                let parent = parents[key]!
                match(
                    parent.old.sorted(by: Self.isBefore), parent.new.sorted(by: Self.isBefore), parent.same, old, new,
                    &comparison, described)
            }
        }
        let taken = self
        comparison.rename { taken.renamed($0) }
    }

    /// The name that something of the new object goes by in the process.
    package func renamed(_ name: String) -> String {
        if let renewed = renewed?.renamed(name) { return renewed }
        guard !names.isEmpty else { return name }
        for end in Self.closureEnds(in: name).reversed() {
            let prefix = String(name.utf8.prefix(end))!
            if let other = names[prefix] { return other + String(name.utf8.dropFirst(end))! }
        }
        return name
    }

    /// Takes closures of the baseline that the process does not have for none: those that were matched to them are new.
    /// - Returns: whether there are any.
    mutating func forget(where isAbsent: (String) -> Bool) -> Bool {
        let absent = Set(names.values.filter(isAbsent))
        for (name, former) in names where absent.contains(former) {
            names[name] = name + Self.unmatchedMark
            unmatchedNew.append(name)
        }
        unmatchedOld.removeAll(where: isAbsent)
        return !absent.isEmpty
    }

    /// - Parameter isParentSame: the function that all of these are of is what it was.
    private mutating func match(
        _ before: [String], _ after: [String], _ isParentSame: Bool, _ old: Families, _ new: Families,
        _ comparison: inout GraphComparison,
        _ described: (_ old: String, _ new: String) -> InterfaceComparison.Captures
    ) {
        var partners = [Int?](repeating: nil, count: after.count)
        var isTaken = [Bool](repeating: false, count: before.count)
        let types = (before.map(Self.group), after.map { Self.group(of: renamed($0)) })
        func areEqual(_ left: Int, _ right: Int) -> Bool {
            types.0[left] == types.1[right]
                && described(before[left], after[right]) != .others
                && old.isEqual(before[left], to: after[right], of: new, &comparison, ignoring: Self.maskedOrdinals)
        }
        func pair(_ left: Int, _ right: Int) { (partners[right], isTaken[left]) = (left, true) }
        /// One that is not stored, but only called by who makes it, has nothing that forwards its captures.
        func haveSameCaptures(_ left: Int, _ right: Int, named: Bool) -> Bool {
            let found = described(before[left], after[right])
            return (found == .same || found == .renamed && !named)
                && old.hasSameCaptures(before[left], as: after[right], of: new, &comparison)
        }
        // The very same place first: of several equal ones none is moved then.
        for right in after.indices {
            guard let left = before.firstIndex(of: renamed(after[right])), !isTaken[left] else { continue }
            if isParentSame ? haveSameCaptures(left, right, named: false) : areEqual(left, right) { pair(left, right) }
        }
        for right in after.indices where partners[right] == nil && !isParentSame {
            if let left = before.indices.first(where: { !isTaken[$0] && areEqual($0, right) }) { pair(left, right) }
        }
        // Gaps: between neighbours that are matched to neighbours, one old and one new of a type.
        var right = 0
        while right < after.count {
            guard partners[right] == nil else {
                right += 1
                continue
            }
            let start = right
            while right < after.count, partners[right] == nil { right += 1 }
            let low = start == 0 ? -1 : partners[start - 1]!
            let high = right == after.count ? before.count : partners[right]!
            guard low < high else { continue }
            let free = (low + 1..<high).filter { !isTaken[$0] }
            for place in start..<right {
                let alike = free.filter { types.0[$0] == types.1[place] }
                let rivals = (start..<right).count { types.1[$0] == types.1[place] }
                guard alike.count == 1, rivals == 1, haveSameCaptures(alike[0], place, named: true) else { continue }
                pair(alike[0], place)
            }
        }
        for (right, partner) in partners.enumerated() {
            if let partner {
                names[after[right]] = before[partner]
            } else {
                unmatchedNew.append(after[right])
                // Its number is another closure's.
                names[after[right]] = after[right] + Self.unmatchedMark
            }
        }
        unmatchedOld += before.indices.filter { !isTaken[$0] }.map { before[$0] }
    }

    // MARK: Names

    /// The name without the number of the closure itself.
    private static func group(of closure: String) -> String {
        let digits = closure.dropLast().reversed().prefix { $0.isNumber }.count
        return String(closure.dropLast(1 + digits))
    }

    private static func isBefore(_ left: String, _ right: String) -> Bool { ordinal(left) < ordinal(right) }

    /// `U_` is the first, `U0_` the second, and so on.
    private static func ordinal(_ closure: String) -> Int {
        let digits = closure.dropLast().reversed().prefix { $0.isNumber }.reversed()
        return digits.isEmpty ? 0 : (Int(String(digits)) ?? 0) + 1
    }

    /// With all numbers of closures taken out, for comparing code that names other closures.
    static func maskedOrdinals(_ name: String) -> String {
        let ends = closureEnds(in: name)
        guard !ends.isEmpty else { return name }
        var result: [UInt8] = []
        let bytes = Array(name.utf8)
        var position = 0
        for end in ends {
            var start = end - 1
            while start > 0, bytes[start - 1] >= 0x30, bytes[start - 1] <= 0x39 { start -= 1 }
            result += bytes[position..<start]
            result.append(UInt8(ascii: "#"))
            position = end
        }
        result += bytes[position...]
        return String(decoding: result, as: UTF8.self)
    }

    /// Where in a mangled name the names of closures may end: behind `U_`, `U0_`, `u_`, … (swift/docs/ABI/Mangling.rst, local names of
    /// closures). Some ends may be parts of identifiers: whoever asks compares with the names of closures.
    static func closureEnds(in name: String) -> [Int] {
        name.withBytes { bytes in
            guard bytes.starts(with: "$s") else { return [] }
            var ends: [Int] = []
            for index in 2..<bytes.count where bytes[index] == UInt8(ascii: "_") {
                var start = index
                while start > 0, bytes[start - 1] >= 0x30, bytes[start - 1] <= 0x39 { start -= 1 }
                guard start > 1, bytes[start - 1] == UInt8(ascii: "U") || bytes[start - 1] == UInt8(ascii: "u"),
                    // `fU_`: an entity. `U_` alone may be an index of something else.
                    bytes[start - 2] == UInt8(ascii: "f")
                else { continue }
                ends.append(index + 1)
            }
            return ends
        }
    }

    /// The closures of an object, and what is derived of each.
    private struct Families {
        let graph: ObjectGraph
        /// The symbols of the closures themselves.
        var closures: [String] = []
        /// How many closures each is inside of.
        var depths: [String: Int] = [:]
        var depth = 0
        /// The symbol of the function that each is in; where there is none, the name without the number.
        var parents: [String: String] = [:]
        /// By a function's symbol: the rest of the names of its parts, and their pieces.
        var bodies: [String: [String: Int]] = [:]
        /// By a closure's symbol: the rest of the names of what is derived of it, and its pieces.
        var members: [String: [String: Int]] = [:]

        init(_ graph: ObjectGraph) {
            self.graph = graph
            let pieces = graph.named()
            var known: Set<String> = []
            for name in pieces.keys where name.hasSuffix("_") {
                guard ClosureMatch.closureEnds(in: name).last == name.utf8.count, graph.pieces[pieces[name]!].isFunction
                else { continue }
                known.insert(name)
            }
            closures = known.sorted()
            for closure in closures {
                let inside = ClosureMatch.closureEnds(in: closure).dropLast().filter {
                    known.contains(String(closure.utf8.prefix($0))!)
                }
                depths[closure] = inside.count
                depth = max(depth, inside.count)
            }
            let unnamed = unnamedParents(in: pieces, of: known)
            for closure in closures {
                parents[closure] =
                    parent(of: closure, in: pieces) ?? unnamed[closure] ?? ClosureMatch.group(of: closure)
            }
            let functions = Set(parents.values)
            for (name, piece) in pieces {
                let function = SymbolKind.owner(of: name) ?? name
                if functions.contains(function) {
                    bodies[function, default: [:]][String(name.utf8.dropFirst(function.utf8.count))!] = piece
                }
                for end in ClosureMatch.closureEnds(in: name) {
                    let prefix = String(name.utf8.prefix(end))!
                    if known.contains(prefix) {
                        members[prefix, default: [:]][String(name.utf8.dropFirst(end))!] = piece
                    }
                }
            }
        }

        /// The function whose name the closure's begins with (swift/docs/ABI/Mangling.rst: a context stands before what is in it).
        private func parent(of closure: String, in pieces: [String: Int]) -> String? {
            let bytes = Array(closure.utf8)
            var end = bytes.count - 1
            while end > 2 {
                // Functions end with their kind.
                if Self.lastLetters.contains(bytes[end - 1]) {
                    let prefix = String(decoding: bytes[..<end], as: UTF8.self)
                    if let piece = pieces[prefix], graph.pieces[piece].isFunction { return prefix }
                }
                end -= 1
            }
            return nil
        }

        /// Parents of closures whose names do not say who makes them: what initialises a global at its first use, and top-level code.
        private func unnamedParents(in pieces: [String: Int], of closures: Set<String>) -> [String: String] {
            var result: [String: String] = [:]
            for (name, piece) in pieces where graph.pieces[piece].isFunction {
                let function = SymbolKind.owner(of: name) ?? name
                guard function.hasSuffix("_WZ") || function == "main" || function == "async_Main" else { continue }
                for case .piece(let target, _) in graph.pieces[piece].references.map(\.target) {
                    let found = graph.pieces[target].name
                    let closure = found.hasSuffix("Tu") ? String(found.dropLast(2)) : found
                    if closures.contains(closure) { result[closure] = function }
                }
            }
            return result
        }

        /// Functions, static ones, initialisers, deinitialisers, accessors, default arguments, initialisers of variables, closures.
        private static let lastLetters = Set("FZCcDdEgsGMmrwWxyi_".utf8)

        /// Whether all that is derived of two closures is equal but for the numbers of closures.
        func isEqual(
            _ closure: String, to other: String, of new: Families, _ comparison: inout GraphComparison,
            ignoring masked: @escaping (String) -> String
        ) -> Bool {
            guard let mine = members[closure], let theirs = new.members[other], mine.count == theirs.count else {
                return false
            }
            comparison.mask(masked)
            return mine.allSatisfy { rest, piece in
                guard let partner = theirs[rest] else { return false }
                return comparison.areEqual(piece, partner)
            }
        }

        /// Whether both capture the same, or nothing: their partial applications are the same code, or neither has one.
        func hasSameCaptures(
            _ closure: String, as other: String, of new: Families, _ comparison: inout GraphComparison
        ) -> Bool {
            let (mine, theirs) = (members[closure] ?? [:], new.members[other] ?? [:])
            func forwarders(_ members: [String: Int]) -> [String] {
                members.keys.filter { $0 == "TA" || $0.hasPrefix("TA.") }.sorted()
            }
            let (left, right) = (forwarders(mine), forwarders(theirs))
            guard left.isEmpty == right.isEmpty else { return false }
            comparison.mask(ClosureMatch.maskedOrdinals)
            return zip(left, right).allSatisfy { comparison.areEqual(mine[$0]!, theirs[$1]!) }
        }
    }
}
