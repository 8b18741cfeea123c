import Glibc
import HotpatchELF
import HotpatchHotLink
import HotpatchTestSupport

/// One source file before and after an edit, compiled as SwiftPM does for debugging.
struct EditedSource: Sendable {
    let old: ObjectGraph
    let new: ObjectGraph
    let oldFile: ElfImage
    let newFile: ElfImage
    private let directory: TemporaryDirectory

    init(_ old: String, _ new: String, language: Language = .swift, options: [String] = []) throws {
        // The images read of their files what is asked for later.
        directory = try TemporaryDirectory("edit", untilExit: true)
        oldFile = try Self.compile(old, "old", language, options, in: directory.path)
        newFile = try Self.compile(new, "new", language, options, in: directory.path)
        self.old = try ObjectGraph(try ObjectFile(oldFile))
        self.new = try ObjectGraph(try ObjectFile(newFile))
    }

    enum Language: Sendable { case swift, cxx }

    private static func compile(
        _ source: String, _ name: String, _ language: Language, _ options: [String], in directory: String
    ) throws -> ElfImage {
        // Private names are made from the file's.
        let folder = "\(directory)/\(name)"
        guard mkdir(folder, 0o755) == 0 else { throw TestFailure("cannot make \(folder)") }
        let file = "\(folder)/\(language == .swift ? "Shop.swift" : "shop.cpp")"
        try write(source, to: file)
        switch language {
        case .swift:
            try runTool(
                [
                    "swiftc", "-c", "-parse-as-library", "-Onone", "-enable-testing", "-g", "-suppress-warnings",
                    "-module-name", "Shop",
                ]
                    + options + [file, "-o", "\(folder)/shop.o"])
        case .cxx: try runTool(["clang++", "-c", "-g", "-O0", "-fPIC"] + options + [file, "-o", "\(folder)/shop.o"])
        }
        return try ElfImage(path: "\(folder)/shop.o")
    }

    var reasons: [String] { RestartReason.all(old: old, new: new).map(\.description) }
}
