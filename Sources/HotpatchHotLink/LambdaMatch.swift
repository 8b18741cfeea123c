import HotpatchSymbols

/// Which lambdas of an edited C++ file are which of the baseline's.
///
/// g++ numbers those of one function and one signature, clang all of a file: one that is inserted takes the number of another, with the
/// names of all templates that were made for it. Lambdas of one function are matched by what they are, as Swift's closures are
/// (`ClosureMatch`): equal code first, wherever it stands; then, between two matches, as many as there were of a kind, in their order. What a lambda
/// captures must be the same: it lies in each that is stored.
struct LambdaMatch {
    /// Maps a name of the new object to its name in the process, where they differ or it is new.
    private(set) var names: [String: String] = [:]
    /// Lambdas of the baseline that the new object does not have any more, or has with other captures, as people read them.
    private(set) var unmatchedOld: [String] = []
    /// Maps each lambda of the new object to its counterpart in the baseline; nil if it is new.
    private var partners: [String: String?] = [:]
    /// Those of their texts, in bytes, descending.
    private var lengths: [Int] = []

    init(
        _ comparison: inout GraphComparison, _ interfaces: InterfaceComparison, isAbsent: (String) -> Bool
    ) {
        let (old, new, lines) = (interfaces.functions.old, interfaces.functions.new, interfaces.lines)
        let (before, after) = (
            Lambdas(comparison.old, old, lines.old) { !isAbsent($0) },
            Lambdas(comparison.new, new, lines.new) { _ in true }
        )
        guard !before.all.isEmpty, !after.all.isEmpty else { return }
        let masked = before.texts.merging(after.texts) { first, _ in first }.mapValues(Self.withoutNumbers)
        comparison.mask { masked[$0] ?? $0 }
        // What encloses others comes first.
        for depth in 0...after.all.map(\.depth).max()! {
            var groups: [String: (old: [Lambda], new: [Lambda])] = [:]
            for lambda in before.all where lambda.depth == depth {
                groups[lambda.group, default: ([], [])].old.append(lambda)
            }
            for lambda in after.all where lambda.depth == depth {
                groups[substituted(lambda.group), default: ([], [])].new.append(lambda)
            }
            for key in groups.keys.sorted() { match(groups[key]!.old, groups[key]!.new, &comparison) }
        }
        let known = Dictionary(grouping: before.texts.keys) { before.texts[$0]! }
        for (name, text) in after.texts {
            let former = substituted(text)
            if former == text { continue }
            // The names of constructors, and of destructors, read alike.
            let other = known[former]?.max { Self.suffix($0, name) < Self.suffix($1, name) }
            names[name] = other ?? name + ClosureMatch.unmatchedMark
        }
    }

    /// How many bytes two names have in common at their ends.
    private static func suffix(_ first: String, _ second: String) -> Int {
        zip(first.utf8.reversed(), second.utf8.reversed()).prefix { $0 == $1 }.count
    }

    private mutating func match(_ before: [Lambda], _ after: [Lambda], _ comparison: inout GraphComparison) {
        func isBefore(_ left: Lambda, _ right: Lambda) -> Bool {
            (left.line, left.number) < (right.line, right.number)
        }
        let (before, after) = (before.sorted(by: isBefore), after.sorted(by: isBefore))
        var found = [Int?](repeating: nil, count: after.count)
        var isTaken = [Bool](repeating: false, count: before.count)
        func areEqual(_ left: Int, _ right: Int) -> Bool {
            before[left].isLike(after[right])
                && before[left].bodies.allSatisfy { comparison.areEqual($0.value, after[right].bodies[$0.key]!) }
        }
        // The very same place first: of several equal ones none is moved then.
        for right in after.indices where before.indices.contains(right) && areEqual(right, right) {
            (found[right], isTaken[right]) = (right, true)
        }
        for right in after.indices where found[right] == nil {
            guard let left = before.indices.first(where: { !isTaken[$0] && areEqual($0, right) }) else { continue }
            (found[right], isTaken[left]) = (left, true)
        }
        var right = 0
        while right < after.count {
            guard found[right] == nil else {
                right += 1
                continue
            }
            let start = right
            while right < after.count, found[right] == nil { right += 1 }
            let low = start == 0 ? -1 : found[start - 1]!
            let high = right == after.count ? before.count : found[right]!
            guard low < high else { continue }
            var free = (low + 1..<high).filter { !isTaken[$0] }
            // Among lambdas with equal captures, the first n, in order, are matched to the n that existed.
            for place in start..<right where found[place] == nil {
                let alike = free.filter { before[$0].isLike(after[place]) }
                let rivals = (place..<right).filter { found[$0] == nil && after[place].isLike(after[$0]) }
                guard alike.count == rivals.count else { continue }
                for (left, right) in zip(alike, rivals) { (found[right], isTaken[left]) = (left, true) }
                free.removeAll { isTaken[$0] }
            }
        }
        for (index, partner) in found.enumerated() {
            partners[after[index].text] = .some(partner.map { before[$0].text })
        }
        lengths = Set(partners.keys.map(\.utf8.count)).sorted(by: >)
        unmatchedOld += before.indices.filter { !isTaken[$0] }.map { before[$0].text }
    }

