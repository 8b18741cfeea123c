extension PatchRecord {
    /// A record's source for a patch that is linked from objects: their paths, each with a null behind it. No path holds one, and the
    /// source of a library has none.
    package static func source(objects: [String]) -> String { objects.map { $0 + "\0" }.joined() }

    /// The paths of the objects that it was linked from; none where it is a library that was loaded, or was made of what the process has.
    package var objects: [String] {
        guard !source.utf8.contains(0) else { return source.split(separator: "\0").map(String.init) }
        // What was recorded before had a path a line. A library that was loaded has a handle.
        return handle == 0 ? source.split(separator: "\n").map(String.init) : []
    }
}
