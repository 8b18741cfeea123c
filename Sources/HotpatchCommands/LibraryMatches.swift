import HotpatchELF
import HotpatchEngine
import HotpatchMemory
import HotpatchSymbols

/// What is to be replaced, beyond or instead of what the library says.
struct LibrarySelection: Sendable {
    /// Patterns with `*` and `?`: only functions of the library whose mangled or demangled name matches one, weak ones too. What the
    /// compiler made is only meant by its whole name.
    var only: [String]
    /// Functions of the target by name, and what replaces them: a symbol of the library.
    var map: [(old: String, new: String)]
    /// The image of the target in which names are looked up, where several define them.
    var image: String?
    /// A function that is refused is noted, and ends nothing.
    var leavesOutRefused: Bool

    init(
        only: [String] = [], map: [(old: String, new: String)] = [], image: String? = nil,
        leavesOutRefused: Bool = false
    ) {
        self.only = only
        self.map = map
        self.image = image
        self.leavesOutRefused = leavesOutRefused
    }
}

/// One replacement the library makes. Addresses are link-time: the library may not be loaded yet.
struct LibraryEntry: Sendable {
    var function: FunctionSymbol
    var replacement: ElfSymbol
    /// The variable that receives the original, or nil.
    var originalPointer: UInt64?
    /// The context of an async function that needs a larger one than callers allocate; else nil.
    var context: AsyncContext.Larger?
    /// Why it cannot be made; nil where the plan is to tell.
    var refusal: PatchError?
}

/// What it replaces in a process, and what it could.
struct LibraryMatches: Sendable {
    var entries: [LibraryEntry] = []
    var leftOut: [LeftOut] = []
    /// What the user should know about the choice.
    var notes: [String] = []
}

extension PatchLibrary {
    /// What it replaces in a process.
    /// - Parameter index: the symbols of the process, without those of patch libraries.
    /// - Throws: `PatchError` where a name is unknown or ambiguous, or nothing is replaced at all.
    func matches(in index: SymbolIndex, selection: LibrarySelection) throws(PatchError) -> LibraryMatches {
        try checkImage(selection.image, in: index)
        var matches = LibraryMatches()
        matches.entries = try mapped(in: index, selection: selection)
        // What --map says goes before what the library's own names say, of either side.
        let mapped = Set(matches.entries.map(\.function.address))
        let used = Set(matches.entries.map(\.replacement.name))
        for function in functions {
            guard let name = Self.named(by: function), isWanted(name, by: selection) else { continue }
            let target = try lookUp(name, in: index, image: selection.image)
            if mapped.contains(target.address) { continue }
            matches.entries.append(
                LibraryEntry(
                    function: target, replacement: function, originalPointer: pointer(for: [name, target.name])))
        }
        let types = index.typesDeclaredTwice(by: image)
        var missing: Set<String> = []
        for function in functions
        where Self.named(by: function) == nil && !used.contains(function.name) {
            guard isWanted(function.name, by: selection) else { continue }
            // Only the very name: a C function `price` is not C++'s price(int).
            guard index.hasFunction(mangled: function.name, in: selection.image) else {
                // The process has a function of the name, and nobody knows where: no reason to leave it out in silence.
                if isStrong(function), let error = index.unresolvedIndirect(named: function.name, in: selection.image) {
                    throw .symbol(error)
                }
                if isStrong(function), image.isWritten(function) { missing.insert(function.name) }
                continue
            }
            if let reason = reasonToLeaveOut(function, by: selection, besideTypes: !types.isEmpty) {
                matches.leftOut.append(LeftOut(name: function.name, reason: reason))
                continue
            }
            guard let target = try lookUp(function, by: selection, in: index) else {
                matches.leftOut.append(LeftOut(name: function.name, reason: .version))
                continue
            }
            if mapped.contains(target.address) { continue }
            guard types.isEmpty || !selection.only.isEmpty else { throw bringsTypes(types) }
            matches.entries.append(
                LibraryEntry(function: target, replacement: function, originalPointer: pointer(for: [function.name])))
        }
        matches.entries = try oneForEach(matches.entries, selection: selection)
        let copies = index.copiesLeft(of: missing, in: selection.image).sorted { $0.key < $1.key }.map { name, copies in
            "\(Demangling.demangle(name) ?? name) is not replaced: of it the process has only what the compiler made for some callers: "
                + shortList(copies.map(\.description))
        }
        try checkUnclaimed(matches, copies: copies, selection: selection, index: index)
        for place in matches.entries.indices {
            let entry = matches.entries[place]
            let context = AsyncContext(
                own: index.asyncContextSize(of: entry.function),
                replacement: image.asyncContextSize(of: entry.replacement))
            do throws(PatchError) {
                matches.entries[place].context = try context.larger(
                    for: entry.function, by: entry.replacement.name, in: index)
                if context.own != nil { try checkTaskRuntime(of: entry.function, in: index) }
            } catch {
                guard selection.leavesOutRefused else { throw error }
                matches.entries[place].refusal = error
            }
        }
        if !types.isEmpty {
            matches.notes.append(
                "\(path) has types of its own by names of the process's: \(shortList(types)). What it makes of them is not of the "
                    + "process's types: casts fail")
        }
        matches.notes += copies + LeftOut.notes(matches.leftOut)
        return matches
    }

