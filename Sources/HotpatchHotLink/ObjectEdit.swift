import CHotpatchElf
import HotpatchELF
import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// One source file's edit: the object that runs, the new one, and what becomes of each piece of that.
public struct ObjectEdit: Sendable {
    public let old: ObjectGraph
    public let new: ObjectGraph
    /// Of the new object.
    public let digest: String
    public let closures: ClosureMatch
    private let numbered: NumberedNames
    /// Parallel to the new object's pieces.
    public private(set) var decisions: [LinkDecision]
    /// Of pieces that are patched: the baseline's.
    private(set) var partners: [Int: Int] = [:]
    /// Constants whose values the edit has changed.
    private(set) var stores: [LinkPlan.Store] = []
    /// Constants that hold references, likewise.
    private(set) var tables: [Table] = []
    /// Words of vtables that the edit gives another function to.
    private(set) var slots: [VtableSlot] = []
    /// Where the process has thread-locals of the new object, by their pieces.
    private(set) var threadLocals: [Int: ThreadLocal] = [:]
    /// Functions that are called otherwise than before.
    private(set) var entries = NewEntries()
    /// Functions of other files that call these, by their entries, which have to be patched by their own objects; and what is said where
    /// one is not.
    private(set) var callers: [(entry: Address, reason: String)] = []
    private(set) var callReasons: [String] = []
    /// Functions that differ in nothing but the numbers of their lines, by their names in the process: what they say where they fail.
    private(set) var movedFunctions: Set<String> = []
    /// What the user should know.
    public private(set) var notes: [String] = []

    private let baseline: Baseline
    private let live: LiveProgram
    private let moved: MovedFunctions
    private let oldNames: [String: Int]

    /// A constant of the process, and the piece of the new object that tells what it is to hold.
    struct Table: Sendable {
        var piece: Int
        var address: Address
        var expected: [UInt8]
        var name: String
    }

    /// - Parameters:
    ///   - before: the object that runs.
    ///   - after: the new one.
    ///   - moved: functions that come from other files that are edited with this one.
    /// - Throws: `ReadError`, `LinkError`, `FixupError`.
    public init(before: ElfImage, after: ElfImage, live: LiveProgram, moved: MovedFunctions = MovedFunctions()) throws {
        let (old, new) = (try ObjectFile(before), try ObjectFile(after))
        digest = after.contentsDigest
        for object in [old, new] where object.architecture != live.architecture {
            throw LinkError.otherMachine(
                path: object.path, object: object.architecture.name, process: live.architecture.name)
        }
        self.old = try ObjectGraph(old)
        self.new = try ObjectGraph(new)
        self.live = live
        self.moved = moved
        let former = before.contentsDigest
        baseline = try Baseline(self.old, digest: former, live: live)
        oldNames = self.old.named()
        try Self.checkOneFile(old, new)
        try Self.checkStack(old, new)
        var comparison = GraphComparison(self.old, self.new)
        let interfaces = try InterfaceComparison(before, after)
        var closures = ClosureMatch(&comparison, described: interfaces.captures)
        if closures.forget(where: { live.identity(Baseline.alias($0, former)) == .null }) {
            comparison.rename { [closures] in closures.renamed($0) }
        }
        self.closures = closures
        numbered = try NumberedNames(&comparison, interfaces) {
            live.identity(Baseline.alias($0, former)) == .null
        }
        comparison.rename { [closures, numbered] in numbered.renamed(closures.renamed($0)) }
        decisions = []
        try checkInterfaces(interfaces)
        let changes = ConstantChange.all(old: self.old, new: self.new, constants: interfaces.constants) {
            [closures, numbered] in numbered.renamed(closures.renamed($0))
        }
        makeAnew(changes, interfaces.constants)
        if !entries.isEmpty {
            comparison.rename { [closures, numbered, entries] in
                entries.renamed(numbered.renamed(closures.renamed($0)))
            }
        }
        decisions = try decide(
            &comparison, LineShift(interfaces.lines, old.architecture) { [closures] in closures.renamed($0) })
        try compareValues(changes)
        noteRemovedConformances()
        noteCalledOnce()
        for case (let piece, .patch(let entry)) in decisions.enumerated() {
            let name = name(of: piece)
            let callee = live.callee(name, at: entry)
            // Not what another image has in its place, to call it (a PLT entry, where its address was taken).
            guard callee != entry, let other = live.index.image(containing: callee),
                live.index.exportedAddress(of: name, in: other.path) == callee
            else { continue }
            notes.append("\(display(name)): the process calls that of \(other.path), and not this one")
        }
    }

