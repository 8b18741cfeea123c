import CHotpatchElf
import HotpatchELF
import HotpatchMemory
import HotpatchSymbols

/// What becomes of each piece of the new object.
extension ObjectEdit {
    mutating func decide(_ comparison: inout GraphComparison, _ shift: LineShift) throws -> [LinkDecision] {
        let changed = try changedFunctions(&comparison, shift)
        try checkInitialisers(changed)
        try findThreadLocals()
        return try new.pieces.indices.map { index in
            let piece = new.pieces[index]
            let section = new.object.sections[piece.section]
            if section.isThreadLocal { return threadLocals[index] == nil && !piece.name.isEmpty ? .take : .leave }
            if section.type == UInt32(SHT_NOTE) || Self.isLeft(section.name) { return .leave }
            let kind = piece.kind
            if kind.isAnonymous { return .take }
            return piece.isFunction
                ? try decide(function: index, kind, changed) : try decide(data: index, kind)
        }
    }

    private mutating func findThreadLocals() throws {
        for (index, piece) in new.pieces.enumerated() {
            guard new.object.sections[piece.section].isThreadLocal, !piece.name.isEmpty else { continue }
            if isOwnStatic(index) { continue }
            threadLocals[index] = try live.threadLocal(
                piece.name, file: threadLocalFile(of: index, in: old), for: new.object.path)
            guard let partner = oldNames[piece.name] else {
                guard threadLocals[index] == nil else {
                    throw LinkError.unsupported(
                        path: new.object.path,
                        what: "the thread-local variable \(piece.name) is defined by another file of the program",
                        remedy: "Give the objects of both files, or restart.")
                }
                continue
            }
            guard threadLocals[index] != nil else {
                // Nothing that runs uses it: it was new, and not needed.
                if !isUsed(threadLocal: partner) { continue }
                throw LinkError.unsupported(
                    path: new.object.path,
                    what: "the thread-local variable \(piece.name) of the old object is not in the process",
                    remedy: "Restart.")
            }
            if old.size(of: partner) == new.size(of: index), old.bytes(of: partner) != new.bytes(of: index) {
                notes.append("\(display(piece.name)): its value is kept: each thread has its own")
            }
        }
    }

    /// Whether code or data of the old object uses a thread-local of it, and is in the process.
    private func isUsed(threadLocal piece: Int) -> Bool {
        old.pieces.indices.contains { index in
            (baseline.places[index] != nil || old.pieces[index].kind.isAnonymous)
                && old.pieces[index].references.contains { reference in
                    guard case .piece(let target, _) = reference.target else { return false }
                    return target == piece
                }
        }
    }

    /// The file that a thread-local of the new object is of, as one of the objects calls it; nil of one that others can name.
    func threadLocalFile(of piece: Int, in graph: ObjectGraph) -> String? {
        let isLocal = new.pieces[piece].symbols.allSatisfy { new.object.symbols[$0].binding == .local }
        return isLocal ? graph.object.fileName : nil
    }

    /// Sections that say something to linkers and the runtime, and not to code.
    static func isLeft(_ section: String) -> Bool {
        section == ".eh_frame" || section.hasPrefix(".note") || section == ".swift1_autolink_entries"
            || registered.contains(section) || section == "swift5_builtin" || section == "swift5_accessible_functions"
            || section == "swift5_tests" || section == "swift5_replace" || section == "swift5_replac2"
    }

    /// Sections whose records are registered with the Swift runtime.
    static let registered = ["swift5_type_metadata", "swift5_protocol_conformances", "swift5_protocols"]

