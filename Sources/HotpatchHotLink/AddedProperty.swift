/// A stored property that a class or an actor has in the edited object of a file, and not in the former one.
package struct AddedProperty: Hashable, Sendable {
    /// The class's mangled name, of its nominal type: `$s…C`.
    package var type: String
    package var name: String

    /// The class, as it stands in the source.
    package var typeText: String { SwiftLayoutNames.type(type) }

    /// Those that would make room of their own in the class's objects. Most edits have none, which the records' sizes tell at once.
    /// - Throws: `LinkError`, `FixupError`.
    package static func all(old: ObjectFile, new: ObjectFile) throws -> [AddedProperty] {
        let (before, after) = (sizes(old), sizes(new))
        let grown = after.filter { before[$0.key].map { [size = $0.value] in $0 < size } ?? false }
        guard !grown.isEmpty else { return [] }
        let layouts = (SwiftLayout(try ObjectGraph(old)), SwiftLayout(try ObjectGraph(new)))
        return grown.keys.sorted().flatMap { record -> [AddedProperty] in
            let base = String(record.dropLast(2))
            guard let before = layouts.0.fields[base], let after = layouts.1.fields[base] else { return [] }
            let known = Set(before.fields.map(\.name))
            return after.fields.map(\.name).filter { !known.contains($0) }.map { AddedProperty(type: base, name: $0) }
        }
    }

    /// The size of each class's field descriptor (`…CMF`).
    private static func sizes(_ object: ObjectFile) -> [String: Int] {
        var sizes: [String: Int] = [:]
        for symbol in object.symbols where symbol.section != nil && symbol.name.hasSuffix("CMF") {
            sizes[symbol.name] = symbol.size
        }
        return sizes
    }

    /// A mangled type (`$s…D`) as a source may write it.
    package static func text(ofType mangled: String) -> String { SwiftLayoutNames.text(mangled) }
}