    /// The functions of a file stay its own, whatever an edit does: two objects without any in common are of two files, and one would
    /// replace the functions of the other file without having been compared with them.
    private static func checkOneFile(_ old: ObjectFile, _ new: ObjectFile) throws {
        func functions(_ object: ObjectFile) -> Set<String> {
            let symbols = object.symbols.lazy.filter { $0.isFunction && $0.section != nil && $0.binding != .weak }
            return Set(symbols.map(\.name).filter { !SymbolKind($0).isUnstable })
        }
        let (before, after) = (functions(old), functions(new))
        guard before.isEmpty || after.isEmpty || !before.isDisjoint(with: after) else {
            throw LinkError.unsupported(
                path: new.path, what: "it has no function in common with its baseline \(old.path)",
                remedy: "Give the object that was compiled of the same file before the edit.")
        }
    }

    /// Stacks are made executable when the program, or a thread, starts.
    private static func checkStack(_ old: ObjectFile, _ new: ObjectFile) throws {
        guard new.needsExecutableStack, !old.needsExecutableStack else { return }
        throw LinkError.unsupported(
            path: new.path,
            what: "it takes the address of a function inside a function, which needs a stack that can be executed",
            remedy: "Pass what that function uses as an argument, or restart.")
    }

    /// What the objects are part of.
    public var image: LoadedImage { live.image }

    /// The name that a piece of the new object goes by in the process.
    func name(of piece: Int) -> String { renamed(new.pieces[piece].name) }

    private func renamed(_ name: String) -> String { entries.renamed(numbered.renamed(closures.renamed(name))) }

    /// Whether others that are compiled anew are to find a function, or its record, where it was not: it is called otherwise.
    func isCalledOtherwiseByAll(_ piece: Int) -> Bool {
        let name = new.pieces[piece].name
        return entries.renamed(name) != name && new.pieces[piece].isFunction == entries.functions.contains(name)
            && new.pieces[piece].symbols.contains { new.object.symbols[$0].binding != .local }
    }

    /// Where the process has what the old object defines under a name.
    func formerAddress(of name: String) -> Address? { oldNames[name].flatMap { baseline.places[$0]?.address } }

    /// Whether the process has, or may have, something under another name than this object: the name does not tell the next one.
    func isAliased(_ piece: Int) -> Bool {
        let own = new.pieces[piece].name
        return !ClosureMatch.closureEnds(in: own).isEmpty || numbered.names[own] != nil
            || oldNames[name(of: piece)].flatMap { baseline.places[$0]?.isAliased } ?? false
    }

    /// Where a name leads in the process, as long as no object says otherwise.
    func ordinaryAddress(of name: String) -> Address? {
        live.symbol(name, file: new.object.fileName)?.address ?? live.identity(name)
    }

    /// Where what is suspended in functions that the edit replaces goes on: in their former code.
    var formerResumptions: [Address] {
        let replaced = Set(
            decisions.indices.compactMap { index -> String? in
                // Where only lines have other numbers, the former code does the same.
                if movedFunctions.contains(name(of: index)) { return nil }
                return switch decisions[index] {
                case .patch, .repoint: oldNames[name(of: index)].map { old.pieces[$0].name }
                default: nil
                }
            })
        return old.pieces.indices.compactMap { index in
            let piece = old.pieces[index]
            guard piece.kind.isPart, SymbolKind.owner(of: piece.name).map(replaced.contains) ?? false else {
                return nil
            }
            return baseline.part(index)
        }
    }

