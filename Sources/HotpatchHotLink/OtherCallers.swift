import CHotpatchElf
import HotpatchELF
import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// Who calls a function of an object, or may, besides the functions of the object.
///
/// A function that an edit has called otherwise (`func` → `mutating func`) gets another entry, for its callers that are compiled with it.
/// Whoever else calls it goes on as before, and finds what it expects: the former one. But then there would be two.
struct OtherCallers {
    let old: ObjectGraph
    let baseline: Baseline
    let live: LiveProgram
    /// Where functions of the object lie, and run.
    private let own: [Range<Address>]

    private static let chunk = 1 << 20
    /// As long as an instruction may be.
    private static let overlap = 16

    init(_ old: ObjectGraph, _ baseline: Baseline, _ live: LiveProgram) {
        (self.old, self.baseline, self.live) = (old, baseline, live)
        var own: [Range<Address>] = []
        for (index, piece) in old.pieces.enumerated() where piece.isFunction {
            guard let place = baseline.places[index] else { continue }
            for start in Set([place.address, baseline.code(at: place)]) {
                own.append(start..<start + max(1, piece.range.count))
            }
        }
        self.own = own.sorted { $0.lowerBound < $1.lowerBound }
    }

    /// What is known of one function. Sentences come without their full stops.
    struct Found {
        /// What nothing helps against.
        var obstacles: [String] = []
        /// Functions of other files, where their entries are. One whose file is applied with this one calls the new one then.
        var callers: [(entry: Address, reason: String)] = []
        /// Code that was linked later leads to it: of this file, or of another.
        var isCalledByLinkedCode = false
    }

    func all(of index: Int) -> Found {
        let function = display(old.pieces[index].name)
        guard let place = baseline.places[index] else {
            return Found(obstacles: ["\(function) is not in the process, or several are"])
        }
        var result = Found(obstacles: holders(of: index).map { "\($0) refers to \(function)" })
        guard result.obstacles.isEmpty,
            old.pieces[index].symbols.contains(where: { old.object.symbols[$0].binding != .local })
        else { return result }
        guard live.image.isMainProgram else { return Found(obstacles: ["libraries may call \(function)"]) }
        result.obstacles = importers(of: index).map { "\($0) calls \(function)" }
        guard result.obstacles.isEmpty else { return result }
        guard let linked = live.index.codeOutsideOfImages() else {
            return Found(obstacles: ["the mappings of the process cannot be read"])
        }
        result.callers = callers(of: place.address).map {
            ($0.entry, "\(display($0.name)), which is not in the object, calls \(function)")
        }
        result.isCalledByLinkedCode = linked.contains { range in
            references(to: [place.address], in: range).contains { !isOwn($0.field) }
        }
        return result
    }

    /// Libraries that the loader has bound to a function of the program, which exports it, or to its record. Whatever is loaded later finds
    /// the former one.
    private func importers(of index: Int) -> [String] {
        let name = old.pieces[index].name
        let names = Set(old.pieces[index].symbols.map { old.object.symbols[$0].name }).union(
            old.pieces.lazy.map(\.name).filter { isOwnRecord($0, of: name) })
        guard names.contains(where: { live.index.exportedAddress(of: $0, in: live.image.path) != nil }) else {
            return []
        }
        if !live.index.problems.isEmpty { return ["an image that cannot be read perhaps"] }
        return Array(live.index.images(importing: names).map(\.path).prefix(3))
    }

    private func isOwnRecord(_ other: String, of function: String) -> Bool {
        NewEntries.derived(other).map { $0.function == function } ?? false
    }

    /// Data of the object that leads to a function: it may be found there by anybody. Not its own records, which go with it.
    private func holders(of index: Int) -> [String] {
        let name = old.pieces[index].name
        var result: [String] = []
        for piece in old.pieces where !piece.isFunction && !isOwnRecord(piece.name, of: name) {
            // A property's descriptor, of which other modules make key paths: they go on with the accessors that they know.
            if piece.name.hasSuffix("MV") { continue }
            if ObjectEdit.isLeft(old.object.sections[piece.section].name) { continue }
            let leads = piece.references.contains { reference in
                guard case .piece(let target, _) = reference.target else { return false }
                let found = old.pieces[target].name
                return target == index || found.hasPrefix("$") && isOwnRecord(found, of: name)
            }
            if leads { result.append(piece.name.isEmpty ? "a constant of the object" : display(piece.name)) }
        }
        return Array(result.prefix(3))
    }