    /// The functions, by their name in the process, whose code an edit has changed: with all of their parts.
    private mutating func changedFunctions(
        _ comparison: inout GraphComparison, _ shift: LineShift
    ) throws -> Set<String> {
        var oldParts: [String: Set<String>] = [:]
        for name in oldNames.keys {
            if let owner = SymbolKind.owner(of: name) { oldParts[owner, default: []].insert(name) }
        }
        var (changed, edited): (Set<String>, Set<String>) = ([], [])
        var newParts: [String: Set<String>] = [:]
        let tables = (try ExceptionTables(old), try ExceptionTables(new))
        for (index, piece) in new.pieces.enumerated() where piece.isFunction && !piece.name.isEmpty {
            let name = name(of: index)
            let owner = SymbolKind.owner(of: name)
            if let owner { newParts[owner, default: []].insert(name) }
            guard let partner = oldNames[name], old.pieces[partner].isFunction, comparison.areEqual(partner, index),
                tables.0.isEqual(partner, tables.1, index, &comparison)
            else {
                changed.insert(owner ?? name)
                if let partner = oldNames[name], comparison.haveEqualReferences(partner, index),
                    tables.0.isEqual(partner, tables.1, index, &comparison),
                    shift.explains(
                        Array(old.bytes(of: partner)), Array(new.bytes(of: index)),
                        of: SymbolKind.owner(of: piece.name) ?? piece.name)
                {
                    continue
                }
                edited.insert(owner ?? name)
                continue
            }
        }
        for (owner, parts) in newParts where parts != oldParts[owner] { edited.insert(owner) }
        for owner in oldParts.keys where newParts[owner] == nil { edited.insert(owner) }
        movedFunctions = changed.subtracting(edited)
        return changed.union(edited)
    }

    private mutating func decide(function index: Int, _ kind: SymbolKind, _ changed: Set<String>) throws -> LinkDecision
    {
        let name = name(of: index)
        if kind.isPart || kind.isUnstable { return .take }
        let isWeak = new.pieces[index].symbols.allSatisfy { new.object.symbols[$0].binding == .weak }
        guard let partner = oldNames[name], let place = baseline.places[partner] else {
            if isWeak { return decideInline(index) }
            if ClosureMatch.isUnmatched(name) { return .add }
            // Another file's static function has nothing to do with it.
            if isOwnStatic(index) { return .add }
            try checkKnown(index)
            // Where an edit before has removed it, what waits or is stored may refer to it yet.
            let isBack = live.identity(Baseline.removed(name)) != nil || moved.names.contains(name)
            if isBack, let known = live.identity(DefinitionDigests.identity(name)),
                let text = functions.new.fingerprint(of: new.pieces[index].name)?.text,
                known != DefinitionDigests.number(text)
            {
                throw LinkError.restart(
                    path: new.object.path,
                    reasons: ["\(display(name)): it comes back, and is called otherwise than the one before"])
            }
            if let symbol = live.symbol(name, of: new.owner(of: index)) {
                if isBack, symbol.isFunction { return .patch(symbol.address) }
                throw definedElsewhere(name)
            }
            guard let entry = live.identity(name), let slot = live.identity(EntryStub.slotName(entry)) else {
                return .add
            }
            if isBack { return .repoint(entry: entry, slot: slot) }
            // An edit has added it to another file, whose functions call that one.
            if live.isPlaced(name) { throw definedElsewhere(name) }
            return .add
        }
        if !changed.contains(name), baseline.isVerified[partner] { return .bind(place.address) }
        // Its code is the resolver's, and its name another function's.
        if let symbol = new.pieces[index].symbols.map({ new.object.symbols[$0] }).first(where: \.isIndirect) {
            notes.append(
                "\(display(symbol.name)): what it leads to was chosen when the program started (ifunc), and is not chosen again"
            )
            return .bind(place.address)
        }
        // Every file that uses it has one like it, of which the linker has kept another file's.
        if isWeak, !baseline.isVerified[partner] { return .take }
        partners[index] = partner
        if place.isInImage { return .patch(place.address) }
        guard let slot = live.identity(EntryStub.slotName(place.address)) else { return .take }
        return .repoint(entry: place.address, slot: slot)
    }

    private func definedElsewhere(_ name: String) -> LinkError {
        .unsupported(
            path: new.object.path,
            what: "\(Demangling.demangle(name) ?? name) is defined by another file of the program",
            remedy: "Give the objects of both files, or restart.")
    }