    /// What --map names.
    private func mapped(in index: SymbolIndex, selection: LibrarySelection) throws(PatchError) -> [LibraryEntry] {
        var entries: [LibraryEntry] = []
        for (old, new) in selection.map {
            guard let replacement = functions.first(where: { $0.name == new || Demangling.demangle($0.name) == new })
            else {
                throw .target(
                    "\(path) exports no function \(new), which --map names. It exports: \(exportedNames). Check the spelling."
                )
            }
            let function = try lookUp(old, in: index, image: selection.image)
            entries.append(
                LibraryEntry(
                    function: function, replacement: replacement, originalPointer: pointer(for: [old, function.name])))
        }
        return entries
    }

    /// Why a function that the process has too is not replaced by its name; nil where it is.
    private func reasonToLeaveOut(
        _ function: ElfSymbol, by selection: LibrarySelection, besideTypes: Bool
    ) -> LeftOut.Reason? {
        if !image.isWritten(function), !isNamedWhole(function.name, by: selection) { return .made }
        guard selection.only.isEmpty else { return nil }
        if !isStrong(function) { return .weak }
        return besideTypes && !selection.map.isEmpty ? .besideTypes : nil
    }

    private func isStrong(_ function: ElfSymbol) -> Bool { function.binding == .global }

    private func bringsTypes(_ types: [String]) -> PatchError {
        .target(
            "\(path) declares types that the process has: \(shortList(types)). They would be other types of the same names: what it "
                + "makes of them is not what the program's code expects. Name the functions that do without (--only, --map, or "
                + "hotpatch.replace. in the library), or compile it as a module of its own that imports the program's module."
        )
    }

    private func lookUp(_ name: String, in index: SymbolIndex, image: String?) throws(PatchError) -> FunctionSymbol {
        do throws(SymbolError) { return try index.function(named: name, in: image) } catch { throw .symbol(error) }
    }

    /// The function that one of the library replaces by its name: of its version, where it has one and the process's have.
    private func lookUp(
        _ function: ElfSymbol, by selection: LibrarySelection, in index: SymbolIndex
    ) throws(PatchError) -> FunctionSymbol? {
        let image = selection.image
        if let qualifier = selection.only.lazy.compactMap({ Self.qualifier($0, of: function.name) }).first {
            return try lookUp("\(function.name)@\(qualifier)", in: index, image: image)
        }
        guard let version = function.version else { return try lookUp(function.name, in: index, image: image) }
        let known = index.functions(named: function.name, in: image).filter { $0.name == function.name }.map(\.version)
        if known.contains(version) { return try lookUp("\(function.name)@\(version)", in: index, image: image) }
        return known.contains(nil) ? try lookUp(function.name, in: index, image: image) : nil
    }

