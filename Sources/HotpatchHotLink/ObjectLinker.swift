import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// Links edited objects, together, into a process.
///
/// What an edit has changed is taken, and what that needs and the process does not have: each function by itself, data by whole sections,
/// for assemblers leave no relocation between local symbols of one section.
package struct ObjectLinker: Sendable {
    let edits: [ObjectEdit]
    let live: LiveProgram
    private(set) var reached: [Place] = []
    private var isReached: Set<Place> = []
    /// Data sections that are taken.
    private(set) var sections: [SectionPlace] = []
    private var isSectionTaken: Set<SectionPlace> = []
    /// Records for the Swift runtime, by the section they come from.
    private(set) var records: [String: [(edit: Int, reference: ObjectGraph.Reference)]] = [:]
    private(set) var frames: [FrameSection] = []
    /// Where each name that other objects may use is defined by these.
    private var definitions: [String: Place] = [:]
    /// What the user should know.
    private(set) var notes: [String] = []
    /// Thread-locals that the objects do not define.
    private var otherThreadLocals: [String: ThreadLocal] = [:]

    /// A piece of one of the edits.
    struct Place: Hashable, Sendable {
        var edit: Int
        var piece: Int
    }

    struct SectionPlace: Hashable, Sendable {
        var edit: Int
        var section: Int
    }

    /// - Throws: `LinkError` where something is not defined anywhere.
    package init(_ edits: [ObjectEdit], into live: LiveProgram) throws {
        self.edits = edits
        self.live = live
        for (number, edit) in edits.enumerated() {
            for (index, piece) in edit.new.pieces.enumerated() {
                for symbol in piece.symbols
                where edit.new.object.symbols[symbol].binding != .local
                    && !edit.new.object.symbols[symbol].isIndirect
                {
                    definitions[edit.new.object.symbols[symbol].name] = Place(edit: number, piece: index)
                }
            }
        }
        try checkCallers()
        try checkReturned()
        try checkVtables()
        notes = edits.flatMap(\.notes) + (try lostNotes()) + vtableNotes()
        try reach()
    }

    /// What is called otherwise has a new entry, of which only code knows that these objects bring.
    private func checkCallers() throws {
        for (number, edit) in edits.enumerated() where !edit.callers.isEmpty {
            let patched = entriesPatched(otherThanBy: number)
            let missing = edit.callers.filter { !patched.contains($0.entry) }
            guard missing.isEmpty else {
                throw LinkError.restart(
                    path: edit.new.object.path, reasons: edit.callReasons + missing.prefix(3).map(\.reason))
            }
        }
    }

    /// Functions of the process that the objects of other files replace.
    func entriesPatched(otherThanBy number: Int) -> Set<Address> {
        var result: Set<Address> = []
        for (other, edit) in edits.enumerated() where other != number {
            for decision in edit.decisions {
                switch decision {
                case .patch(let entry), .repoint(let entry, _): result.insert(entry)
                default: break
                }
            }
        }
        return result
    }

    /// Whether the process would be changed.
    package var changesNothing: Bool {
        reached.isEmpty && records.isEmpty
            && edits.allSatisfy {
                // What is gone, the next object may bring back: the process is to know what it was.
                $0.stores.isEmpty && $0.tables.isEmpty && $0.slots.isEmpty && $0.otherwiseNamed.isEmpty
                    && $0.gone.isEmpty
            }
    }

    func piece(_ place: Place) -> ObjectGraph.Piece { edits[place.edit].new.pieces[place.piece] }
    func decision(_ place: Place) -> LinkDecision { edits[place.edit].decisions[place.piece] }

    // MARK: What is taken

    private mutating func reach() throws {
        for (number, edit) in edits.enumerated() {
            for (index, decision) in edit.decisions.enumerated() {
                switch decision {
                case .patch, .repoint:
                    let place = Place(edit: number, piece: index)
                    if !isOnceMore(place) { mark(place) }
                default: break
                }
            }
            // Who called the former one may go on doing so: an object after this one finds this.
            for (index, piece) in edit.new.pieces.enumerated() where edit.entries.functions.contains(piece.name) {
                mark(Place(edit: number, piece: index))
            }
            for slot in edit.slots {
                if case .piece(let place) = definition(of: slot.target, in: number), decision(place).isTaken {
                    mark(place)
                }
            }
            collectRecords(number)
        }
        for edit in edits { frames.append(try FrameSection(edit.new)) }
        var missing: Set<String> = []
        for (number, edit) in edits.enumerated() {
            for reference in edit.tables.flatMap({ edit.new.pieces[$0.piece].references }) {
                try follow(reference, in: number, &missing)
            }
        }
        var next = 0
        while next < reached.count {
            let place = reached[next]
            next += 1
            let piece = piece(place)
            var references = piece.references
            if piece.isFunction { references += frames[place.edit].references(of: place.piece) }
            for reference in references { try follow(reference, in: place.edit, &missing) }
            guard missing.isEmpty else { continue }
            if try checkThreadLocals(place) {
                missing.formUnion(
                    (LiveProgram.blockFunctions + ["pthread_key_create", "free"]).filter {
                        live.address(ofUndefined: $0) == nil
                    })
            }
        }
        guard missing.isEmpty else {
            throw LinkError.undefined(
                path: edits.map(\.new.object.path).joined(separator: ", "),
                names: missing.sorted().map { name in
                    let files = live.filesKeeping(name).map { "static in \($0)" }.joined(separator: ", ")
                    return (Demangling.demangle(name) ?? name) + (files.isEmpty ? "" : " (\(files))")
                })
        }
        reached.sort { ($0.edit, $0.piece) < ($1.edit, $1.piece) }
        sections.sort { ($0.edit, $0.section) < ($1.edit, $1.section) }
    }

    /// Takes what a reference leads to, where the process does not have it.
    private mutating func follow(
        _ reference: ObjectGraph.Reference, in edit: Int, _ missing: inout Set<String>
    ) throws {
        switch definition(of: reference.target, in: edit) {
        case .piece(let target):
            if decision(target).isTaken { mark(target) }
            try check(reference, leadsTo: target)
        case .symbol(let name, let isWeak):
            if edits[edit].renewed.contains(name) {
                throw LinkError.restart(
                    path: edits[edit].new.object.path,
                    reasons: [
                        "\(Demangling.demangle(name) ?? name): another file has it, compiled with the former type: apply the object of that file, too"
                    ])
            }
            if reference.row.isThreadLocal {
                otherThreadLocals[name] = try live.threadLocal(
                    name, file: nil, isElsewhere: true, for: edits[edit].new.object.path)
                if otherThreadLocals[name] == nil { missing.insert(name) }
            } else if !isWeak, live.address(ofUndefined: name) == nil {
                try checkIndirect(reference.target, in: edit)
                missing.insert(name)
            }
        }
    }

    /// Whether another of these files has a function, too, that the process has once: each that uses it has it (`inline` of C++).
    private func isOnceMore(_ place: Place) -> Bool {
        let object = edits[place.edit].new.object
        guard piece(place).symbols.allSatisfy({ object.symbols[$0].binding == .weak }),
            let other = definitions[piece(place).name], other != place
        else { return false }
        return decision(other) == decision(place)
    }

    private mutating func mark(_ place: Place) {
        guard isReached.insert(place).inserted else { return }
        reached.append(place)
        for part in edits[place.edit].new.whole(place.piece) where part != place.piece {
            let other = Place(edit: place.edit, piece: part)
            if decision(other).isTaken { mark(other) }
        }
        let piece = piece(place)
        let section = SectionPlace(edit: place.edit, section: piece.section)
        guard !edits[place.edit].new.object.sections[piece.section].isExecutable,
            isSectionTaken.insert(section).inserted
        else { return }
        sections.append(section)
        // What has no name may be referred to without a relocation.
        for other in edits[place.edit].new.piecesOfSection[piece.section]
        where edits[place.edit].new.pieces[other].kind.isAnonymous {
            mark(Place(edit: place.edit, piece: other))
        }
    }

    /// Types, conformances and protocols that the process does not have.
    private mutating func collectRecords(_ number: Int) {
        let graph = edits[number].new
        for piece in graph.pieces {
            let section = graph.object.sections[piece.section].name
            guard ObjectEdit.registered.contains(section) else { continue }
            for reference in piece.references {
                guard case .piece(let target) = definition(of: reference.target, in: number), decision(target).isTaken
                else { continue }
                records[section, default: []].append((number, reference))
                mark(target)
            }
        }
    }

    /// No resolver is called for one that the process does not have.
    private func checkIndirect(_ target: ObjectGraph.Target, in edit: Int) throws {
        let object = edits[edit].new.object
        guard case .symbol(let index) = target, object.symbols[index].isIndirect else { return }
        throw LinkError.unsupported(
            path: object.path,
            what:
                "what \(object.symbols[index].name) leads to is chosen when the program starts (ifunc), and it is new",
            remedy: "Call what its resolver would choose, or restart.")
    }

    private func check(_ reference: ObjectGraph.Reference, leadsTo target: Place) throws {
        guard case .leave = decision(target) else { return }
        let piece = piece(target)
        let section = edits[target.edit].new.object.sections[piece.section]
        if section.isThreadLocal { return }
        throw LinkError.unsupported(
            path: edits[target.edit].new.object.path,
            what: "code refers to \(piece.name.isEmpty ? section.name : piece.name), which is not part of a program",
            remedy: "Restart.")
    }

    /// Whether code finds thread-locals by routines that are linked for it.
    /// - Throws: `LinkError` where it finds them as only those can be found that the program has from its start.
    private func checkThreadLocals(_ place: Place) throws -> Bool {
        let graph = edits[place.edit].new
        var isUsed = false
        var start: ThreadLocal?
        for reference in piece(place).references where reference.row.isThreadLocal {
            let name = graph.name(of: reference.target)
            func refused(_ what: String, _ remedy: String) -> LinkError {
                .unsupported(
                    path: graph.object.path,
                    what: "what is changed uses the thread-local variable \(Demangling.demangle(name) ?? name) \(what)",
                    remedy: remedy)
            }
            guard let variable = threadLocal(of: reference.target, in: place.edit) else {
                throw refused("in a way that is not known", "Restart, or keep the variable out of what is edited.")
            }
            isUsed = isUsed || variable.isOurs
            let isFixed = live.threadPointerOffset(of: variable) != nil
            switch reference.row.subject {
            case .threadPointerOffset, .threadPointerSlot:
                if isFixed { break }
                throw refused(
                    variable.isOurs
                        ? "by its distance from the thread pointer, and the process, whose threads are there, has no room for another"
                        : "by its distance from the thread pointer, and its library was loaded later: each thread has it elsewhere",
                    "Compile with -fPIC, keep the variable out of what is edited, or restart.")
            case .descriptorSlots:
                guard !isFixed, ThreadLocalRoutine.descriptor.code(live.architecture) == nil else { break }
                throw refused(
                    "by a descriptor, and it \(variable.isOurs ? "is new" : "is one of a library that was loaded later")",
                    "Compile with -mtls-dialect=gnu, keep the variable out of what is edited, or restart.")
            case .localModuleSlots: start = variable.moved(by: -Int(Int64(bitPattern: variable.offset)))
            case .moduleOffset:
                // One start for variables of the program and new ones is none.
                if let start, start == variable.moved(by: -Int(Int64(bitPattern: variable.offset))) { break }
                throw refused(
                    "together with another that lies elsewhere",
                    "Compile without optimisation (-Onone, -O0), or restart.")
            default: break
            }
        }
        return isUsed
    }

    /// The thread-local variable that a reference is to; nil where it is none that is known.
    func threadLocal(of target: ObjectGraph.Target, in edit: Int) -> ThreadLocal? {
        switch definition(of: target, in: edit) {
        case .symbol(let name, _): return otherThreadLocals[name]
        case .piece(let place):
            var inside = 0
            if case .piece(_, let offset) = target { inside = offset }
            let piece = piece(place)
            guard edits[place.edit].new.object.sections[piece.section].isThreadLocal, !piece.name.isEmpty else {
                return nil
            }
            if let known = edits[place.edit].threadLocals[place.piece] { return known.moved(by: inside) }
            return .new(
                SectionPlace(edit: place.edit, section: piece.section),
                offset: UInt64(piece.range.lowerBound + inside))
        }
    }

    // MARK: Targets

    enum Definition: Hashable, Sendable {
        case piece(Place)
        case symbol(String, isWeak: Bool)
    }

    /// What a reference of an edit leads to: something of these objects, or a name that only the process may have.
    func definition(of target: ObjectGraph.Target, in edit: Int) -> Definition {
        switch target {
        case .piece(let piece, let offset):
            let place = Place(edit: edit, piece: piece)
            // Where several of these files have the same thing, the process gets one.
            guard decision(place) == .add, offset == 0, let other = definitions[self.piece(place).name],
                decision(other) == .add
            else { return .piece(place) }
            return .piece(other)
        case .symbol(let index):
            let symbol = edits[edit].new.object.symbols[index]
            if let place = definitions[symbol.name] { return .piece(place) }
            return .symbol(symbol.name, isWeak: symbol.binding == .weak)
        }
    }
}