    /// A function that every file has which uses it (`inline` of C++, templates, what a class defines in itself), and this one has not had:
    /// where an edit after this one changes it, those who call it now are to find that. Nobody edits the standard library's.
    private func decideInline(_ index: Int) -> LinkDecision {
        let name = name(of: index)
        let isOfLibrary = ["_ZNSt", "_ZNKSt", "_ZSt", "_ZN9__gnu_cxx", "_ZNK9__gnu_cxx"].contains(where: name.hasPrefix)
        guard !name.hasPrefix("$"), !isOfLibrary else { return .take }
        let isBack = live.identity(Baseline.removed(name)) != nil
        if let symbol = live.symbol(name, of: .all) {
            guard symbol.isFunction, !symbol.isIndirect, symbol.binding != .local else { return .take }
            if isBack { return .patch(symbol.address) }
            // The one that the other files call: a later edit of it is to reach this file, too.
            return Baseline.isSame(index, of: new, asWhatRunsAt: symbol.address, live) ? .bind(symbol.address) : .take
        }
        guard let entry = live.identity(name) else { return .add }
        // An edit before has removed it from this file, or another file has it.
        guard isBack, let slot = live.identity(EntryStub.slotName(entry)) else {
            return Baseline.isSame(index, of: new, asWhatRunsAt: entry, live) ? .bind(entry) : .take
        }
        return .repoint(entry: entry, slot: slot)
    }

    /// Whether it is a static function or variable of C that the edit has added to this file: others have static things of the same name.
    private func isOwnStatic(_ index: Int) -> Bool {
        new.isStatic(index) && oldNames[name(of: index)] == nil
    }

    /// Functions of the process that the edit has removed from the file: their names and entries.
    var removedFunctions: [(name: String, identity: String, entry: Address)] {
        let kept = Set(
            new.pieces.indices.lazy.filter { new.pieces[$0].isFunction }.map { name(of: $0) }
        ).union(new.pieces.lazy.map(\.name).filter(renewed.contains))
        return old.pieces.indices.compactMap { index in
            let (name, kind) = (old.pieces[index].name, old.pieces[index].kind)
            guard old.pieces[index].isFunction, let place = baseline.places[index], !kept.contains(name),
                !kind.isAnonymous, !kind.isUnstable, !kind.isPart, ClosureMatch.closureEnds(in: name).isEmpty
            else { return nil }
            return (name, old.identity(of: index), place.address)
        }
    }

    /// Nobody takes any of several static things of one name, and none gets another copy.
    private func checkKnown(_ index: Int) throws {
        let name = name(of: index)
        guard live.isAmbiguous(name, of: new.owner(of: index)) else { return }
        throw LinkError.unsupported(
            path: new.object.path,
            what:
                "\(live.image.path) has several \(Demangling.demangle(name) ?? name), of files that have one name, too",
            remedy: "Give them different names, or restart.")
    }

    private func decide(data index: Int, _ kind: SymbolKind) throws -> LinkDecision {
        let name = name(of: index)
        // The record of a function that is taken anew wherever it is used.
        if name.hasSuffix("Tu"), SymbolKind(String(name.dropLast(2))).isUnstable { return .take }
        if let partner = oldNames[name], let place = baseline.places[partner] { return .bind(place.address) }
        if ClosureMatch.isUnmatched(name) || isOwnStatic(index) { return .take }
        if let symbol = live.symbol(name, of: new.owner(of: index)), !symbol.isFunction {
            return .bind(symbol.address)
        }
        if let known = live.identity(new.identity(of: index, named: name)) { return .bind(known) }
        if new.object.sections[new.pieces[index].section].isWritable { try checkKnown(index) }
        return .take
    }

    /// The image's function that a piece replaces, by its symbol there: an object after a renumbering may have another name for it.
    func function(replacedBy piece: Int, at address: Address) throws -> FunctionSymbol {
        let former = partners[piece].map { old.pieces[$0].name } ?? name(of: piece)
        if let named = live.index.functionSymbol(named: former, at: address, in: live.image) { return named }
        guard let found = live.index.function(containing: address), found.offset == 0 else {
            throw missing(piece, at: address)
        }
        return found.symbol
    }

    private func missing(_ piece: Int, at address: Address) -> LinkError {
        .unsupported(
            path: new.object.path,
            what: "no symbol of \(live.image.path) is at \(address), where \(name(of: piece)) is to be",
            remedy: "Restart.")
    }
}
