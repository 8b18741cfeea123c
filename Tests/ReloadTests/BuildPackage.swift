import Glibc
import HotpatchReload
import HotpatchTestSupport

/// A package of two Swift targets and one of C, built once for all tests.
enum BuildPackage {
    static let built = Result { try make() }

    static let files: KeyValuePairs = [
        "Package.swift": """
        // swift-tools-version:6.0
        import PackageDescription

        let package = Package(
            name: "Two",
            targets: [
                .target(name: "CSum"),
                .target(name: "Core", dependencies: ["CSum"], resources: [.copy("Resources/greeting.txt")]),
                .executableTarget(name: "App", dependencies: ["Core"]),
            ])

        """,
        "Sources/CSum/include/sum.h": """
        int csum(int a, int b);

        """,
        "Sources/CSum/sum.c": """
        #include "sum.h"
        static int twice(int a) { return 2 * a; }
        int csum(int a, int b) { return twice(a) + b; }

        """,
        "Sources/Core/Resources/greeting.txt": "hello\n",
        "Sources/Core/Shop.swift": """
        import CSum
        public final class Shop {
            public private(set) var sold = 0
            public init() {}
            public func sell() -> Int {
                sold = Int(csum(Int32(sold), 1))
                return sold
            }
        }

        """,
        "Sources/Core/Names.swift": """
        func name(of shop: Shop) -> String { "shop \\(shop.sold)" }
        extension Shop { public var title: String { name(of: self) } }

        """,
        "Sources/Core/Alone.swift": """
        func alone() -> Int { 1 }

        """,
        "Sources/Core/Twice.swift": """
        func twice() -> Int { alone() * 2 }

        """,
        "Sources/App/main.swift": """
        import Core
        let shop = Shop()
        print(shop.sell(), line(shop))

        """,
        "Sources/App/Line.swift": """
        import Core
        func line(_ shop: Shop) -> String { shop.title + "." }

        """,
    ]

    private static func make() throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory("package", untilExit: true)
        for (path, text) in files { try write(text, to: directory.path + "/" + path) }
        try runTool("swift", "build", "--package-path", directory.path, "--disable-index-store")
        return directory
    }

    /// The package's folder.
    static func path() throws -> String { try built.get().path }

    static func recipe() throws -> BuildRecipe { try BuildRecipe.find(directory: path(), command: ["swift", "run"]) }

    /// A source's path.
    static func source(_ name: String) throws -> String { try path() + "/Sources/" + name }

    /// Writes a file, and makes the folders that it lies in.
    static func write(_ text: String, to path: String) throws {
        for index in path.indices.dropFirst() where path[index] == "/" { mkdir(String(path[..<index]), 0o755) }
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        defer { close(file) }
        guard file >= 0, Glibc.write(file, text, text.utf8.count) == text.utf8.count else {
            throw TestFailure("cannot write \(path)")
        }
    }
}
