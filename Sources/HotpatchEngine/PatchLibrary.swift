import HotpatchELF
import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// A shared library that replaces functions, read from its file; nothing is loaded.
///
/// Its strong, default-visible functions that were written in its source replace the target's functions of the same mangled name. Weak
/// definitions (inline functions, template instantiations), and what the Swift compiler makes of types, do so only when named. A symbol
/// `hotpatch.replace.NAME` replaces NAME, and a variable `hotpatch.original.NAME` receives the original: see `hotpatch.h`.
public struct PatchLibrary: Sendable {
    public let path: String
    public let image: ElfImage
    /// Build-id in hexadecimal, or empty where it has none.
    public let digest: String
    private let functions: [ElfSymbol]
    private let originals: [String: ElfSymbol]
    /// Link-time addresses of `hotpatch_on_apply` and `hotpatch_on_revert`, or nil.
    public let onApply: UInt64?
    public let onRevert: UInt64?

    static let replacePrefix = "hotpatch.replace."
    static let originalPrefix = "hotpatch.original."
    /// Assemblers and linkers read `NAME@FILE` as a version, and `IMAGE+OFFSET` as a sum: how `hotpatch.h` spells the two.
    private static let spellings = [(".hotpatch.in.", "@"), (".hotpatch.at.", "+")]
    private static let reserved: Set<String> = ["hotpatch_on_apply", "hotpatch_on_revert", "_init", "_fini"]

    /// What is to be replaced, beyond or instead of what the library says.
    public struct Selection: Sendable {
        /// Patterns with `*` and `?`: only functions of the library whose mangled or demangled name matches one, weak ones too. What the
        /// compiler made is only meant by its whole name.
        public var only: [String]
        /// Functions of the target by name, and what replaces them: a symbol of the library.
        public var map: [(old: String, new: String)]
        /// The image of the target in which names are looked up, where several define them.
        public var image: String?

        public init(only: [String] = [], map: [(old: String, new: String)] = [], image: String? = nil) {
            self.only = only
            self.map = map
            self.image = image
        }
    }

    /// One replacement the library makes. Addresses are link-time: the library may not be loaded yet.
    public struct Entry: Sendable {
        public var function: FunctionSymbol
        public var replacement: ElfSymbol
        /// The variable that receives the original, or nil.
        public var originalPointer: UInt64?
        /// Of an async function that needs a larger one than callers allocate; else nil.
        public var context: AsyncContext.Larger?
    }

    /// What it replaces in a process, and what it could.
    public struct Matches: Sendable {
        public var entries: [Entry] = []
        public var leftOut: [LeftOut] = []
        /// What the user should know about the choice.
        public var notes: [String] = []
    }

    /// - Throws: `PatchError` where it is not a shared library for this architecture.
    public init(image: ElfImage, path: String, architecture: Architecture) throws(PatchError) {
        guard image.fileType == 3 else {  // ET_DYN
            let kinds: [UInt16: String] = [1: "an object file", 2: "an executable", 4: "a core file"]
            throw .target(
                "\(path) is \(kinds[image.fileType] ?? "not a shared library"). Only a shared library can be loaded into a process. "
                    + "Link it with -shared (swiftc: -emit-library).")
        }
        guard !image.isExecutable else {
            throw .target(
                "\(path) is an executable (position-independent). Only a shared library can be loaded into a process. "
                    + "Link it with -shared instead of -pie.")
        }
        guard image.machine == architecture.elfMachine else {
            let theirs = Architecture(elfMachine: image.machine).map(\.name) ?? "machine \(image.machine)"
            throw .target(
                "\(path) is built for \(theirs), the process runs on \(architecture.name). Build it for \(architecture.name)."
            )
        }
        self.path = path
        self.image = image
        digest = image.buildID.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let exported = image.dynamicSymbols.filter {
            $0.isDefined && $0.binding != .local && ($0.visibility == .default || $0.visibility == .protected)
        }
        functions = exported.filter { $0.isFunction && !Self.reserved.contains($0.name) }
        originals = Dictionary(
            exported.filter { $0.name.hasPrefix(Self.originalPrefix) }
                .map { (Self.target($0.name.dropFirst(Self.originalPrefix.count)), $0) },
            uniquingKeysWith: { first, _ in first })
        onApply = exported.first { $0.name == "hotpatch_on_apply" && $0.isFunction }?.value
        onRevert = exported.first { $0.name == "hotpatch_on_revert" && $0.isFunction }?.value
    }

    /// The name of a function of the target in a symbol of the library's.
    private static func target(_ text: Substring) -> String {
        for (spelling, sign) in spellings {
            let length = spelling.count
            for start in text.indices.reversed() where text[start...].hasPrefix(spelling) {
                return "\(text[..<start])\(sign)\(text[start...].dropFirst(length))"
            }
        }
        return String(text)
    }

    /// What the user should know before it is loaded into a process.
    public func notes(in index: SymbolIndex) -> [String] {
        let runtime = "libswiftCore.so"
        let isLoaded = index.images.contains { $0.name == runtime }
        guard image.needed.contains(runtime), !isLoaded, index.exportedAddress(of: "swift_retain", in: nil) == nil,
            !index.functions(named: "swift_retain", in: nil).isEmpty
        else { return [] }
        return [
            "the process has its own Swift runtime, linked statically, and \(path) brings a second one: "
                + "casts between their types fail. Keep to values, or link the program against \(runtime)"
        ]
    }

