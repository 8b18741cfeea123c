import CHotpatchElf
import HotpatchELF
import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// One source file's edit: the object that runs, the new one, and what becomes of each piece of that.
package struct ObjectEdit: Sendable {
    package let old: ObjectGraph
    package let new: ObjectGraph
    /// The digest of the new object.
    package let digest: String
    package let closures: ClosureMatch
    /// Types that edits before have brought, and that are laid out otherwise now.
    let renewed: RenewedTypes
    let numbered: NumberedNames
    /// Parallel to the new object's pieces.
    package private(set) var decisions: [LinkDecision]
    /// The baseline's pieces for those that are patched.
    var partners: [Int: Int] = [:]
    /// Constants whose values the edit has changed.
    var stores: [LinkPlan.Store] = []
    /// Constants that hold references, likewise.
    var tables: [Table] = []
    /// Words of vtables that the edit gives another function to.
    var slots: [VtableSlot] = []
    /// The same of vtables of C++, and what that takes of the other files.
    var vtables = CxxVtables()
    /// Where the process has thread-locals of the new object, by their pieces.
    var threadLocals: [Int: ThreadLocal] = [:]
    /// Functions that are called otherwise than before.
    var entries = NewEntries()
    /// Functions of other files that call these, by their entries, which have to be patched by their own objects; and what is said where
    /// one is not.
    var callers: [(entry: Address, reason: String)] = []
    var callReasons: [String] = []
    /// Functions that differ in nothing but the numbers of their lines, by their names in the process: what they say where they fail.
    var movedFunctions: Set<String> = []
    /// What is said of the types of variables of C and C++, by their names.
    let variables: (old: [String: String], new: [String: String])
    let functions: (old: DescribedFunctions, new: DescribedFunctions)
    /// What others use of what the file no longer has.
    private(set) var lost: [LostDefinition] = []
    /// What the user should know.
    package internal(set) var notes: [String] = []

    let baseline: Baseline
    let live: LiveProgram
    let moved: MovedFunctions
    let oldNames: [String: Int]

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
    ///   - others: the `renewedTypes` of these.
    /// - Throws: `ReadError`, `LinkError`, `FixupError`.
    package init(
        before: ElfImage, after: ElfImage, live: LiveProgram, moved: MovedFunctions = MovedFunctions(),
        renewing others: Set<String> = []
    ) throws {
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
        variables = interfaces.variableTypes
        functions = interfaces.functions
        let changes = RestartReason.all(old: self.old, new: self.new)
        renewed = RenewedTypes(changes, and: others, old: self.old, new: self.new) { [oldNames, baseline] name in
            guard let piece = oldNames[name] else { return false }
            if let place = baseline.places[piece] { return !place.isInImage }
            return live.index.linkableSymbols(named: name, in: live.image).isEmpty
        }
        comparison.rename { [renewed] in renewed.renamed($0) ?? $0 }
        var closures = ClosureMatch(&comparison, renewed: renewed) { [renewed] in
            interfaces.captures($0, $1) { renewed.isPart(ofType: $0) }
        }
        if closures.forget(where: { live.identity(Baseline.alias($0, former)) == .null }) {
            comparison.rename { [closures] in closures.renamed($0) }
        }
        self.closures = closures
        numbered = try NumberedNames(&comparison, interfaces) {
            live.identity(Baseline.alias($0, former)) == .null
        }
        comparison.rename { [closures, numbered] in numbered.renamed(closures.renamed($0)) }
        decisions = []
        try checkInterfaces(interfaces, changes, requirementChanges(interfaces.source, of: after))
        let constants = ConstantChange.all(old: self.old, new: self.new, constants: interfaces.constants) {
            [closures, numbered] in numbered.renamed(closures.renamed($0))
        }
        // One that is new is initialised at its first use, as ever.
        makeAnew(constants, interfaces.constants.union(interfaces.newConstants.filter { oldNames[$0] == nil }))
        if !entries.isEmpty {
            comparison.rename { [closures, numbered, entries] in
                entries.renamed(numbered.renamed(closures.renamed($0)))
            }
        }
        decisions = try decide(
            &comparison, LineShift(interfaces.lines, old.architecture) { [closures] in closures.renamed($0) })
        try compareValues(constants)
        noteDerivedElsewhere(constants)
        noteRemovedConformances()
        noteCalledOnce()
        lost = lostDefinitions()
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
        // Of a small file, an edit may change all: it is the same one by its name then.
        let isNamedAlike = old.fileName != nil && old.fileName == new.fileName
        guard before.isEmpty || after.isEmpty || isNamedAlike || !before.isDisjoint(with: after) else {
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
    package var image: LoadedImage { live.image }

    /// The name that a piece of the new object goes by in the process.
    func name(of piece: Int) -> String { renamed(new.pieces[piece].name) }

    func renamed(_ name: String) -> String { entries.renamed(numbered.renamed(closures.renamed(name))) }

    /// The types that are new under the names of former ones, for the edits of other files.
    package var renewedTypes: Set<String> { renewed.names }

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
        return !ClosureMatch.closureEnds(in: own).isEmpty || numbered.names[own] != nil || renewed.contains(own)
            || isBoundToAlias(piece)
    }

    /// Whether the process has something under another name than the object before this one.
    func isBoundToAlias(_ piece: Int) -> Bool {
        oldNames[name(of: piece)].flatMap { baseline.places[$0]?.isAliased } ?? false
    }

    /// Where the name of a piece leads in the process, as long as no object says otherwise.
    func ordinaryAddress(of piece: Int) -> Address? {
        let name = new.pieces[piece].name
        return live.symbol(name, of: new.owner(of: piece))?.address ?? live.identity(new.identity(of: piece))
    }

    /// What was static and is not, or the other way round: who can name it has changed, and not what it is.
    var otherwiseNamed: [(piece: Int, entry: Address)] {
        decisions.indices.compactMap { index in
            guard case .bind(let entry) = decisions[index].entry, !new.pieces[index].kind.isAnonymous,
                let partner = oldNames[name(of: index)], new.isStatic(index) != old.isStatic(partner)
            else { return nil }
            return (index, entry)
        }
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

    func display(_ name: String) -> String { Demangling.demangle(name) ?? name }
}
