import HotpatchELF
import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// The object that was compiled before the edit, and where what it defines lies in the process.
///
/// Every function of it is compared with the code that runs: what differs shows that the process was built from other sources, or with
/// other options.
struct Baseline: Sendable {
    let graph: ObjectGraph
    /// Where each piece lies in the process; nil where it does not, or where several do.
    private(set) var places: [Place?]
    /// Pieces whose code, or contents, in the process are the object's.
    private(set) var isVerified: [Bool]

    struct Place: Hashable, Sendable {
        var address: Address
        /// Part of an image, and of code that was not linked into the process later.
        var isInImage: Bool
        var isFunction: Bool
        /// It has another name in the process.
        var isAliased = false
    }

    /// Where parts of functions are, as the code says that goes on there.
    private var found: [Int: Address] = [:]
    /// Where numbered things were found, whatever their numbers there.
    private var compared: [Int: Set<Address>] = [:]
    private let live: LiveProgram
    private let file: String?

    /// - Throws: `LinkError.notInProcess`, `LinkError.otherCode`.
    init(_ graph: ObjectGraph, digest: String, live: LiveProgram) throws {
        self.graph = graph
        self.live = live
        file = graph.object.fileName
        places = [Place?](repeating: nil, count: graph.pieces.count)
        isVerified = [Bool](repeating: false, count: graph.pieces.count)
        for (index, piece) in graph.pieces.enumerated() {
            if piece.kind.isAnonymous || Self.isNumbered(piece.name) { continue }
            places[index] = place(of: index, digest: digest)
        }
        try verify()
    }

    /// Compares pieces that the process has from other files.
    private init(comparing graph: ObjectGraph, _ live: LiveProgram) {
        self.graph = graph
        self.live = live
        file = graph.object.fileName
        places = [Place?](repeating: nil, count: graph.pieces.count)
        isVerified = [Bool](repeating: false, count: graph.pieces.count)
    }

    /// Whether an object's function is what runs behind an entry, which another file has brought.
    static func isSame(_ piece: Int, of graph: ObjectGraph, asWhatRunsAt entry: Address, _ live: LiveProgram) -> Bool {
        var comparison = Baseline(comparing: graph, live)
        let place = Place(address: entry, isInImage: live.image.range.contains(entry), isFunction: true)
        return comparison.runs(piece, at: comparison.code(at: place))
    }

    private func place(of index: Int, digest: String) -> Place? {
        let piece = graph.pieces[index]
        // What was linked under this name by an object of another numbering.
        if let known = live.identity(Self.alias(piece.name, digest)) {
            if known == .null { return nil }
            return Place(
                address: known, isInImage: live.image.range.contains(known), isFunction: piece.isFunction,
                isAliased: true)
        }
        func isAlike(_ symbol: LinkableSymbol) -> Bool { symbol.isFunction == piece.isFunction }
        func place(_ symbol: LinkableSymbol) -> Place {
            Place(address: symbol.address, isInImage: true, isFunction: symbol.isFunction)
        }
        let owner = graph.owner(of: index)
        if let symbol = live.symbol(piece.name, of: owner), isAlike(symbol) {
            // Static things of a file that goes by another name may be another file's.
            guard owner == .file(file), !piece.name.hasPrefix("$"), symbol.file != file,
                let known = live.identity(graph.identity(of: index))
            else { return place(symbol) }
            return Place(address: known, isInImage: false, isFunction: piece.isFunction)
        }
        if let known = live.identity(graph.identity(of: index)) {
            return Place(
                address: known, isInImage: live.image.range.contains(known), isFunction: piece.isFunction)
        }
        // A version script may have made it local, and nothing says so.
        if owner == .all, let symbol = live.onlySymbol(piece.name), isAlike(symbol) { return place(symbol) }
        return nil
    }

    /// What the identity map calls something that an object defines under a name. Its address is null where the process has another thing
    /// of that name, and not this one: a closure that was new, and that nothing which was linked needed.
    static func alias(_ name: String, _ digest: String) -> String { digest + "/" + name }

    /// What the identity map calls a function that an edit has removed from its file, and the process still has.
    static func removed(_ name: String) -> String { "removed " + name }

    // MARK: Comparison

    private mutating func verify() throws {
        var different: [String] = []
        var isPresent = false
        func check(_ index: Int, at start: Address) {
            isVerified[index] = runs(index, at: start)
            let piece = graph.pieces[index]
            let isWeak = piece.symbols.allSatisfy { graph.object.symbols[$0].binding == .weak }
            if isVerified[index] || piece.kind.isUnstable || isWeak { return }
            different.append(Demangling.demangle(piece.name) ?? piece.name)
        }
        var parts: [Int] = []
        for (index, piece) in graph.pieces.enumerated() where piece.isFunction {
            guard let place = places[index] else { continue }
            if piece.kind.isPart {
                parts.append(index)
                continue
            }
            isPresent = true
            check(index, at: code(at: place))
        }
        // The parts of a function that was replaced lie where its code says, and not where their symbols do.
        while let part = parts.firstIndex(where: { found[$0] != nil }) {
            let index = parts.remove(at: part)
            check(index, at: found[index]!)
        }
        guard isPresent || graph.object.definesNoFunction else {
            throw LinkError.notInProcess(path: graph.object.path)
        }
        guard different.isEmpty else {
            throw LinkError.otherCode(path: graph.object.path, image: live.image.path, functions: different.sorted())
        }
    }

