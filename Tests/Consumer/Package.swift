// swift-tools-version:6.0
import PackageDescription

// A package as a user of swift-hotpatch has it, with modules of names that users have. consumer.sh builds it outside this repository.
let package = Package(
    name: "Consumer",
    dependencies: [.package(name: "swift-hotpatch", path: Context.environment["HOTPATCH_PACKAGE"] ?? "../..")],
    targets: [
        .target(name: "Memory"),
        .target(name: "Symbols"),
        .target(name: "Engine", dependencies: ["Memory", "Symbols"]),
        .target(name: "Calls"),
        .executableTarget(
            name: "Commands",
            dependencies: ["Engine", "Calls", "Symbols", .product(name: "Hotpatch", package: "swift-hotpatch")],
            // Members are those of imported modules, as in a later language mode.
            swiftSettings: [.enableUpcomingFeature("MemberImportVisibility")]),
        .testTarget(
            name: "EngineTests",
            dependencies: ["Engine", "Calls", .product(name: "HotpatchTesting", package: "swift-hotpatch")]),
    ]
)
