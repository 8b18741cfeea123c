import CPatchCore
import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// Where everything lies that is linked: offsets in segments, from which the addresses follow once the segments have a place.
struct LinkLayout: Sendable {
    let linker: ObjectLinker
    /// In bytes, by kind.
    private(set) var sizes: [MemoryKind: Int] = [.text: 0, .constant: 0, .data: 0]
    /// Where functions, and other pieces of code, lie.
    private(set) var code: [ObjectLinker.Place: Int] = [:]
    private(set) var sections: [ObjectLinker.SectionPlace: Spot] = [:]
    /// For functions that the process did not have: the entry, and the word that it jumps through.
    private(set) var entries: [ObjectLinker.Place: (entry: Int, slot: Int)] = [:]
    /// For async functions that need larger contexts than those whose entries they get: what allocates these.
    private(set) var thunks: [ObjectLinker.Place: (offset: Int, context: LargerContext)] = [:]
    /// Words that hold an address.
    private(set) var slots: [Slot: Int] = [:]
    /// Entries of the PLT, for what may be too far away to be called.
    private(set) var plt: [ObjectLinker.Definition: Int] = [:]
    /// Behind a function whose jumps to another one have displacements of one byte, a jump that reaches it.
    private(set) var hops: [Hop: Int] = [:]
    /// For sections of new thread-locals: their block's words, and its key.
    private(set) var blocks: [ObjectLinker.SectionPlace: (words: Int, key: Int)] = [:]
    private(set) var threadLocals: [ThreadLocalSlot: Int] = [:]
    private(set) var routines: [ThreadLocalRoutine: Int] = [:]
    /// Records for the runtime, by section.
    private(set) var records: [(section: String, offset: Int)] = []
    private(set) var frames: (offset: Int, bytes: [[UInt8]], references: [[ObjectGraph.Reference]])?
    /// Copies of constants of libraries, by their names, which code reaches as if they were the program's.
    private(set) var copies: [String: (offset: Int, bytes: [UInt8])] = [:]

    struct Spot: Hashable, Sendable {
        var kind: MemoryKind
        var offset: Int
    }

    /// A function, and what it jumps to.
    struct Hop: Hashable, Sendable {
        var place: ObjectLinker.Place
        var definition: ObjectLinker.Definition
    }

    /// A word of the GOT: an address, and what is added to it.
    struct Slot: Hashable, Sendable {
        var definition: ObjectLinker.Definition
        var addend: Int64
    }

    init(_ linker: ObjectLinker) throws {
        self.linker = linker
        var functions = [[Int]](repeating: [], count: linker.edits.count)
        for place in linker.reached {
            let piece = linker.piece(place)
            let section = linker.edits[place.edit].new.object.sections[piece.section]
            guard section.isExecutable else { continue }
            code[place] = take(.text, piece.range.count, alignment: max(16, min(section.alignment, 64)))
            if let context = try linker.largerContext(of: place) {
                thunks[place] = (take(.text, AsyncThunk.capacity, alignment: 16), context)
            }
            for reference in piece.references where reference.row.isShortJump {
                // A hop leads to where a function starts.
                if case .piece(_, let offset) = reference.target, offset != 0 {
                    throw LinkError.unsupported(
                        path: linker.edits[place.edit].new.object.path,
                        what: "\(piece.name) jumps into \(linker.edits[place.edit].new.name(of: reference.target))",
                        remedy: "Restart.")
                }
                let definition = linker.definition(of: reference.target, in: place.edit)
                let hop = Hop(place: place, definition: definition)
                if hops[hop] == nil { hops[hop] = take(.text, PltEntry.size, alignment: 16) }
            }
            if piece.isFunction { functions[place.edit].append(place.piece) }
            if case .add = linker.decision(place) {
                entries[place] = (
                    take(.text, PltEntry.size, alignment: 16), take(.data, GotSlot.size, alignment: GotSlot.size)
                )
            }
        }
        for place in linker.sections {
            let section = linker.edits[place.edit].new.object.sections[place.section]
            let kind: MemoryKind = section.isWritable && !section.name.hasPrefix(".data.rel.ro") ? .data : .constant
            guard section.alignment <= 4096 else {
                throw LinkError.unsupported(
                    path: linker.edits[place.edit].new.object.path,
                    what: "section \(section.name) is to be aligned to \(section.alignment) bytes", remedy: "Restart.")
            }
            sections[place] = Spot(kind: kind, offset: take(kind, section.bytes.count, alignment: section.alignment))
        }
        for (number, found) in functions.enumerated() {
            let (bytes, references) = linker.frames[number].taken(found)
            if frames == nil { frames = (0, [], []) }
            frames!.bytes.append(bytes)
            frames!.references.append(references)
        }
        for place in linker.reached { note(linker.piece(place).references, of: place.edit) }
        for (number, references) in (frames?.references ?? []).enumerated() { note(references, of: number) }
        for section in ObjectEdit.registered {
            guard let found = linker.records[section] else { continue }
            records.append((section, take(.constant, found.count * 4, alignment: 4)))
        }
        if let total = frames?.bytes.reduce(0, { $0 + $1.count }), total > 0 {
            frames!.offset = take(.constant, total + 4, alignment: 8)
        } else {
            frames = nil
        }
    }