    /// Where the code of a function is that runs now.
    func code(at place: Place) -> Address {
        if let replacement = live.replacement(place.address) { return replacement }
        guard !place.isInImage else { return place.address }
        return EntryStub.code(behind: place.address, live) ?? place.address
    }

    /// Where a part of a function lies, as far as is known.
    func part(_ index: Int) -> Address? { found[index] ?? places[index]?.address }

    /// Whether the code that runs is the object's.
    private mutating func runs(_ index: Int, at start: Address) -> Bool {
        let piece = graph.pieces[index]
        let code = Array(graph.bytes(of: index))
        guard let bytes = try? live.memory.bytes(at: start, count: code.count) else { return false }
        var mask = [UInt8](repeating: 0, count: code.count)
        var position = 0
        for reference in piece.references where reference.row.byteCount > 0 {
            // The linker has rewritten a sequence that the fixup was part of.
            if reference.offset < position { continue }
            guard let bits = try? reference.row.mask(of: code, at: reference.offset),
                let linked = try? reference.row.find(in: bytes, from: code, at: reference.offset)
            else { return false }
            for (offset, bit) in bits.bits.enumerated() where mask.indices.contains(bits.start + offset) {
                mask[bits.start + offset] |= bit
            }
            if linked.span.count > linked.row.byteCount { position = linked.span.upperBound }
            guard leads(linked, of: reference, from: start) else { return false }
        }
        return zip(zip(code, bytes), mask).allSatisfy { ($0.0 ^ $0.1) & ~$1 == 0 }
    }

    /// Whether a field of the process's code leads to what the object's refers to, as far as can be told.
    private mutating func leads(_ linked: LinkedPlace, of reference: ObjectGraph.Reference, from start: Address) -> Bool
    {
        if linked.row.isThreadLocal { return leadsToThreadLocal(linked, of: reference) }
        guard linked.row.expression == .relative, linked.field.known == .max || linked.row.byteCount == 4,
            linked.row.subject == .symbol || linked.row.subject == .plt
        else { return true }
        let place = start + linked.offset
        let target = Address(
            UInt64(bitPattern: linked.field.value &- reference.addend &- linked.addendChange) &+ place.rawValue)
        switch reference.target {
        case .symbol(let index):
            let name = graph.object.symbols[index].name
            guard let symbol = live.symbol(name, of: .all), !symbol.isIndirect else { return true }
            return symbol.address == target || isIndirect(target)
        case .piece(let index, let offset):
            if graph.pieces[index].kind.isPart {
                found[index] = found[index] ?? target - offset
                return found[index] == target - offset
                    || Self.isNumbered(graph.pieces[index].name) && isWhatRuns(index, at: target - offset)
            }
            if Self.isNumbered(graph.pieces[index].name) {
                return isIndirect(target) || isWhatRuns(index, at: target - offset)
            }
            if let known = places[index] { return known.address + offset == target || isIndirect(target) }
            let piece = graph.pieces[index]
            guard piece.kind.isAnonymous, piece.references.isEmpty, !piece.isFunction,
                !graph.object.sections[piece.section].isWritable
            else { return true }
            let contents = Array(graph.bytes(of: index).dropFirst(offset))
            return (try? live.memory.bytes(at: target, count: contents.count)) == contents
        }
    }

    /// Whether LLVM has numbered it, for it has used the name before: in the process it may have another number, and its own number may be
    /// that of another one.
    private static func isNumbered(_ name: String) -> Bool {
        name.hasPrefix("$s") && SymbolKind.hasNumber(name)
    }

    /// Whether something that no name tells of is what stands at an address. The first such place counts as the one that it has.
    private mutating func isWhatRuns(_ index: Int, at address: Address) -> Bool {
        // Also while it is compared: what it refers to may refer to it.
        if compared[index, default: []].contains(address) { return true }
        compared[index, default: []].insert(address)
        guard runs(index, at: address) else {
            compared[index]?.remove(address)
            return false
        }
        if places[index] == nil {
            places[index] = Place(
                address: address, isInImage: live.image.range.contains(address),
                isFunction: graph.pieces[index].isFunction, isAliased: true)
        }
        return true
    }

    /// Whether code that the linker has laid out finds a thread-local where the program's symbols say that it is.
    private func leadsToThreadLocal(_ linked: LinkedPlace, of reference: ObjectGraph.Reference) -> Bool {
        guard linked.row.subject == .threadPointerOffset || linked.row.subject == .moduleOffset,
            linked.row.byteCount == 4, case .piece(let index, let inside) = reference.target,
            let found = try? live.threadLocal(graph.pieces[index].name, file: file, for: graph.object.path),
            let distance = live.threadPointerOffset(of: found)
        else { return true }
        let added = reference.addend &+ linked.addendChange &+ Int64(inside)
        // Where the code before it was relaxed, an offset in the module is one from the thread pointer.
        return [distance, found.offset].contains { linked.field.holds(Int64(bitPattern: $0) &+ added) }
    }

    /// An entry of a PLT, or code that was linked into the process later.
    private func isIndirect(_ address: Address) -> Bool {
        guard live.image.range.contains(address) else { return true }
        let linked = live.image.bias.linked(address)
        return live.image.elf.sections.contains { $0.name.contains("plt") && $0.contains(linked) }
    }
}
