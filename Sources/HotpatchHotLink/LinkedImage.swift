import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// A layout at its place: every field written, and what else has to change.
struct LinkedImage {
    let layout: LinkLayout
    let linker: ObjectLinker
    let bases: [MemoryKind: Address]
    private var contents: [MemoryKind: [UInt8]] = [:]

    init(_ layout: LinkLayout, at bases: [MemoryKind: Address]) throws {
        self.layout = layout
        linker = layout.linker
        self.bases = bases
        for (kind, size) in layout.sizes { contents[kind] = [UInt8](repeating: 0, count: size) }
        try copy()
        try fill()
    }

    func bytes(_ kind: MemoryKind) -> [UInt8] { contents[kind] ?? [] }

    func address(_ kind: MemoryKind, _ offset: Int) -> Address { bases[kind]! + offset }

    // MARK: Addresses

    /// Where a piece's copy lies.
    func placed(_ place: ObjectLinker.Place) -> Address? { spot(place).map { address($0.kind, $0.offset) } }

    private func spot(_ place: ObjectLinker.Place) -> LinkLayout.Spot? {
        if let offset = layout.code[place] { return LinkLayout.Spot(kind: .text, offset: offset) }
        let piece = linker.piece(place)
        let section = ObjectLinker.SectionPlace(edit: place.edit, section: piece.section)
        guard var spot = layout.sections[section] else { return nil }
        spot.offset += piece.range.lowerBound
        return spot
    }

    /// Where what no object defines lies. Code that may ask for new thread-locals asks who knows them.
    private func address(ofUndefined name: String) -> Address? {
        if name == "__tls_get_addr", let routine = layout.routines[.address] { return address(.text, routine) }
        return linker.live.address(ofUndefined: name)
    }

    /// What a reference leads to. To the start of a function everything leads by its entry, which later objects may lead elsewhere; into a
    /// function, only what belongs to it.
    private func address(of target: ObjectGraph.Target, in edit: Int, isFrame: Bool) throws -> Address {
        let definition = linker.definition(of: target, in: edit)
        var offset = 0
        if case .piece(_, let inside) = target { offset = inside }
        switch definition {
        case .symbol(let name, let isWeak):
            if let found = address(ofUndefined: name) { return found }
            guard isWeak else {
                throw LinkError.undefined(path: linker.edits[edit].new.object.path, names: [name])
            }
            return .null
        case .piece(let place):
            let isEntry = offset == 0 && !isFrame
            let isFunction = linker.piece(place).isFunction
            func callee(_ entry: Address) -> Address {
                linker.live.callee(linker.edits[place.edit].name(of: place.piece), at: entry)
            }
            switch linker.decision(place) {
            case .bind(let found) where isEntry && isFunction: return callee(found)
            case .bind(let found): return found + offset
            case .patch(let entry) where isEntry: return callee(entry)
            case .repoint(let entry, _) where isEntry: return entry
            case .add where isEntry && isFunction:
                if let known = layout.entries[place] { return address(.text, known.entry) }
            default: break
            }
            guard let start = placed(place) else {
                throw LinkError.unsupported(
                    path: linker.edits[place.edit].new.object.path,
                    what: "\(linker.edits[edit].new.name(of: target)) is referred to and was not taken",
                    remedy: "Restart, and report this.")
            }
            return start + offset
        }
    }

    // MARK: Bytes

    private mutating func copy() throws {
        for (place, offset) in layout.code {
            let bytes = linker.edits[place.edit].new.bytes(of: place.piece)
            contents[.text]!.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        }
        for (place, spot) in layout.sections {
            let bytes = linker.edits[place.edit].new.object.sections[place.section].bytes
            contents[spot.kind]!.replaceSubrange(spot.offset..<spot.offset + bytes.count, with: bytes)
        }
        for copy in layout.copies.values {
            contents[.constant]!.replaceSubrange(copy.offset..<copy.offset + copy.bytes.count, with: copy.bytes)
        }
        for (place, entry) in layout.entries {
            try jump(at: entry.entry, through: address(.data, entry.slot))
            write(placed(place)!.rawValue, .data, entry.slot)
        }
        for (place, thunk) in layout.thunks {
            let bytes = AsyncThunk(
                linker.live.architecture, at: address(.text, thunk.offset), replacement: placed(place)!,
                contextSize: thunk.context.size, allocate: thunk.context.allocate, deallocate: thunk.context.deallocate
            ).bytes
            contents[.text]!.replaceSubrange(thunk.offset..<thunk.offset + bytes.count, with: bytes)
        }
        for (hop, offset) in layout.hops {
            guard let slot = layout.slots[LinkLayout.Slot(definition: hop.definition, addend: 0)] else { continue }
            try jump(at: offset, through: address(.constant, slot))
        }
        for (definition, offset) in layout.plt {
            guard let slot = layout.slots[LinkLayout.Slot(definition: definition, addend: 0)] else { continue }
            try jump(at: offset, through: address(.constant, slot))
        }
    }

