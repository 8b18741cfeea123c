import HotpatchELF

/// What a compiler has made of one source file after an edit, and what it had made before.
package struct ObjectPair: Hashable, Sendable {
    /// The path of the object that is to run.
    package var new: String
    /// The path of the one that does: what the program was linked from, or what was applied last.
    package var base: String

    package init(new: String, base: String) {
        self.new = new
        self.base = base
    }
}

/// Why objects cannot be applied together. Nothing was touched.
package enum ObjectsError: Error, Hashable, Sendable, CustomStringConvertible {
    case none
    /// One of them is given twice.
    case twice(path: String, other: String)
    /// They belong to several images of the process.
    case severalImages([String])

    package var description: String {
        switch self {
        case .none: "no object is given. Nothing would be applied. Name an object file, and its baseline."
        case .twice(let path, let other):
            "\(path) and \(other) are the same object. Only one edit of a file can run. Give each file once, with its own baseline."
        case .severalImages(let paths):
            "the objects belong to different images: \(paths.joined(separator: ", ")). One transaction changes one. "
                + "Apply those of each by themselves."
        }
    }
}
