import HotpatchELF
import HotpatchEngine
import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// A shared library that replaces functions, read from its file; nothing is loaded.
///
/// Its strong, default-visible functions that were written in its source replace the target's functions of the same mangled name. Weak
/// definitions (inline functions, template instantiations), and what the Swift compiler makes of types, do so only when named. A symbol
/// `hotpatch.replace.NAME` replaces NAME, and a variable `hotpatch.original.NAME` receives the original: see `hotpatch.h`.
package struct PatchLibrary: Sendable {
    package let path: String
    package let image: ElfImage
    /// Build-id in hexadecimal, or empty where it has none.
    package let digest: String
    /// What it exports, but for the functions that the loader or a patcher runs.
    package let functions: [ElfSymbol]
    /// The variables that receive originals, by the names of the target's functions.
    package let originals: [String: ElfSymbol]
    /// Link-time addresses of `hotpatch_on_apply` and `hotpatch_on_revert`, or nil.
    package let onApply: UInt64?
    package let onRevert: UInt64?

    private static let replacePrefix = "hotpatch.replace."
    private static let originalPrefix = "hotpatch.original."
    /// Assemblers and linkers read `NAME@FILE` as a version, and `IMAGE+OFFSET` as a sum: how `hotpatch.h` spells the two.
    private static let spellings = [(".hotpatch.in.", "@"), (".hotpatch.at.", "+")]
    private static let reserved: Set<String> = ["hotpatch_on_apply", "hotpatch_on_revert", "_init", "_fini"]

    /// - Parameter time: for reading what the dynamic linker will read.
    /// - Throws: `PatchError` where it is not a shared library for this architecture, or one that the dynamic linker would trip over.
    package init(
        image: ElfImage, path: String, architecture: Architecture, time: ReadingTime = ReadingTime()
    ) throws(PatchError) {
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
        do throws(ReadError) { try image.vetForLoading(time) } catch { throw .symbol(SymbolError(error)) }
        self.path = path
        self.image = image
        digest = image.buildID.hexadecimal(separator: "")
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

    /// What a function of the library's replaces, where the library says it; nil where its own name does.
    package static func named(by function: ElfSymbol) -> String? {
        guard function.name.hasPrefix(replacePrefix) else { return nil }
        return target(function.name.dropFirst(replacePrefix.count))
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
    package func notes(in index: SymbolIndex) -> [String] {
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

    /// Link-time address of the variable that receives the original of a function with one of these names.
    package func pointer(for names: [String]) -> UInt64? {
        names.lazy.compactMap { originals[$0]?.value }.first
    }

    /// A runtime of the library's own, beside one that is linked into the program and not exported, knows nothing of the tasks that call.
    /// - Throws: where an async function of the target cannot be replaced by one of the library's.
    package func checkTaskRuntime(of function: FunctionSymbol, in index: SymbolIndex) throws(PatchError) {
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
}