    private mutating func jump(at offset: Int, through slot: Address) throws {
        guard
            let bytes = PltEntry.bytes(
                linker.live.architecture, at: address(.text, offset), slot: slot, landingPad: true)
        else {
            throw LinkError.unsupported(
                path: linker.edits[0].new.object.path, what: "its words are out of reach of its code",
                remedy: "Restart.")
        }
        contents[.text]!.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    private mutating func write(_ word: UInt64, _ kind: MemoryKind, _ offset: Int) {
        contents[kind]!.replaceSubrange(offset..<offset + GotSlot.size, with: GotSlot.bytes(word))
    }

    private mutating func fill() throws {
        for (slot, offset) in layout.slots {
            let target: Address
            switch slot.definition {
            case .piece(let place):
                target = try address(of: .piece(place.piece, offset: 0), in: place.edit, isFrame: false)
            case .symbol(let name, _): target = address(ofUndefined: name) ?? .null
            }
            write(target.rawValue &+ UInt64(bitPattern: slot.addend), .constant, offset)
        }
        fillThreadLocals()
        for place in linker.reached {
            guard let spot = spot(place) else { continue }
            for reference in linker.piece(place).references {
                let hop = LinkLayout.Hop(
                    place: place, definition: linker.definition(of: reference.target, in: place.edit))
                try apply(
                    reference, of: place.edit, at: spot, isFrame: false,
                    hop: reference.row.isShortJump ? layout.hops[hop] : nil)
            }
        }
        for (section, start) in layout.records {
            for (number, record) in linker.records[section]!.enumerated() {
                var reference = record.reference
                reference.offset = 0
                try apply(
                    reference, of: record.edit, at: .init(kind: .constant, offset: start + number * 4), isFrame: false)
            }
        }
        guard let frames = layout.frames else { return }
        var offset = frames.offset
        for (edit, bytes) in frames.bytes.enumerated() {
            contents[.constant]!.replaceSubrange(offset..<offset + bytes.count, with: bytes)
            for reference in frames.references[edit] {
                try apply(reference, of: edit, at: .init(kind: .constant, offset: offset), isFrame: true)
            }
            offset += bytes.count
        }
    }

    private mutating func fillThreadLocals() {
        func known(_ name: String) -> UInt64 { (linker.live.address(ofUndefined: name) ?? .null).rawValue }
        for (routine, offset) in layout.routines {
            let code = routine.code(linker.live.architecture) ?? []
            contents[.text]!.replaceSubrange(offset..<offset + code.count, with: code)
        }
        for (place, block) in layout.blocks {
            let section = linker.edits[place.edit].new.object.sections[place.section]
            let image = layout.sections[place].map { address($0.kind, $0.offset).rawValue } ?? 0
            let words =
                [
                    address(.data, block.key).rawValue, image, UInt64(section.bytes.count),
                    UInt64(max(16, section.alignment)),
                ] + LiveProgram.blockFunctions.map(known)
            for (index, word) in words.enumerated() { write(word, .constant, block.words + index * GotSlot.size) }
        }
        for (slot, offset) in layout.threadLocals {
            for (index, word) in words(of: slot).enumerated() { write(word, .constant, offset + index * GotSlot.size) }
        }
    }

    private func words(of slot: ThreadLocalSlot) -> [UInt64] {
        func place(_ routine: ThreadLocalRoutine) -> UInt64 {
            layout.routines[routine].map { address(.text, $0).rawValue } ?? 0
        }
        let addend = UInt64(bitPattern: slot.addend)
        let fromThreadPointer = linker.live.threadPointerOffset(of: slot.variable).map { $0 &+ addend }
        func pair(_ module: UInt64, _ offset: UInt64) -> [UInt64] {
            [module, offset &+ addend, (linker.live.address(ofUndefined: "__tls_get_addr") ?? .null).rawValue]
        }
        switch (slot.kind, slot.variable) {
        case (.word, _): return [fromThreadPointer ?? 0]
        // The program is the loader's first module.
        case (.pair, .program(let offset)): return pair(1, offset)
        case (.pair, .library(let module, let offset)): return pair(module.number, offset)
        case (.pair, .placed(let block, let offset)): return [block.rawValue, offset &+ addend, 0]
        case (.pair, .new(let section, let offset)):
            return [layout.blocks[section].map { address(.constant, $0.words).rawValue } ?? 0, offset &+ addend, 0]
        case (.descriptor, _):
            if let fromThreadPointer { return [place(.fixed), fromThreadPointer, 0] }
            let pair = layout.threadLocals[slot.pair].map { address(.constant, $0).rawValue } ?? 0
            return [place(.descriptor), pair, place(.address)]
        }
    }

    private mutating func apply(
        _ reference: ObjectGraph.Reference, of edit: Int, at spot: LinkLayout.Spot, isFrame: Bool, hop: Int? = nil
    ) throws {
        let row = reference.row
        let index = spot.offset + reference.offset
        let place = address(spot.kind, index)
        func failure(_ problem: FixupProblem) -> FixupError {
            Fixup(
                row: row, section: "the \(spot.kind) segment", offset: UInt64(index), addend: reference.addend,
                symbol: linker.edits[edit].new.name(of: reference.target)
            ).error(problem)
        }
        func write(_ subject: UInt64) throws(FixupProblem) {
            let value = row.value(
                subject: subject, addend: reference.addend, place: place, got: bases[.constant] ?? .null)
            try row.write(value, into: &contents[spot.kind]!, at: index)
        }
        do {
            switch row.subject {
            case .nothing: break
            case .symbol, .plt:
                let target =
                    try hop.map { address(.text, $0) } ?? copy(for: reference, in: edit)
                    ?? address(of: reference.target, in: edit, isFrame: isFrame)
                do throws(FixupProblem) { try write(target.rawValue) } catch {
                    let definition = linker.definition(of: reference.target, in: edit)
                    guard case .doesNotFit = error, row.isCall, let entry = layout.plt[definition] else { throw error }
                    try write(address(.text, entry).rawValue)
                }
            case .gotSlot:
                let slot = LinkLayout.Slot(
                    definition: linker.definition(of: reference.target, in: edit),
                    addend: row.addendInSlot ? reference.addend : 0)
                try write(address(.constant, layout.slots[slot]!).rawValue)
            case .got: try write((bases[.constant] ?? .null).rawValue)
            case .size: try write(UInt64(size(of: reference.target, in: edit)))
            case .threadPointerOffset, .moduleOffset, .threadPointerSlot, .moduleSlots, .localModuleSlots,
                .descriptorSlots:
                try write(threadLocal(reference, in: edit))
            }
        } catch let problem as FixupProblem {
            if case .doesNotFit = problem { try checkReach(of: reference, in: edit) }
            throw failure(problem)
        }
    }

    /// Where the copy of a library's constant lies, or the entry that leads to its function, that a field reaches.
    private func copy(for reference: ObjectGraph.Reference, in edit: Int) -> Address? {
        let definition = linker.definition(of: reference.target, in: edit)
        guard reference.row.reachesCopies, case .symbol(let name, _) = definition else { return nil }
        if let copy = layout.copies[name] { return address(.constant, copy.offset) }
        guard !reference.row.isCall, let entry = layout.plt[definition], linker.live.isFunctionOfLibrary(name) else {
            return nil
        }
        return address(.text, entry)
    }

    /// Code of programs reaches variables of libraries as if they were the program's: its linker copies those that it uses into it
    /// (R_*_COPY). One that it did not use, and that may change, has no copy.
    private func checkReach(of reference: ObjectGraph.Reference, in edit: Int) throws {
        guard case .symbol(let name, _) = linker.definition(of: reference.target, in: edit),
            let found = address(ofUndefined: name), let image = linker.live.index.image(containing: found),
            image != linker.live.image
        else { return }
        throw LinkError.unsupported(
            path: linker.edits[edit].new.object.path,
            what: "its code reaches \(Demangling.demangle(name) ?? name) as something of the program "
                + "(\(reference.row.name)), and it lies in \(image.path), of which the program has no copy",
            remedy: "Compile the edited file with -fPIC, reach it by a function of another file, or restart.")
    }

    /// What a reference to a thread-local stands for.
    private func threadLocal(_ reference: ObjectGraph.Reference, in edit: Int) throws(FixupProblem) -> UInt64 {
        guard let variable = linker.threadLocal(of: reference.target, in: edit) else { throw .unsupported }
        switch reference.row.subject {
        case .threadPointerOffset:
            guard let offset = linker.live.threadPointerOffset(of: variable) else { throw .unsupported }
            return offset
        case .moduleOffset: return variable.offset
        default:
            guard let slot = ThreadLocalSlot(reference.row, variable, addend: reference.addend),
                let offset = layout.threadLocals[slot]
            else { throw .unsupported }
            return address(.constant, offset).rawValue
        }
    }

    private func size(of target: ObjectGraph.Target, in edit: Int) -> Int {
        let graph = linker.edits[edit].new
        switch target {
        case .symbol(let index): return graph.object.symbols[index].size
        case .piece(let index, _):
            return graph.pieces[index].symbols.map { graph.object.symbols[$0].size }.max() ?? 0
        }
    }

    // MARK: What else changes

    func linked() throws -> LinkPlan.Linked {
        var result = LinkPlan.Linked()
        for place in linker.reached {
            let edit = linker.edits[place.edit]
            let name = edit.name(of: place.piece)
            switch linker.decision(place) {
            case .patch(let entry):
                let function = try edit.function(replacedBy: place.piece, at: entry)
                result.redirects.append(
                    .init(
                        function: function, address: placed(place)!, name: linker.piece(place).name,
                        contextSize: linker.contextSize(of: place)))
            case .repoint(let entry, let slot):
                guard let before = EntryStub.destination(of: entry, linker.live) else {
                    throw LinkError.unsupported(
                        path: edit.new.object.path,
                        what: "the word at \(slot), through which \(name) is entered, cannot be read",
                        remedy: "Restart.")
                }
                let start = layout.thunks[place].map { address(.text, $0.offset) } ?? placed(place)!
                result.stores.append(
                    .init(
                        address: slot, expected: GotSlot.bytes(before.rawValue), bytes: GotSlot.bytes(start.rawValue),
                        name: Demangling.demangle(name) ?? name))
            case .add:
                guard let known = layout.entries[place] else { break }
                let entry = address(.text, known.entry)
                result.identities.append((identity(place), entry))
                result.identities.append((EntryStub.slotName(entry), address(.data, known.slot)))
            case .take where edit.new.object.sections[linker.piece(place).section].isThreadLocal:
                guard let variable = linker.threadLocal(of: .piece(place.piece, offset: 0), in: place.edit),
                    let pair = layout.threadLocals[ThreadLocalSlot(pairOf: variable)]
                else { break }
                result.identities.append(
                    (
                        ThreadLocal.identity(
                            linker.piece(place).name, file: edit.threadLocalFile(of: place.piece, in: edit.new)),
                        address(.constant, pair)
                    ))
            case .take:
                let piece = linker.piece(place)
                if piece.name.isEmpty || piece.isFunction || piece.kind.isAnonymous { break }
                result.identities.append((identity(place), placed(place)!))
            default: break
            }
        }
        // Functions that are called otherwise than those of their names in the image, for the objects of other files.
        for (number, edit) in linker.edits.enumerated() {
            for (index, piece) in edit.new.pieces.enumerated() where edit.isCalledOtherwiseByAll(index) {
                let place = ObjectLinker.Place(edit: number, piece: index)
                guard let found = layout.entries[place].map({ address(.text, $0.entry) }) ?? placed(place) else {
                    continue
                }
                result.identities.append((NewEntries.identity(piece.name), found))
            }
        }
        // What is new under the name of a former one is what others find by it.
        for place in linker.reached where linker.edits[place.edit].renewed.contains(linker.piece(place).name) {
            guard let found = layout.entries[place].map({ address(.text, $0.entry) }) ?? placed(place) else { continue }
            result.identities.append((linker.edits[place.edit].new.identity(of: place.piece), found))
            guard let entry = layout.entries[place] else { continue }
            result.identities.append((EntryStub.slotName(found), address(.data, entry.slot)))
        }
        // Closures and others that the process has under other names, or not at all: for the object that comes after this one.
        let reached = Set(linker.reached)
        for (number, edit) in linker.edits.enumerated() {
            for function in edit.removedFunctions {
                result.identities.append((Baseline.removed(function.identity), function.entry))
            }
            for (index, piece) in edit.new.pieces.enumerated() where edit.isAliased(index) {
                let ordinary = edit.ordinaryAddress(of: index)
                let place = ObjectLinker.Place(edit: number, piece: index)
                switch edit.decisions[index].entry {
                case .bind(let entry) where entry != ordinary || edit.isBoundToAlias(index):
                    result.identities.append((Baseline.alias(piece.name, edit.digest), entry))
                case .add where ordinary != nil && layout.entries[place] == nil:
                    result.identities.append((Baseline.alias(piece.name, edit.digest), .null))
                case .take where ordinary != nil && !piece.isFunction && !reached.contains(place):
                    result.identities.append((Baseline.alias(piece.name, edit.digest), .null))
                default: break
                }
            }
            result.identities += edit.digests(placed: linker.reached.filter { $0.edit == number }.map(\.piece))
            result.identities += edit.otherwiseNamed.map { (edit.new.identity(of: $0.piece), $0.entry) }
        }
        result.stores += linker.edits.flatMap(\.stores)
        for (number, edit) in linker.edits.enumerated() {
            result.stores += try edit.tables.map { try store($0, of: number) }
        }
        for (number, edit) in linker.edits.enumerated() {
            // Several files have the vtable of a class whose functions are all in its header.
            for slot in edit.slots where !result.stores.contains(where: { $0.address == slot.address }) {
                let function = try address(of: slot.target, in: number, isFrame: false)
                result.stores.append(
                    .init(
                        address: slot.address, expected: GotSlot.bytes(slot.expected.rawValue),
                        bytes: GotSlot.bytes(function.rawValue), name: slot.name, isConstant: slot.isConstant))
            }
        }
        let frames = try frameRegistration()
        result.calls = (frames.map { [$0.call] } ?? []) + (try registrations())
        result.disposal = disposal(of: result, frames: frames)
        return result
    }

    private func store(_ table: ObjectEdit.Table, of edit: Int) throws -> LinkPlan.Store {
        let graph = linker.edits[edit].new
        var bytes = Array(graph.bytes(of: table.piece).prefix(table.expected.count))
        for reference in graph.pieces[table.piece].references {
            let target = try address(of: reference.target, in: edit, isFrame: false)
            let place = table.address + reference.offset
            let value = reference.row.value(
                subject: target.rawValue, addend: reference.addend, place: place, got: .null)
            do throws(FixupProblem) { try reference.row.write(value, into: &bytes, at: reference.offset) } catch {
                throw Fixup(
                    row: reference.row, section: table.name, offset: UInt64(reference.offset),
                    addend: reference.addend, symbol: graph.name(of: reference.target)
                ).error(error)
            }
        }
        return .init(
            address: table.address, expected: table.expected, bytes: bytes, name: table.name, isConstant: true)
    }

    /// What later objects find something by: what has another name in the process than in its object is found by that of the object.
    private func identity(_ place: ObjectLinker.Place) -> String {
        let edit = linker.edits[place.edit]
        let name = edit.name(of: place.piece)
        return ClosureMatch.isUnmatched(name)
            ? Baseline.alias(linker.piece(place).name, edit.digest) : edit.new.identity(of: place.piece, named: name)
    }
}

extension LinkDecision {
    /// The decision to bind to the entry that a function goes by, where it had one before.
    var entry: LinkDecision {
        switch self {
        case .patch(let entry), .repoint(let entry, _): .bind(entry)
        default: self
        }
    }
}

extension ObjectLinker {
    /// What to change, and with what.
    /// - Throws: `LinkError`, `FixupError`.
    public func plan() throws -> LinkPlan {
        let layout = try LinkLayout(self)
        let filled = MemoryKind.inLayout.filter { (layout.sizes[$0] ?? 0) > 0 }
        // What places nothing is not asked what it links: stores of addresses that are known already would be lost.
        let kinds = filled.isEmpty ? [.data] : filled
        return LinkPlan(
            // An address that a call returns to lies inside, also behind a last one that never returns, and not in the last byte.
            segments: kinds.map { LinkPlan.Segment(kind: $0, size: max(layout.sizes[$0]! + 2, GotSlot.size)) },
            near: live.image.range.lowerBound, notes: notes
        ) { ranges in
            var bases: [MemoryKind: Address] = [:]
            for (kind, range) in zip(kinds, ranges) { bases[kind] = range.lowerBound }
            let image = try LinkedImage(layout, at: bases)
            var linked = try image.linked()
            linked.contents = kinds.map { image.bytes($0) }
            return linked
        }
    }
}

extension MemoryKind {
    /// In the order in which they are asked for.
    fileprivate static let inLayout: [MemoryKind] = [.text, .constant, .data]
}
