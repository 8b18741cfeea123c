/// A pattern for names: `*` stands for any bytes, `?` for one.
package struct NamePattern: Sendable {
    private let glob: Glob

    /// - Parameter findsParts: whether a pattern without `*` and `?` matches every name that contains it, or only that name.
    package init(_ pattern: String, findsParts: Bool = true) { glob = Glob(pattern, findsParts: findsParts) }

    package func matches(_ name: String) -> Bool {
        var name = name
        return name.withUTF8 { glob.matches(UnsafeRawBufferPointer($0)) }
    }
}
