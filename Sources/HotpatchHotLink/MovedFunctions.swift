import HotpatchELF
import HotpatchSymbols

/// Functions that some of several files no longer define, and others do now: one that has moved to another file is the one that runs.
///
/// Closures are none of them: those that are stored are the former file's, and their numbers say nothing in another.
package struct MovedFunctions: Sendable {
    package private(set) var names: Set<String> = []
    /// Conformances of Swift that the files have now.
    private(set) var conformances: Set<String> = []

    package init() {}

    /// - Parameter files: the objects of each file before and after its edit.
    /// - Throws: `ReadError`, `LinkError`.
    package init(_ files: [(after: ElfImage, before: ElfImage)]) throws {
        guard files.count > 1 else { return }
        var (gone, new): ([String: ElfImage], [String: ElfImage]) = ([:], [:])
        var all: Set<String> = []
        for (after, before) in files {
            all.formUnion(try Self.conformances(of: after))
            let (former, now) = (try Self.functions(of: before), try Self.functions(of: after))
            for name in former.subtracting(now) { gone[name] = before }
            for name in now.subtracting(former) { new[name] = after }
        }
        conformances = all
        let candidates = Set(gone.keys).intersection(new.keys)
        if candidates.isEmpty { return }
        var known: [String: DescribedFunctions] = [:]
        func fingerprint(_ name: String, in file: ElfImage) -> Fingerprint? {
            let found = known[file.path] ?? ObjectDescriptions(of: file).map { DescribedFunctions(of: file, $0) }
            known[file.path] = found
            return found?.fingerprint(of: name)
        }
        names = candidates.filter { name in
            // Called otherwise, it is another one.
            switch (fingerprint(name, in: gone[name]!), fingerprint(name, in: new[name]!)) {
            case (let former?, let now?): now.difference(from: former) == nil
            // What the Swift compiler makes for a type or a conformance, and describes nowhere, is called as its name says.
            case (nil, nil): name.hasPrefix("$s")
            default: false
            }
        }
    }

    private static func conformances(of file: ElfImage) throws -> Set<String> {
        let object = try ObjectFile(file)
        return Set(object.symbols.lazy.filter { $0.section != nil && $0.name.hasSuffix("Mc") }.map(\.name))
    }

    /// That other files can name; and what the Swift compiler makes for a type of its own accord, which goes with that.
    private static func functions(of file: ElfImage) throws -> Set<String> {
        let object = try ObjectFile(file)
        return Set(
            object.symbols.lazy.filter { symbol in
                guard symbol.isFunction, symbol.section != nil else { return false }
                if symbol.binding == .global { return true }
                // Conformances and associated types of a conformance, metadata of generic types (swift/docs/ABI/Mangling.rst).
                let name = symbol.name
                return name.hasPrefix("$s") && ["Wb", "WT", "Wt", "Mi", "Mr"].contains { name.hasSuffix($0) }
            }.map(\.name))
    }
}
