/// Which names are looked at: what editors and builds leave beside the sources is not.
enum FileWatcherRules {
    /// Extensions of what a Swift package is compiled from.
    static let sourceExtensions: Set<String> = [
        "swift", "c", "m", "cc", "cpp", "cxx", "c++", "mm", "h", "hh", "hpp", "hxx", "inc", "def", "modulemap", "s",
        "S", "apinotes",
    ]

    static func isHeader(_ path: String) -> Bool {
        ["h", "hh", "hpp", "hxx", "inc", "def"].contains(fileExtension(of: path))
    }

    /// The part behind the last dot; empty where there is none, or nothing before it.
    static func fileExtension(of path: String) -> Substring {
        let name = path[(path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex)...]
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return "" }
        return name[name.index(after: dot)...]
    }

    /// Folders that hold no sources: hidden ones (`.build`, `.git`, `.swiftpm`), Xcode's, and npm's, which are many.
    static func ignoresFolder(_ name: some StringProtocol) -> Bool {
        name.hasPrefix(".") || name == "DerivedData" || name == "node_modules"
    }

    /// Files that an editor makes for a moment, or keeps for itself. SwiftPM takes no hidden file for a source either.
    static func ignoresFile(_ name: some StringProtocol) -> Bool {
        // vim: .Routes.swift.swp; emacs: .#Routes.swift; GLib: .goutputstream-1PZX01.
        if name.isEmpty || name.hasPrefix(".") { return true }
        // vim asks with it whether the folder can be written: 4913, and if that exists 5036, ….
        if name.utf8.allSatisfy({ (0x30...0x39).contains($0) }) { return true }
        if name.hasPrefix("#") && name.hasSuffix("#") { return true }
        return ["~", ".swp", ".swo", ".swx", ".tmp", "___jb_tmp___", "___jb_old___"].contains { name.hasSuffix($0) }
    }
}