    /// A text of the new object with the lambdas of the baseline in it.
    private func substituted(_ text: String) -> String {
        if partners.isEmpty { return text }
        var bytes = Array(text.utf8)
        // From the end: what is inside of a lambda begins with its text.
        var limit = bytes.count
        for (end, _) in Self.ends(in: bytes).reversed() where end <= limit {
            for length in lengths where length <= end {
                let known = String(decoding: bytes[end - length..<end], as: UTF8.self)
                guard let partner = partners[known] else { continue }
                limit = end - length
                bytes.replaceSubrange(limit..<end, with: (partner ?? known + ClosureMatch.unmatchedMark).utf8)
                break
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Where lambdas end in a text, and where their numbers begin: `{lambda(int)#1}` and `$_0`.
    private static func ends(in bytes: [UInt8]) -> [(end: Int, number: Range<Int>)] {
        var result: [(Int, Range<Int>)] = []
        var index = 0
        while index < bytes.count {
            let isBraced = bytes[index] == UInt8(ascii: "#")
            let isDollar =
                bytes[index] == UInt8(ascii: "$") && index + 1 < bytes.count
                && bytes[index + 1] == UInt8(ascii: "_")
            var end = index + (isDollar ? 2 : 1)
            let start = end
            while isBraced || isDollar, end < bytes.count, bytes[end] >= UInt8(ascii: "0"),
                bytes[end] <= UInt8(ascii: "9")
            { end += 1 }
            if end > start, !isBraced || end < bytes.count && bytes[end] == UInt8(ascii: "}") {
                result.append((isBraced ? end + 1 : end, start..<end))
            }
            index = max(end, index + 1)
        }
        return result
    }

    private static func withoutNumbers(_ text: String) -> String {
        var bytes = Array(text.utf8)
        for (_, number) in ends(in: bytes).reversed() { bytes.removeSubrange(number) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private struct Lambda {
        /// As people read it: `answer(int)::{lambda(int)#1}`.
        var text: String
        /// Without its own number.
        var group: String
        var number: Int
        /// The line of the source; 0 where it is not described. clang numbers lambdas in the order in which it comes upon them.
        var line = 0
        /// How many others it is inside of.
        var depth: Int
        /// Its functions, by the rest of their texts.
        var bodies: [String: Int] = [:]
        /// What it captures, where that is described.
        var captures: String?

        /// Whether a stored one can run the other's code.
        func isLike(_ other: Lambda) -> Bool {
            bodies.count == other.bodies.count && bodies.keys.allSatisfy { other.bodies[$0] != nil }
                && captures == other.captures
        }
    }

    private struct Lambdas {
        var all: [Lambda] = []
        /// What people read for symbols that have lambdas in their names.
        var texts: [String: String] = [:]

        init(
            _ graph: ObjectGraph, _ described: DescribedFunctions, _ lines: [String: Int], isKnown: (String) -> Bool
        ) {
            var found: [String: Lambda] = [:]
            for (index, piece) in graph.pieces.enumerated() where piece.name.hasPrefix("_Z") && isKnown(piece.name) {
                let isPossible = piece.name.withBytes { bytes in
                    bytes.indices.contains { bytes.starts(with: "Ul", at: $0) || bytes.starts(with: "$_", at: $0) }
                }
                guard isPossible, let text = Demangling.demangle(piece.name) else { continue }
                texts[piece.name] = text
                let bytes = Array(text.utf8)
                let ends = LambdaMatch.ends(in: bytes)
                guard piece.isFunction,
                    let place = ends.indices.last(where: { bytes[ends[$0].end...].starts(with: "::operator()".utf8) })
                else { continue }
                let (end, number) = ends[place]
                // What a generic one returns stands in front, and nowhere else.
                let start = text.hasPrefix("auto ") ? 5 : 0
                guard start < number.lowerBound else { continue }
                let own = String(decoding: bytes[start..<end], as: UTF8.self)
                var lambda =
                    found[own]
                    ?? Lambda(
                        text: own,
                        group: String(
                            decoding: bytes[start..<number.lowerBound] + bytes[number.upperBound..<end], as: UTF8.self),
                        number: Int(String(decoding: bytes[number], as: UTF8.self)) ?? 0, depth: place)
                lambda.bodies[String(decoding: bytes[end...], as: UTF8.self)] = index
                lambda.line = lines[piece.name] ?? lambda.line
                lambda.captures = lambda.captures ?? described.firstParameter(of: piece.name)
                found[own] = lambda
            }
            all = found.values.sorted { $0.text < $1.text }
        }
    }
}
