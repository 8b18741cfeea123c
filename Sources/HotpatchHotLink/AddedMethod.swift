/// A function that a class of an object file has a slot of its vtable for, and has none in an earlier one.
package struct AddedMethod: Hashable, Sendable {
    /// The class's mangled name, of its nominal type: `$s…C`.
    package var type: String
    /// Mangled.
    package var function: String

    /// Those of classes that both objects have. What lies in a slot has a descriptor with a name of its own, `…Tq`.
    package static func all(old: ObjectFile, new: ObjectFile) -> [AddedMethod] {
        let (before, after) = (names(old), names(new))
        let added = after.methods.subtracting(before.methods)
        guard !added.isEmpty else { return [] }
        return added.sorted().compactMap { function in
            // Among nested types it is the innermost.
            let type = after.types.filter(function.hasPrefix).max { $0.utf8.count < $1.utf8.count }
            return type.flatMap { before.types.contains($0) ? AddedMethod(type: $0, function: function) : nil }
        }
    }

    private static func names(_ object: ObjectFile) -> (methods: Set<String>, types: Set<String>) {
        var names: (methods: Set<String>, types: Set<String>) = ([], [])
        for symbol in object.symbols where symbol.section != nil {
            if symbol.name.hasSuffix("Tq") { names.methods.insert(String(symbol.name.dropLast(2))) }
            if symbol.name.hasSuffix("Mn") { names.types.insert(String(symbol.name.dropLast(2))) }
        }
        return names
    }
}
