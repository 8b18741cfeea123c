import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// Links edited objects, together, into a process.
///
/// What an edit has changed is taken, and what that needs and the process does not have: each function by itself, data by whole sections,
/// for assemblers leave no relocation between local symbols of one section.
public struct ObjectLinker: Sendable {
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
    public init(_ edits: [ObjectEdit], into live: LiveProgram) throws {
        self.edits = edits
        self.live = live
        for (number, edit) in edits.enumerated() {
            for (index, piece) in edit.new.pieces.enumerated() {
                for symbol in piece.symbols where edit.new.object.symbols[symbol].binding != .local {
                    definitions[edit.new.object.symbols[symbol].name] = Place(edit: number, piece: index)
                }
            }
        }
        try reach()
    }

    /// Whether the process would be changed.
    public var changesNothing: Bool {
        reached.isEmpty && records.isEmpty && edits.allSatisfy { $0.stores.isEmpty && $0.slots.isEmpty }
    }

    func piece(_ place: Place) -> ObjectGraph.Piece { edits[place.edit].new.pieces[place.piece] }
    func decision(_ place: Place) -> LinkDecision { edits[place.edit].decisions[place.piece] }

    // MARK: What is taken

    private mutating func reach() throws {
        for (number, edit) in edits.enumerated() {
            for (index, decision) in edit.decisions.enumerated() {
                switch decision {
                case .patch, .repoint: mark(Place(edit: number, piece: index))
                default: break
                }
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
        var next = 0
        while next < reached.count {
            let place = reached[next]
            next += 1
            let piece = piece(place)
            var references = piece.references
            if piece.isFunction { references += frames[place.edit].references(of: place.piece) }
            for reference in references {
                switch definition(of: reference.target, in: place.edit) {
                case .piece(let target):
                    if decision(target).isTaken { mark(target) }
                    try check(reference, leadsTo: target)
                case .symbol(let name, let isWeak):
                    if !isWeak, live.address(ofUndefined: name) == nil { missing.insert(name) }
                }
                try checkThreadLocal(reference, in: place.edit)
            }
        }
        guard missing.isEmpty else {
            throw LinkError.undefined(
                path: edits.map(\.new.object.path).joined(separator: ", "),
                names: missing.sorted().map { Demangling.demangle($0) ?? $0 })
        }
        reached.sort { ($0.edit, $0.piece) < ($1.edit, $1.piece) }
        sections.sort { ($0.edit, $0.section) < ($1.edit, $1.section) }
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
        where SymbolKind(edits[place.edit].new.pieces[other].name).isAnonymous {
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

    private func checkThreadLocal(_ reference: ObjectGraph.Reference, in edit: Int) throws {
        switch reference.row.subject {
        case .threadPointerOffset, .moduleOffset, .threadPointerSlot, .moduleSlots, .localModuleSlots, .descriptorSlots:
            throw LinkError.unsupported(
                path: edits[edit].new.object.path,
                what: "what is changed uses the thread-local variable \(edits[edit].new.name(of: reference.target))",
                remedy: "Restart, or keep the variable out of what is edited.")
        default: break
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
        case .piece(let piece, _): return .piece(Place(edit: edit, piece: piece))
        case .symbol(let index):
            let symbol = edits[edit].new.object.symbols[index]
            if let place = definitions[symbol.name] { return .piece(place) }
            return .symbol(symbol.name, isWeak: symbol.binding == .weak)
        }
    }
}