    // MARK: Decisions

    private mutating func decide(_ comparison: inout GraphComparison, _ shift: LineShift) throws -> [LinkDecision] {
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

    /// What exists in the process, or what code outside of the object relies on, must be as it was.
    private mutating func checkInterfaces(_ interfaces: InterfaceComparison) throws {
        var reasons: [String] = []
        var overrides: [RestartReason.Slot] = []
        var called: [(function: String, reason: String)] = []
        for reason in RestartReason.all(old: old, new: new) {
            switch reason.kind {
            case .override(let found) where !found.isEmpty:
                overrides += found
                notes.append(reason.description)
            case .opaqueResult(let function): called.append((function, reason.description))
            default: reasons.append(reason.description)
            }
        }
        let told = Set(called.map(\.function))
        called += interfaces.functionChanges(opaque: told) { numbered.renamed(closures.renamed($0)) }
        let named = new.named()
        let variables = interfaces.variableChanges().filter { name, _ in
            // Of another size, it is told by that.
            guard let before = oldNames[name], let after = named[name] else { return true }
            return old.size(of: before) == new.size(of: after)
        }
        reasons += interfaces.typeChanges() + variables.map(\.reason) + sharedNameChanges()
        if reasons.isEmpty { reasons = try takeEntries(called) } else { reasons += called.map(\.reason) }
        guard reasons.isEmpty else { throw LinkError.restart(path: new.object.path, reasons: reasons) }
        notes += closures.unmatchedOld.filter(mayBeStored).map { interfaces.kept($0).description }
        notes += numbered.unmatchedLambdas.map {
            "\($0): it is gone, or captures otherwise than before: where it is stored, it stays as it is"
        }
        guard !overrides.isEmpty else { return }
        let found = try VtableSlot.all(overrides, in: new, live) { name in
            formerAddress(of: name) ?? live.address(ofUndefined: name)
        }
        slots = found.slots
        notes += found.notes
    }

    /// Whether anything of the old object has a closure's address to give away. One that only who makes it calls, nobody stores.
    private func mayBeStored(_ closure: String) -> Bool {
        guard let index = oldNames[closure] else { return true }
        return old.pieces.contains { piece in
            !Self.isLeft(old.object.sections[piece.section].name)
                && piece.references.contains { reference in
                    guard case .piece(index, offset: 0) = reference.target else { return false }
                    return !reference.row.isCall || piece.kind.isUnstable
                }
        }
    }

    /// Names of C and C++ that are another's, too (`alias`), in only one of the objects: what uses the one uses the other in the process.
    private func sharedNameChanges() -> [String] {
        func places(_ graph: ObjectGraph) -> [String: Int] {
            var result: [String: Int] = [:]
            for (index, piece) in graph.pieces.enumerated() where !piece.range.isEmpty {
                for symbol in piece.symbols where !graph.object.symbols[symbol].name.hasPrefix("$") {
                    result[graph.object.symbols[symbol].name] = index
                }
            }
            return result
        }
        let (before, after) = (places(old), places(new))
        func other(_ name: String, _ here: (graph: ObjectGraph, names: [String: Int]), _ there: [String: Int])
            -> String?
        {
            guard let piece = here.names[name], let place = there[name] else { return nil }
            return here.graph.pieces[piece].symbols.lazy.map { here.graph.object.symbols[$0].name }.first {
                $0 != name && there[$0].map { $0 != place } ?? false
            }
        }
        var reasons: [String] = []
        for name in before.keys.sorted() {
            if let former = other(name, (old, before), after) {
                reasons.append("\(display(name)): it was another name of \(display(former)), and is not any more")
            } else if let now = other(name, (new, after), before) {
                reasons.append("\(display(name)): it is another name of \(display(now)) now")
            }
        }
        return reasons
    }

    /// Gives functions entries of their own that are called otherwise, where all who call them are in the object.
    /// - Returns: what stands in the way.
    private mutating func takeEntries(_ called: [(function: String, reason: String)]) throws -> [String] {
        if called.isEmpty { return [] }
        let named = new.named()
        let others = OtherCallers(old, baseline, live)
        var found: [String: OtherCallers.Found] = [:]
        for (function, _) in called where found[function] == nil {
            // A closure has who made it for a caller, or whoever that gave it to.
            guard ClosureMatch.closureEnds(in: function).last != function.utf8.count,
                let index = oldNames[function], old.pieces[index].isFunction, named[function] != nil
            else { return called.map(\.reason) }
            found[function] = others.all(of: index)
        }
        let sorted = found.sorted { $0.key < $1.key }
        guard found.values.allSatisfy(\.obstacles.isEmpty) else {
            return called.map(\.reason) + sorted.flatMap(\.value.obstacles)
                + sorted.flatMap { $0.value.callers.map(\.reason) }
        }
        entries.functions = Set(found.keys)
        callers = sorted.flatMap(\.value.callers)
        callReasons = called.map(\.reason)
        notes += called.map { "\($0.reason): what runs in it, or is stored, goes on with the former one" }
        notes += sorted.filter(\.value.isCalledByLinkedCode).map {
            "\(display($0.key)): code that was linked before calls the former one. Where that is of another file, apply it, too"
        }
        return []
    }

    /// Lets constants that are initialised at their first use be so once more, where what initialises them has changed.
    private mutating func makeAnew(_ changes: [ConstantChange], _ constants: Set<String>) {
        for case .resized(let name) in changes {
            entries.variables.insert(name)
            notes.append("\(display(name)): it has another size: what holds its address goes on with the former one")
        }
        for case .lazy(let name, _, _) in changes {
            let constant = LazyConstant(name, old: old, new: new, constants: constants)
            if let constant, constant.obstacle == nil,
                oldNames[constant.addressorName].flatMap({ baseline.places[$0] }) != nil
            {
                entries.variables.formUnion([name, constant.token])
            } else {
                let reason = constant?.obstacle ?? "its accessor is not in the process"
                notes.append("\(display(name)): its value stays what it is, or would have been: \(reason)")
            }
        }
    }

    /// What the edit gives to globals that exist. A constant that holds no reference is stored, where all of its readers find it; whatever
    /// else the process has made or may have changed is kept.
    private mutating func compareValues(_ changes: [ConstantChange]) throws {
        var reasons: [String] = []
        let named = new.named()
        func isTaken(_ name: String) -> Bool { named[name].map { decisions[$0] == .take } ?? false }
        for change in changes {
            switch change {
            case .kept(let name, _) where isTaken(name): break
            case .kept(let name, let reason): notes.append("\(display(name)): its value is kept: \(reason)")
            // Made anew, or told of.
            case .lazy, .resized: break
            case .relink(let name):
                guard let place = oldNames[name].flatMap({ baseline.places[$0] }), let piece = named[name],
                    let was = try? live.memory.bytes(at: place.address, count: new.size(of: piece))
                else { continue }
                tables.append(Table(piece: piece, address: place.address, expected: was, name: display(name)))
            case .impossible(let name, let reason): reasons.append("\(display(name)): \(reason)")
            case .store(let name, let was, let bytes):
                guard let place = oldNames[name].flatMap({ baseline.places[$0] }) else { continue }
                stores.append(
                    .init(address: place.address, expected: was, bytes: bytes, name: display(name), isConstant: true))
            }
        }
        for index in newVariablesOfTopLevelCode() {
            reasons.append(
                "\(display(new.pieces[index].name)): it is new, and the top-level code that initialises it has begun")
        }
        for (name, index) in named where !new.pieces[index].isFunction && !new.pieces[index].kind.isAnonymous {
            guard let partner = oldNames[renamed(name)] else { continue }
            if case .bind = decisions[index] {} else if threadLocals[index] == nil { continue }
            let sizes = (old.size(of: partner), new.size(of: index))
            // What is larger would reach into what lies behind it. Of Swift's records, each has been compared.
            // Of lambdas, the text has their numbers in it.
            if name.hasPrefix("_ZTS") { continue }
            if sizes.0 != sizes.1, !name.hasPrefix("$s") || name.hasSuffix("vp") || name.hasSuffix("vpZ") {
                reasons.append("\(display(name)): it had \(sizes.0) bytes, and has \(sizes.1) now")
            }
        }
        guard reasons.isEmpty else { throw LinkError.restart(path: new.object.path, reasons: reasons.sorted()) }
    }

    /// The runtime has no way to forget them.
    private mutating func noteRemovedConformances() {
        func records(_ graph: ObjectGraph, _ ending: String) -> Set<String> {
            Set(graph.pieces.lazy.map(\.name).filter { $0.hasPrefix("$s") && $0.hasSuffix(ending) })
        }
        let gone = records(old, "Mc").subtracting(records(new, "Mc")).subtracting(moved.conformances)
        if gone.isEmpty { return }
        // With its type, nobody asks for it any more.
        let types = records(old, "Mn").subtracting(records(new, "Mn")).map { $0.dropLast(2) }
        for name in gone.sorted() where !types.contains(where: name.hasPrefix) {
            let text = SwiftLayoutNames.text(name, without: "protocol conformance descriptor for ")
            notes.append("\(text): the conformance is gone, and the process has it until it is started anew")
        }
    }

    /// Variables of Swift that the edit has added to a file of top-level code. That runs once: whoever else used them would find zeros.
    private func newVariablesOfTopLevelCode() -> [Int] {
        var result: Set<Int> = []
        for piece in new.pieces where piece.isFunction {
            guard ["main", "async_Main"].contains(SymbolKind.owner(of: piece.name) ?? piece.name) else { continue }
            for case .piece(let target, _) in piece.references.map(\.target)
            where decisions[target] == .take && new.pieces[target].name.hasSuffix("vp")
                && new.object.sections[new.pieces[target].section].isWritable
            {
                result.insert(target)
            }
        }
        return result.sorted()
    }

    private func display(_ name: String) -> String { Demangling.demangle(name) ?? name }

    /// What runs when the program starts or ends, and has run, or is not known to who runs it.
    private mutating func noteCalledOnce() {
        func functions(_ graph: ObjectGraph, _ sections: [String]) -> Set<Int> {
            var result: Set<Int> = []
            for piece in graph.pieces {
                let name = graph.object.sections[piece.section].name
                guard sections.contains(where: name.hasPrefix) else { continue }
                for case .piece(let target, _) in piece.references.lazy.map(\.target)
                where graph.pieces[target].isFunction && !graph.pieces[target].name.isEmpty {
                    result.insert(target)
                }
            }
            return result
        }
        func names(_ sections: [String]) -> (old: Set<String>, new: [(name: String, piece: Int)]) {
            // Those of C++ globals are told of already.
            let now = functions(new, sections).map { (name(of: $0), $0) }.filter { !$0.0.hasPrefix("_GLOBAL__sub_") }
            return (Set(functions(old, sections).map { old.pieces[$0].name }), now.sorted { $0.0 < $1.0 })
        }
        let starting = names([".init_array", ".preinit_array", ".ctors"])
        for (name, piece) in starting.new {
            if !starting.old.contains(name) {
                notes.append("\(display(name)): it runs when the program starts, and was not run")
            } else {
                switch decisions[piece] {
                case .patch, .repoint:
                    notes.append("\(display(name)): it has run when the program started, and was not run again")
                default: break
                }
            }
        }
        let ending = names([".fini_array", ".dtors"])
        for (name, _) in ending.new where !ending.old.contains(name) {
            notes.append(
                "\(display(name)): it runs when the program ends, and will not: the process does not know of it")
        }
    }

    /// What initialises the globals of a C++ file has run when the program started.
    private func checkInitialisers(_ changed: Set<String>) throws {
        let names = [
            "_GLOBAL__sub_I_", "__cxx_global_var_init", "_Z41__static_initialization_and_destruction_0", "__tls_init",
            "_ZTH",
        ]
        guard changed.contains(where: { name in names.contains { name.hasPrefix($0) } }) else { return }
        throw LinkError.unsupported(
            path: new.object.path,
            what:
                "the edit adds a global that is initialised when the program, or a thread, starts, or changes what one is "
                + "initialised with",
            remedy: "Restart.")
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
            try checkKnown(name)
            // Where an edit before has removed it, what waits or is stored may refer to it yet.
            let isBack = live.identity(Baseline.removed(name)) != nil || moved.names.contains(name)
            if let symbol = live.symbol(name, file: new.object.fileName) {
                if isBack, symbol.isFunction { return .patch(symbol.address) }
                throw LinkError.unsupported(
                    path: new.object.path,
                    what: "\(Demangling.demangle(name) ?? name) is defined by another file of the program",
                    remedy: "Give the objects of both files, or restart.")
            }
            if isBack, let entry = live.identity(name), let slot = live.identity(EntryStub.slotName(entry)) {
                return .repoint(entry: entry, slot: slot)
            }
            return .add
        }
        if !changed.contains(name), baseline.isVerified[partner] { return .bind(place.address) }
        // Every file that uses it has one like it, of which the linker has kept another file's.
        if isWeak, !baseline.isVerified[partner] { return .take }
        partners[index] = partner
        if place.isInImage { return .patch(place.address) }
        guard let slot = live.identity(EntryStub.slotName(place.address)) else { return .take }
        return .repoint(entry: place.address, slot: slot)
    }

