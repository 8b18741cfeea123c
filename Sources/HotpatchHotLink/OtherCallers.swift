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
        let users = users(of: [place.address])[place.address] ?? []
        result.callers = users.map {
            ($0.entry, "\(display($0.name)), which is not in the object, calls \(function)")
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
                guard case .piece(let target, let offset) = reference.target else { return false }
                let found = old.pieces[target].name
                // What leads into the middle of a function is a table of its jumps.
                return target == index && (offset == 0 || !piece.name.isEmpty)
                    || found.hasPrefix("$") && isOwnRecord(found, of: name)
            }
            if leads { result.append(piece.name.isEmpty ? "a constant of the object" : display(piece.name)) }
        }
        return Array(result.prefix(3))
    }

    /// Functions from other files that refer to some addresses, by these: of the image, as it was linked, and of what edits have brought
    /// since.
    func users(of addresses: Set<Address>) -> [Address: [(entry: Address, name: String)]] {
        var result: [Address: [(entry: Address, name: String)]] = [:]
        func add(_ entry: Address, _ name: String, to target: Address) {
            let known = result[target] ?? []
            if !known.contains(where: { $0.entry == entry }) { result[target] = known + [(entry, name)] }
        }
        for segment in live.image.elf.segments
        where segment.type == UInt32(PT_LOAD) && segment.permissions.contains(.execute) {
            let start = live.image.bias.address(ofLinked: segment.address)
            for reference in references(to: addresses, in: start..<start + Int(clamping: segment.memorySize)) {
                if isOwn(reference.field) { continue }
                guard let code = live.image.code(containing: reference.field), isReal(reference, in: code.range) else {
                    continue
                }
                var (entry, name) = (code.range.lowerBound, code.name ?? "the code at \(code.range.lowerBound)")
                // Where a task goes on is part of a function.
                if let owner = SymbolKind.owner(of: name) {
                    (entry, name) = (live.onlySymbol(owner)?.address ?? entry, owner)
                }
                // What an edit has replaced does not run any more.
                if live.replacement(entry) == nil { add(entry, name, to: reference.target) }
            }
        }
        let linked = live.linked()
        if linked.code.isEmpty { return result }
        let starts = linked.starts(live)
        let slots = linked.slots(holding: addresses, live)
        let targets = addresses.union(slots.keys)
        for range in linked.code {
            for reference in references(to: targets, in: range) where !isOwn(reference.field) {
                guard
                    let next = starts.firstIndex(where: { $0.start > reference.field })
                        ?? starts.indices.last.map({ $0 + 1 }),
                    next > 0, let function = starts[next - 1].function
                else { continue }
                let end = min(next < starts.count ? starts[next].start : range.upperBound, range.upperBound)
                guard isReal(reference, in: starts[next - 1].start..<end) else { continue }
                add(function.entry, function.name, to: slots[reference.target] ?? reference.target)
            }
        }
        return result
    }

    /// Whether an instruction of some code refers so.
    private func isReal(_ reference: Reference, in code: Range<Address>) -> Bool {
        guard let bytes = try? live.memory.bytes(at: code.lowerBound, count: code.upperBound - code.lowerBound) else {
            return false
        }
        return reference.verdict(live.architecture, in: bytes, at: code.lowerBound) != .none
    }

    private func references(to addresses: Set<Address>, in range: Range<Address>) -> [Reference] {
        let targets = Self.targets(addresses)
        var result: [Reference] = []
        var start = range.lowerBound
        while start < range.upperBound {
            let count = min(Self.chunk + Self.overlap, range.upperBound - start)
            if let bytes = try? live.memory.bytes(at: start, count: count) {
                for targets in targets {
                    result += targets.references(live.architecture, in: bytes, at: start, reach: .near)
                }
            }
            start += Self.chunk
        }
        return result
    }

    /// Those that lie close together are looked for together: of all that lies between, a bit tells whether it is one.
    private static func targets(_ addresses: Set<Address>) -> [ReferenceTargets] {
        var groups: [[Address]] = []
        for address in addresses.sorted() {
            if let last = groups.last?.last, address - last < chunk {
                groups[groups.count - 1].append(address)
            } else {
                groups.append([address])
            }
        }
        return groups.map { group in
            var targets = ReferenceTargets(in: group[0]..<group.last! + 1)
            for address in group { targets.add(allTo: address..<address + 1) }
            return targets
        }
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