    /// What it replaces in a process.
    /// - Parameter index: the symbols of the process, without those of patch libraries.
    /// - Throws: `PatchError` where a name is unknown or ambiguous, or nothing is replaced at all.
    public func matches(in index: SymbolIndex, selection: Selection) throws(PatchError) -> Matches {
        try checkImage(selection.image, in: index)
        var matches = Matches()
        matches.entries = try mapped(in: index, selection: selection)
        // What --map says goes before what the library's own names say, of either side.
        let mapped = Set(matches.entries.map(\.function.address))
        let used = Set(matches.entries.map(\.replacement.name))
        for function in functions where function.name.hasPrefix(Self.replacePrefix) {
            let name = Self.target(function.name.dropFirst(Self.replacePrefix.count))
            guard isWanted(name, by: selection) else { continue }
            let target = try lookUp(name, in: index, image: selection.image)
            if mapped.contains(target.address) { continue }
            matches.entries.append(
                Entry(function: target, replacement: function, originalPointer: pointer(for: [name, target.name])))
        }
        let types = index.typesDeclaredTwice(by: image)
        var missing: Set<String> = []
        for function in functions
        where !function.name.hasPrefix(Self.replacePrefix) && !used.contains(function.name) {
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
                Entry(function: target, replacement: function, originalPointer: pointer(for: [function.name])))
        }
        matches.entries = try oneForEach(matches.entries)
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
            matches.entries[place].context = try context.larger(
                for: entry.function, by: entry.replacement.name, in: index)
            if context.own != nil { try checkTaskRuntime(of: entry.function, in: index) }
        }
        if !types.isEmpty {
            matches.notes.append(
                "\(path) has types of its own by names of the process's: \(shortList(types)). What it makes of them is not of the "
                    + "process's types: casts fail")
        }
        matches.notes += copies + LeftOut.notes(matches.leftOut)
        return matches
    }

    /// A runtime of the library's own, beside one that is linked into the program and not exported, knows nothing of the tasks that call.
    private func checkTaskRuntime(of function: FunctionSymbol, in index: SymbolIndex) throws(PatchError) {
        let runtime = "libswift_Concurrency.so"
        let used = index.taskAllocator(of: function)?.allocate
        guard image.needed.contains(runtime), used == nil || used != index.exportedAddress(of: "swift_task_alloc")
        else {
            return
        }
        throw .target(
            "cannot replace \(function.demangledName): \(path) brings a Swift runtime of its own (\(runtime)), and the process has one "
                + "linked into \(function.image.path), whose tasks the other does not know. Link the library without a runtime "
                + "(swiftc -emit-object, then clang -shared): it is bound to the process's then.")
    }

    /// What --map names.
    private func mapped(in index: SymbolIndex, selection: Selection) throws(PatchError) -> [Entry] {
        var entries: [Entry] = []
        for (old, new) in selection.map {
            guard let replacement = functions.first(where: { $0.name == new || Demangling.demangle($0.name) == new })
            else {
                throw .target(
                    "\(path) exports no function \(new), which --map names. It exports: \(exportedNames). Check the spelling."
                )
            }
            let function = try lookUp(old, in: index, image: selection.image)
            entries.append(
                Entry(
                    function: function, replacement: replacement, originalPointer: pointer(for: [old, function.name])))
        }
        return entries
    }

    /// Why a function that the process has too is not replaced by its name; nil where it is.
    private func reasonToLeaveOut(
        _ function: ElfSymbol, by selection: Selection, besideTypes: Bool
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
        _ function: ElfSymbol, by selection: Selection, in index: SymbolIndex
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
    private func oneForEach(_ entries: [Entry]) throws(PatchError) -> [Entry] {
        var kept: [Entry] = []
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
                throw .sameCode(
                    functions: [known.function.demangledName, entry.function.demangledName].sorted(),
                    address: known.function.address, image: known.function.image.path)
            }
            kept[place].originalPointer = known.originalPointer ?? entry.originalPointer
        }
        return kept
    }

    private func pointer(for names: [String]) -> UInt64? {
        names.lazy.compactMap { originals[$0]?.value }.first
    }

    private func checkImage(_ image: String?, in index: SymbolIndex) throws(PatchError) {
        guard let image, !index.images.contains(where: { $0.matches(image) }) else { return }
        throw .target(
            "the process has no image '\(image)', which --in names. It has: "
                + "\(index.images.map(\.name).joined(separator: ", ")). Check the spelling.")
    }

    private func isWanted(_ name: String, by selection: Selection) -> Bool {
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

    private func isNamedWhole(_ name: String, by selection: Selection) -> Bool {
        let names = [name, Demangling.demangle(name) ?? name]
        return selection.only.contains(where: names.contains)
    }

    /// Nothing replaced, a pattern that matches nothing, or a pointer nobody fills: each is a mistake, and none may pass in silence.
    private func checkUnclaimed(
        _ matches: Matches, copies: [String], selection: Selection, index: SymbolIndex
    ) throws(PatchError) {
        let entries = matches.entries
        // A function's name, or the name of what it replaces.
        let names = functions.map {
            $0.name.hasPrefix(Self.replacePrefix) ? Self.target($0.name.dropFirst(Self.replacePrefix.count)) : $0.name
        }
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