    /// A function that every file has which uses it (`inline` of C++, templates, what a class defines in itself), and this one has not had:
    /// where an edit after this one changes it, those who call it now are to find that. Nobody edits the standard library's.
    private func decideInline(_ index: Int) -> LinkDecision {
        let name = name(of: index)
        let isOfLibrary = ["_ZNSt", "_ZNKSt", "_ZSt", "_ZN9__gnu_cxx", "_ZNK9__gnu_cxx"].contains(where: name.hasPrefix)
        guard !name.hasPrefix("$"), !isOfLibrary else { return .take }
        let isBack = live.identity(Baseline.removed(name)) != nil
        if let symbol = live.symbol(name, file: nil) {
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
        let piece = new.pieces[index]
        return !piece.name.hasPrefix("$") && oldNames[name(of: index)] == nil
            && !piece.symbols.isEmpty && piece.symbols.allSatisfy { new.object.symbols[$0].binding == .local }
    }

    /// Functions of the process that the edit has removed from the file: their names and entries.
    var removedFunctions: [(name: String, entry: Address)] {
        let kept = Set(new.pieces.indices.lazy.filter { new.pieces[$0].isFunction }.map { name(of: $0) })
        return old.pieces.indices.compactMap { index in
            let (name, kind) = (old.pieces[index].name, old.pieces[index].kind)
            guard old.pieces[index].isFunction, let place = baseline.places[index], !kept.contains(name),
                !kind.isAnonymous, !kind.isUnstable, !kind.isPart, ClosureMatch.closureEnds(in: name).isEmpty
            else { return nil }
            return (name, place.address)
        }
    }

    /// Of several static things of one name nobody takes any, and none gets another copy.
    private func checkKnown(_ name: String) throws {
        guard live.isAmbiguous(name, file: new.object.fileName) else { return }
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
        if let symbol = live.symbol(name, file: new.object.fileName), !symbol.isFunction {
            return .bind(symbol.address)
        }
        if let known = live.identity(name) { return .bind(known) }
        if new.object.sections[new.pieces[index].section].isWritable { try checkKnown(name) }
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