    /// Several names of one function are one replacement, where the library has one function for them too: the constructors of
    /// complete and of base objects, aliases.
    /// - Throws: where it has several, as after a linker has folded functions of the target that were equal.
    private func oneForEach(
        _ entries: [LibraryEntry], selection: LibrarySelection
    ) throws(PatchError) -> [LibraryEntry] {
        var kept: [LibraryEntry] = []
        var places: [Address: Int] = [:]
        for entry in entries {
            guard let place = places[entry.function.address], kept[place].function.name != entry.function.name else {
                places[entry.function.address] = kept.count
                kept.append(entry)
                continue
            }
            let known = kept[place]
            // Constructors read alike; where those of the target are one, the library's do the same.
            let isOne =
                known.replacement.value == entry.replacement.value
                || known.function.demangledName == entry.function.demangledName
            guard isOne,
                known.originalPointer == nil || entry.originalPointer == nil
                    || known.originalPointer == entry.originalPointer
            else {
                let refusal = PatchError.sameCode(
                    functions: [known.function.demangledName, entry.function.demangledName].sorted(),
                    address: known.function.address, image: known.function.image.path)
                guard selection.leavesOutRefused else { throw refusal }
                kept[place].refusal = refusal
                kept.append(entry)
                kept[kept.count - 1].refusal = refusal
                continue
            }
            kept[place].originalPointer = known.originalPointer ?? entry.originalPointer
        }
        return kept
    }

    private func checkImage(_ image: String?, in index: SymbolIndex) throws(PatchError) {
        guard let image, !index.images.contains(where: { $0.matches(image) }) else { return }
        throw .target(
            "the process has no image '\(image)', which --in names. It has: "
                + "\(index.images.map(\.name).joined(separator: ", ")). Check the spelling.")
    }

    private func isWanted(_ name: String, by selection: LibrarySelection) -> Bool {
        selection.only.isEmpty || selection.only.contains { Self.matches(name, $0) }
    }

    private static func matches(_ name: String, _ pattern: String) -> Bool {
        qualifier(pattern, of: name) != nil || matchesWhole(name, pattern[...])
    }

    /// What --only says of a function beside its name: `helper@main.c`.
    private static func qualifier(_ pattern: String, of name: String) -> Substring? {
        guard let at = pattern.lastIndex(of: "@"), matchesWhole(name, pattern[..<at]) else { return nil }
        return pattern[pattern.index(after: at)...]
    }

    private static func matchesWhole(_ name: String, _ pattern: Substring) -> Bool {
        let pattern = NamePattern(String(pattern), findsParts: false)
        return pattern.matches(name) || Demangling.demangle(name).map(pattern.matches) ?? false
    }

    private func isNamedWhole(_ name: String, by selection: LibrarySelection) -> Bool {
        let names = [name, Demangling.demangle(name) ?? name]
        return selection.only.contains(where: names.contains)
    }

    /// Nothing replaced, a pattern that matches nothing, or a pointer nobody fills: each is a mistake, and none may pass in silence.
    private func checkUnclaimed(
        _ matches: LibraryMatches, copies: [String], selection: LibrarySelection, index: SymbolIndex
    ) throws(PatchError) {
        let entries = matches.entries
        // A function's name, or the name of what it replaces.
        let names = functions.map { Self.named(by: $0) ?? $0.name }
        if let idle = selection.only.first(where: { pattern in !names.contains { Self.matches($0, pattern) } }) {
            throw .target(
                "\(path) exports no function that matches '\(idle)', which --only names. It exports: \(exportedNames). "
                    + "Without * and ? a pattern is a whole name.")
        }
        let reasons = copies + LeftOut.notes(matches.leftOut)
        if entries.isEmpty, !reasons.isEmpty {
            throw .target("\(path) replaces nothing in this process: \(reasons.joined(separator: "; ")).")
        }
        if entries.isEmpty {
            throw .target(
                "\(path) replaces nothing in this process: none of its functions has the name of one of the target's. "
                    + "It exports: \(exportedNames). "
                    + (index.whatIsStripped(selection.image).map { $0 + " " } ?? "")
                    + "Give its functions the target's mangled names (swift-hotpatch symbols), or use --map OLD=NEW.")
        }
        for name in originals.keys.sorted()
        where !entries.contains(where: { $0.originalPointer == originals[name]?.value }) {
            throw .target(
                "\(path) wants the original of \(name), which it does not replace. The pointer would stay null. "
                    + "Replace \(name) too, or remove HOTPATCH_ORIGINAL(\"\(name)\").")
        }
    }

    private var exportedNames: String {
        if functions.isEmpty { return "no function" }
        let names = functions.prefix(8).map(\.name).joined(separator: ", ")
        return functions.count > 8 ? names + ", and \(functions.count - 8) more" : names
    }
}