    /// Functions from other files of the image that call or jump to an address.
    private func callers(of address: Address) -> [(entry: Address, name: String)] {
        users(of: [address])[address] ?? []
    }

    /// Functions from other files of the image that refer to some addresses, by these.
    func users(of addresses: Set<Address>) -> [Address: [(entry: Address, name: String)]] {
        var result: [Address: [(entry: Address, name: String)]] = [:]
        for segment in live.image.elf.segments
        where segment.type == UInt32(PT_LOAD) && segment.permissions.contains(.execute) {
            let start = live.image.bias.address(ofLinked: segment.address)
            for reference in references(to: addresses, in: start..<start + Int(clamping: segment.memorySize)) {
                if isOwn(reference.field) { continue }
                guard let code = live.image.code(containing: reference.field) else { continue }
                let count = code.range.upperBound - code.range.lowerBound
                guard let bytes = try? live.memory.bytes(at: code.range.lowerBound, count: count),
                    reference.verdict(live.architecture, in: bytes, at: code.range.lowerBound) != .none
                else { continue }
                var (entry, name) = (code.range.lowerBound, code.name ?? "the code at \(code.range.lowerBound)")
                // Where a task goes on is part of a function.
                if let owner = SymbolKind.owner(of: name) {
                    (entry, name) = (live.onlySymbol(owner)?.address ?? entry, owner)
                }
                let known = result[reference.target] ?? []
                if !known.contains(where: { $0.entry == entry }) { result[reference.target] = known + [(entry, name)] }
            }
        }
        return result
    }

    private func references(to addresses: Set<Address>, in range: Range<Address>) -> [Reference] {
        guard let low = addresses.min(), let high = addresses.max() else { return [] }
        var targets = ReferenceTargets(in: low..<high + 1)
        for address in addresses { targets.add(allTo: address..<address + 1) }
        var result: [Reference] = []
        var start = range.lowerBound
        while start < range.upperBound {
            let count = min(Self.chunk + Self.overlap, range.upperBound - start)
            if let bytes = try? live.memory.bytes(at: start, count: count) {
                result += targets.references(live.architecture, in: bytes, at: start, reach: .near)
            }
            start += Self.chunk
        }
        return result
    }

    private func isOwn(_ address: Address) -> Bool {
        var (low, high) = (0, own.count)
        while low < high {
            let middle = (low + high) / 2
            if own[middle].lowerBound <= address { low = middle + 1 } else { high = middle }
        }
        return low > 0 && own[low - 1].contains(address)
    }

    private func display(_ name: String) -> String { Demangling.demangle(name) ?? name }
}

/// Functions that an edit has called otherwise, and constants that are made anew: they and what belongs to them are new, though the
/// process has others of their names.
struct NewEntries: Sendable {
    var functions: Set<String> = []
    /// Variables, and the tokens by which they are initialised once.
    var variables: Set<String> = []

    var isEmpty: Bool { functions.isEmpty && variables.isEmpty }

    /// The name that something of the new object goes by in the process.
    func renamed(_ name: String) -> String {
        if isEmpty { return name }
        if functions.contains(name) || variables.contains(name) { return name + ClosureMatch.unmatchedMark }
        guard let (function, rest) = Self.derived(name), functions.contains(function) else { return name }
        return function + ClosureMatch.unmatchedMark + rest
    }

    /// What the identity map calls one that other files can name: objects that are linked later call it as their compiler knows it.
    static func identity(_ name: String) -> String { "newest " + name }

    /// What gets a property or a subscript, of its name; any other name as it is.
    static func getter(of name: String) -> String {
        for (end, getter) in [("vp", "vg"), ("vpZ", "vgZ"), ("ip", "ig"), ("ipZ", "igZ")] where name.hasSuffix(end) {
            return name.dropLast(end.count) + getter
        }
        return name
    }

    /// The function that a record or a part belongs to, and the rest of the name: of an async function, and of an opaque result.
    static func derived(_ name: String) -> (function: String, rest: String)? {
        for end in ["Tu", "QOMQ", "MXX"] where name.hasSuffix(end) {
            return (getter(of: String(name.dropLast(end.count))), end)
        }
        return SymbolKind.owner(of: name).map { ($0, String(name.dropFirst($0.count))) }
    }
}