    private mutating func take(_ kind: MemoryKind, _ count: Int, alignment: Int) -> Int {
        let start = (sizes[kind]! + alignment - 1) / alignment * alignment
        // What is empty has an address, too.
        sizes[kind] = start + max(count, 1)
        return start
    }

    /// Makes room for what finds a thread-local.
    private mutating func note(threadLocal reference: ObjectGraph.Reference, of edit: Int) {
        guard let variable = linker.threadLocal(of: reference.target, in: edit) else { return }
        if variable.isOurs { place(.address) }
        if case .new(let section, _) = variable { block(section) }
        guard let slot = ThreadLocalSlot(reference.row, variable, addend: reference.addend) else { return }
        if slot.kind == .descriptor {
            place(isFixed(variable) ? .fixed : .descriptor)
            // The pair that the descriptor leads to is given to it.
            if !isFixed(variable) { place(.address) }
        }
        reserveSlot(for: slot)
    }

    private mutating func place(_ routine: ThreadLocalRoutine) {
        guard routines[routine] == nil, let code = routine.code(linker.live.architecture) else { return }
        routines[routine] = take(.text, code.count, alignment: 16)
    }

    private mutating func reserveSlot(for slot: ThreadLocalSlot) {
        if threadLocals[slot] == nil {
            threadLocals[slot] = take(.constant, slot.words * GotSlot.size, alignment: GotSlot.size)
        }
        // A descriptor of a variable that has no place that is the same in each thread leads to a pair.
        guard slot.kind == .descriptor, !isFixed(slot.variable) else { return }
        reserveSlot(for: slot.pair)
    }

    private func isFixed(_ variable: ThreadLocal) -> Bool { linker.live.threadPointerOffset(of: variable) != nil }

    private mutating func block(_ section: ObjectLinker.SectionPlace) {
        guard blocks[section] == nil else { return }
        let words = Int(HP_THREAD_LOCAL_BLOCK_WORDS) * GotSlot.size
        blocks[section] = (
            take(.constant, words, alignment: GotSlot.size), take(.data, GotSlot.size, alignment: GotSlot.size)
        )
        place(.forget)
        // For later objects.
        for piece in linker.edits[section.edit].new.piecesOfSection[section.section] {
            let place = ObjectLinker.Place(edit: section.edit, piece: piece)
            guard linker.decision(place).isTaken,
                let variable = linker.threadLocal(of: .piece(piece, offset: 0), in: section.edit)
            else { continue }
            reserveSlot(for: ThreadLocalSlot(pairOf: variable))
        }
    }

    /// Makes room for the words and entries that references need.
    private mutating func note(_ references: [ObjectGraph.Reference], of edit: Int) {
        for reference in references {
            if reference.row.isThreadLocal { note(threadLocal: reference, of: edit) }
            let definition = linker.definition(of: reference.target, in: edit)
            if case .symbol(let name, _) = definition, reference.row.reachesCopies, copies[name] == nil,
                let bytes = linker.live.constantOfLibrary(name)
            {
                copies[name] = (take(.constant, bytes.count, alignment: 16), bytes)
            }
            if reference.row.subject == .gotSlot {
                let slot = Slot(definition: definition, addend: reference.row.addendInSlot ? reference.addend : 0)
                if slots[slot] == nil { slots[slot] = take(.constant, GotSlot.size, alignment: GotSlot.size) }
            }
            if reference.row.isShortJump {
                let slot = Slot(definition: definition, addend: 0)
                if slots[slot] == nil { slots[slot] = take(.constant, GotSlot.size, alignment: GotSlot.size) }
            }
            var isCall = reference.row.isCall
            if case .symbol(let name, _) = definition, reference.row.reachesCopies {
                // The address of a library's function: that of an entry which leads there, as linkers do it.
                isCall = isCall || linker.live.isFunctionOfLibrary(name)
            }
            guard isCall, plt[definition] == nil else { continue }
            if case .piece(let place) = definition, linker.decision(place).isTaken { continue }
            let slot = Slot(definition: definition, addend: 0)
            if slots[slot] == nil { slots[slot] = take(.constant, GotSlot.size, alignment: GotSlot.size) }
            plt[definition] = take(.text, PltEntry.size, alignment: 16)
        }
    }
}

extension FixupRow {
    /// The displacement of a jump that reaches no further than 128 bytes.
    var isShortJump: Bool { byteCount == 1 && expression == .relative }

    /// It holds no whole address, nor what leads to one: it reaches what is near.
    var reachesCopies: Bool { subject == .symbol && byteCount > 0 && byteCount < GotSlot.size }
}
