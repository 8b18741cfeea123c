// swift-tools-version:6.0
import PackageDescription

// `make test` sets HOTPATCH_STRICT: then every warning is an error.
let strict = Context.environment["HOTPATCH_STRICT"] != nil

let swiftSettings: [SwiftSetting] =
    [.swiftLanguageMode(.v6)] + (strict ? [.unsafeFlags(["-warnings-as-errors"])] : [])
let cSettings: [CSetting] =
    [.define("_GNU_SOURCE")] + (strict ? [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])] : [])

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

let package = Package(
    name: "swift-hotpatch",
    products: [
        .library(name: "Hotpatch", targets: ["Hotpatch"]),
        // For test targets: patches and mocks that end with a scope or a test.
        .library(name: "HotpatchTesting", targets: ["HotpatchTesting"]),
        // The parts below it, for Benchmarks.
        .library(
            name: "HotpatchEngine", targets: ["Engine", "LocalTarget", "Symbols", "PatchPlan", "Memory", "SwiftCall"]),
        .executable(name: "swift-hotpatch", targets: ["swift-hotpatch"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ],
    targets: [
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CLibElf", pkgConfig: "libelf", providers: [.apt(["libelf-dev"])]),
        .systemLibrary(name: "CLibDw", pkgConfig: "libdw", providers: [.apt(["libdw-dev"])]),
        .systemLibrary(
            name: "CLibCapstone", pkgConfig: "capstone", providers: [.apt(["libcapstone-dev"])]),

        // Pure: bytes, lengths and addresses in; bytes out. The only place that knows instructions.
        .target(
            name: "CPatchCore", dependencies: ["CLibCapstone"], path: "CPatch/Core",
            cSettings: cSettings),
        // Effects: parking, text writes, ptrace shims, the injector's assembly.
        .target(
            name: "CPatch", dependencies: ["CPatchCore"], path: "CPatch/Live",
            cSettings: cSettings),

        // Between the conventions of Swift functions: entries in assembly, and the moves that they have run.
        .target(name: "CSwiftCall", path: "CPatch/Call", cSettings: cSettings),

        module("Memory", ["CLinux"]),
        // The runtime's demangler, kept from what it would end the process for.
        module("SwiftDemangle", []),
        module("Symbols", ["Memory", "SwiftDemangle", "CLinux", "CLibElf", "CLibDw"]),
        module("PatchPlan", ["Memory", "CPatchCore"]),
        module("Engine", ["Memory", "Symbols", "PatchPlan", "CPatchCore", "CLinux"]),
        module(
            "LocalTarget", ["Memory", "Symbols", "PatchPlan", "Engine", "CPatchCore", "CPatch", "CLinux"]),
        module(
            "RemoteTarget",
            ["Memory", "Symbols", "PatchPlan", "Engine", "CPatchCore", "CPatch", "CLinux", "CLibDw"]),
        // How a Swift function is called: its symbol's signature; a type's metadata, to plan, to adapter.
        module("SwiftCall", ["CSwiftCall", "SwiftDemangle"]),
        module(
            "Hotpatch",
            ["Memory", "Symbols", "PatchPlan", "Engine", "LocalTarget", "SwiftCall", "CLinux", "CPatch"]),
        module("HotpatchTesting", ["Hotpatch", "Memory", "SwiftCall", "CSwiftCall"]),
        module(
            "Commands",
            [
                "Memory", "Symbols", "PatchPlan", "Engine", "RemoteTarget", "CLinux",
                .product(name: "Logging", package: "swift-log"),
            ]),

        .executableTarget(
            name: "swift-hotpatch",
            dependencies: [
                "Commands", "RemoteTarget",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: swiftSettings),
        // What the tests share: programs, temporary directories, random numbers.
        .target(name: "TestSupport", path: "Tests/Support", swiftSettings: swiftSettings),
        tests("EngineTests", ["Engine", "Memory", "PatchPlan", "Symbols", "TestSupport"]),
        tests("CommandsTests", ["Commands", "Engine", "swift-hotpatch", "FromCode", "TestSupport"]),
        tests("CPatchCoreTests", ["CPatchCore", "TestSupport"]),
        tests("PatchPlanTests", ["PatchPlan", "Memory", "CPatchCore"]),
        tests("SymbolsTests", ["Symbols", "SwiftDemangle", "Memory", "TestSupport"]),
        // A process to be patched, for RemoteTargetTests and SelfTest.
        .target(
            name: "RemoteSupport",
            dependencies: ["RemoteTarget", "Symbols", "Memory", "CPatchCore", "CPatch", "TestSupport"],
            path: "Tests/RemoteSupport", swiftSettings: swiftSettings),
        tests(
            "RemoteTargetTests",
            ["RemoteTarget", "Memory", "Symbols", "CPatchCore", "CPatch", "RemoteSupport", "TestSupport"]),
        tests(
            "HotpatchTests",
            [
                "Hotpatch", "Memory", "Symbols", "Engine", "LocalTarget", "CPatch", "CVictims", "Scenarios",
                "Calls", "TestSupport",
            ]),

        tests(
            "HotpatchTestingTests", ["HotpatchTesting", "Hotpatch", "Calls", "CVictims", "CSwiftCall", "TestSupport"]),

        // Functions to be called through adapters, and what must hold then, for every machine.
        .target(
            name: "Calls", path: "Tests/Victims/Calls", swiftSettings: swiftSettings + [.unsafeFlags(["-Onone"])]),
        .target(
            name: "CallChecks",
            dependencies: [
                "Calls", "CVictims", "SwiftCall", "CSwiftCall", "Hotpatch", "HotpatchTesting", "Memory", "Symbols",
                "TestSupport",
            ],
            path: "Tests/SwiftCallTests/Checks", swiftSettings: swiftSettings),
        .testTarget(
            name: "SwiftCallTests",
            dependencies: [
                "SwiftCall", "CSwiftCall", "SwiftDemangle", "Calls", "CallChecks", "CVictims", "Hotpatch", "Memory",
                "Symbols",
                "TestSupport",
            ],
            exclude: ["Checks", "Golden"], swiftSettings: swiftSettings),

        // Random signatures, compiled and checked: Tests/calls/test.sh runs it. Kit/ is compiled with what it writes, and
        // Hotpatch is linked with that.
        .executableTarget(
            name: "CallGenerator", dependencies: ["Hotpatch", "TestSupport"], path: "Tests/CallGenerator",
            exclude: ["Kit"], swiftSettings: swiftSettings),

        // The tests of the machine that has no Swift Testing: arm64, compiled on another.
        .executableTarget(
            name: "SelfTest",
            dependencies: [
                "Commands", "Engine", "RemoteTarget", "LocalTarget", "Symbols", "PatchPlan", "Memory", "CPatchCore",
                "CPatch", "CLinux", "CVictims", "CallChecks", "RemoteSupport", "TestSupport",
            ],
            path: "Tests/SelfTest", swiftSettings: swiftSettings),

        // Does to processes what a patcher must not be hurt by: Tests/torture.sh.
        .executableTarget(
            name: "Torture",
            dependencies: ["Commands", "Engine", "RemoteTarget", "Hotpatch", "PatchPlan", "TestSupport"],
            path: "Tests/Torture", exclude: ["RESULTS.md"], swiftSettings: swiftSettings),

        .target(
            name: "CVictims", path: "Tests/Victims/InProcess", cSettings: [.unsafeFlags(["-O1", "-g"])],
            cxxSettings: [.unsafeFlags(["-O1", "-g"])]),
        // Programs that patch themselves, run by HotpatchTests: one that goes wrong takes nobody along.
        .executableTarget(
            name: "Scenarios",
            dependencies: [
                "Hotpatch", "Engine", "LocalTarget", "SwiftCall", "CPatchCore", "CPatch", "CVictims", "Calls",
            ],
            path: "Tests/Victims/Scenarios", swiftSettings: swiftSettings),
        // A program that patches itself when told to, which CommandsTests looks at from outside.
        .executableTarget(
            name: "FromCode", dependencies: ["Hotpatch", "CVictims"], path: "Tests/Victims/FromCode",
            swiftSettings: swiftSettings),
    ]
)
