// swift-tools-version:6.0
import PackageDescription

// The tests set HOTPATCH_STRICT: then every warning is an error.
let strict = Context.environment["HOTPATCH_STRICT"] != nil

let swiftSettings: [SwiftSetting] =
    [.swiftLanguageMode(.v6)] + (strict ? [.unsafeFlags(["-warnings-as-errors", "-index-ignore-system-modules"])] : [])
let cSettings: [CSetting] =
    [.define("_GNU_SOURCE")] + (strict ? [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])] : [])

// Where HOTPATCH_STATIC is set, Capstone is linked in: what links Hotpatch then runs without it.
let capstone = Context.environment["HOTPATCH_STATIC"] == nil ? "capstone" : ":libcapstone.a"

// What reads files and symbols takes most of the tests' time: for them it is optimised in debug builds too. By the module, for the
// compiler may crash where it optimises some files of one beside others.
let readerSettings =
    swiftSettings + (strict ? [.unsafeFlags(["-O", "-whole-module-optimization"], .when(configuration: .debug))] : [])
// Release builds for tests are those for arm64. There it takes longer to optimise this than to emulate what was not.
let restSettings = swiftSettings + (strict ? [.unsafeFlags(["-Onone"], .when(configuration: .release))] : [])

func module(
    _ name: String, _ dependencies: [Target.Dependency], libraries: [String] = [],
    settings: [SwiftSetting] = swiftSettings
) -> Target {
    .target(
        name: name, dependencies: dependencies, swiftSettings: settings,
        linkerSettings: libraries.map { .linkedLibrary($0) })
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: name, dependencies: dependencies + ["HotpatchExpectations"], swiftSettings: swiftSettings)
}

let package = Package(
    name: "swift-hotpatch",
    products: [
        .library(name: "Hotpatch", targets: ["Hotpatch"]),
        // For test targets: patches and mocks that end with a scope or a test.
        .library(name: "HotpatchTesting", targets: ["HotpatchTesting"]),
        // The parts below it, for Benchmarks.
        .library(
            name: "HotpatchParts",
            targets: [
                "HotpatchEngine", "HotpatchLocalTarget", "HotpatchSymbols", "HotpatchProcFS", "HotpatchELF",
                "HotpatchPlan", "HotpatchMemory", "HotpatchSwiftCall",
            ]),
        .executable(name: "swift-hotpatch", targets: ["swift-hotpatch"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ],
    targets: [
        .systemLibrary(name: "CHotpatchLinux"),
        // Headers, which lie where the compiler looks. Who unwinds other processes links the libraries; DWARF is read with them where
        // they are installed.
        .systemLibrary(name: "CHotpatchElf", providers: [.apt(["libelf-dev"])]),
        .systemLibrary(name: "CHotpatchDw", providers: [.apt(["libdw-dev"])]),
        .systemLibrary(name: "CHotpatchCapstone", providers: [.apt(["libcapstone-dev"])]),

        // Pure: bytes, lengths and addresses in; bytes out. The only place that knows instructions.
        .target(
            name: "CPatchCore", dependencies: ["CHotpatchCapstone"], path: "CPatch/Core",
            cSettings: cSettings, linkerSettings: [.linkedLibrary(capstone)]),
        // Registers and raw system calls, for each architecture.
        .target(name: "CPatchMachine", path: "CPatch/Machine", cSettings: cSettings),
        // Effects in this process: parking, tracing, the writes to its text.
        .target(
            name: "CPatch", dependencies: ["CPatchCore", "CPatchMachine"], path: "CPatch/Commit", cSettings: cSettings),
        // For another process: the injector's assembly, which is put into it, and ptrace. No application that patches itself
        // links it.
        .target(
            name: "CPatchAgent", dependencies: ["CPatchCore", "CPatchMachine"], path: "CPatch/Agent",
            cSettings: cSettings),

        // Between the conventions of Swift functions: entries in assembly, and the moves that they have run.
        .target(name: "CPatchCall", dependencies: ["CPatchCore"], path: "CPatch/Call", cSettings: cSettings),

        module("HotpatchMemory", ["CHotpatchLinux"], settings: readerSettings),
        // The runtime's demangler, kept from what it would end the process for.
        module("HotpatchDemangle", [], settings: readerSettings),
        // Files and objects: headers, symbol tables, frame information, DWARF.
        module(
            "HotpatchELF", ["HotpatchMemory", "CHotpatchLinux", "CHotpatchElf", "CHotpatchDw"], settings: readerSettings
        ),
        // Maps, tasks, stat and status of a process; the files that it has, opened as it would. It imports ELF, for a file that is
        // mapped is known by the build-id in it.
        module(
            "HotpatchProcFS", ["HotpatchMemory", "HotpatchELF", "CHotpatchLinux"], settings: readerSettings),
        module(
            "HotpatchSymbols",
            [
                "HotpatchMemory", "HotpatchELF", "HotpatchProcFS", "HotpatchDemangle", "CHotpatchElf", "CHotpatchDw",
                "CHotpatchLinux",
            ], settings: readerSettings),
        module("HotpatchPlan", ["HotpatchMemory", "CPatchCore"]),
        // Object files to plans, beside the planner of detours.
        module(
            "HotpatchHotLink",
            ["HotpatchMemory", "HotpatchELF", "HotpatchSymbols", "HotpatchPlan", "CPatchCore", "CHotpatchElf"],
            settings: restSettings),
        module(
            "HotpatchEngine",
            [
                "HotpatchMemory", "HotpatchELF", "HotpatchProcFS", "HotpatchSymbols", "HotpatchPlan", "CPatchCore",
                "CPatchMachine", "CHotpatchLinux",
            ]),
        // Plans of linked objects as requests to the engine, for whatever applies objects.
        module(
            "HotpatchObjects",
            [
                "HotpatchMemory", "HotpatchELF", "HotpatchProcFS", "HotpatchSymbols", "HotpatchPlan", "HotpatchHotLink",
                "HotpatchEngine", "CHotpatchLinux",
            ], settings: restSettings),
        module(
            "HotpatchLocalTarget",
            [
                "HotpatchMemory", "HotpatchProcFS", "HotpatchSymbols", "HotpatchPlan", "HotpatchEngine", "CPatchCore",
                "CPatch", "CPatchMachine",
                "CHotpatchLinux",
            ]),
        module(
            "HotpatchRemoteTarget",
            [
                "HotpatchMemory", "HotpatchELF", "HotpatchProcFS", "HotpatchSymbols", "HotpatchPlan", "HotpatchEngine",
                "CPatchCore",
                "CPatchAgent",
                "CPatchMachine",
                "CHotpatchLinux", "CHotpatchDw",
            ], libraries: ["dw", "elf"]),
        // How a Swift function is called: its symbol's signature; a type's metadata, to plan, to adapter.
        module("HotpatchSwiftCall", ["CPatchCall", "HotpatchDemangle"], settings: restSettings),
        module(
            "Hotpatch",
            [
                "HotpatchMemory", "HotpatchELF", "HotpatchProcFS", "HotpatchSymbols", "HotpatchPlan", "HotpatchEngine",
                "HotpatchObjects", "HotpatchLocalTarget",
                "HotpatchSwiftCall", "CHotpatchLinux", "CPatch",
            ]),
        module(
            "HotpatchTesting", ["Hotpatch", "HotpatchMemory", "HotpatchSwiftCall", "CPatchCall"], settings: restSettings
        ),
        // What watches sources and knows how they are compiled. It patches nothing.
        module(
            "HotpatchReload",
            ["HotpatchMemory", "HotpatchELF", "HotpatchProcFS", "CHotpatchLinux"], settings: restSettings),
        module(
            "HotpatchCommands",
            [
                "HotpatchMemory", "HotpatchELF", "HotpatchProcFS", "HotpatchSymbols", "HotpatchPlan", "HotpatchEngine",
                "HotpatchHotLink", "HotpatchObjects", "HotpatchRemoteTarget", "HotpatchReload",
                "CHotpatchLinux",
                .product(name: "Logging", package: "swift-log"),
            ], settings: restSettings),

        .executableTarget(
            name: "swift-hotpatch",
            dependencies: [
                "HotpatchCommands", "HotpatchObjects", "HotpatchReload", "HotpatchRemoteTarget",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            exclude: ["build.sh", "manual.sh"], swiftSettings: swiftSettings),
        // What the tests share: programs, temporary directories, random numbers.
        .target(
            name: "HotpatchTestSupport", dependencies: ["HotpatchMemory"], path: "Tests/Support",
            swiftSettings: swiftSettings),
        // What tests expect, by functions. It imports Testing, which no program that is run may be linked with.
        .target(name: "HotpatchExpectations", path: "Tests/Expectations", swiftSettings: swiftSettings),
        tests(
            "EngineTests",
            [
                "HotpatchEngine", "HotpatchMemory", "HotpatchProcFS", "HotpatchELF", "HotpatchPlan", "HotpatchSymbols",
                "HotpatchTestSupport",
            ]),
        tests(
            "CommandsTests",
            [
                "HotpatchCommands", "HotpatchObjects", "HotpatchEngine", "HotpatchPlan", "HotpatchELF",
                "swift-hotpatch",
                "HotpatchFromCode", "HotpatchTestSupport",
            ]),
        tests("ReloadTests", ["HotpatchReload", "HotpatchSupervise", "HotpatchTestSupport"]),
        tests("CPatchCoreTests", ["CPatchCore", "CPatchMachine", "HotpatchTestSupport"]),
        tests("PatchPlanTests", ["HotpatchPlan", "HotpatchMemory", "CPatchCore", "HotpatchTestSupport"]),
        tests(
            "HotLinkTests",
            [
                "HotpatchHotLink", "HotpatchPlan", "HotpatchMemory", "HotpatchELF", "CPatchCore", "CHotpatchElf",
                "CHotpatchVictims", "HotpatchTestSupport",
            ]),
        tests(
            "SymbolsTests",
            [
                "HotpatchSymbols", "HotpatchDemangle", "HotpatchMemory", "HotpatchProcFS", "HotpatchELF",
                "HotpatchTestSupport",
            ]),
        // A process to be patched, for RemoteTargetTests and SelfTest.
        .target(
            name: "HotpatchRemoteSupport",
            dependencies: [
                "HotpatchRemoteTarget", "HotpatchEngine", "HotpatchPlan", "HotpatchSymbols", "HotpatchMemory",
                "HotpatchProcFS", "CPatchCore", "CPatchAgent", "HotpatchTestSupport",
            ],
            path: "Tests/RemoteSupport", swiftSettings: restSettings),
        tests(
            "RemoteTargetTests",
            [
                "HotpatchRemoteTarget", "HotpatchEngine", "HotpatchPlan", "HotpatchMemory", "HotpatchProcFS",
                "HotpatchSymbols",
                "CHotpatchDw", "CPatchCore", "CPatchAgent", "HotpatchRemoteSupport", "HotpatchTestSupport",
            ]),
        tests(
            "HotpatchTests",
            [
                "Hotpatch", "HotpatchMemory", "HotpatchSymbols", "HotpatchEngine", "HotpatchLocalTarget", "CPatch",
                "CHotpatchVictims", "HotpatchScenarios",
                "HotpatchCalls", "HotpatchTestSupport",
            ]),

        tests(
            "HotpatchTestingTests",
            ["HotpatchTesting", "Hotpatch", "HotpatchCalls", "CHotpatchVictims", "CPatchCall", "HotpatchTestSupport"]),

        // Functions to be called through adapters, and what must hold then, for every machine.
        .target(
            name: "HotpatchCalls", path: "Tests/Victims/Calls",
            swiftSettings: swiftSettings + [.unsafeFlags(["-Onone"])]),
        .target(
            name: "HotpatchCallChecks",
            dependencies: [
                "HotpatchCalls", "CHotpatchVictims", "HotpatchSwiftCall", "CPatchCall", "Hotpatch", "HotpatchTesting",
                "HotpatchMemory", "HotpatchProcFS", "HotpatchSymbols",
                "HotpatchTestSupport",
            ],
            path: "Tests/SwiftCallTests/Checks", swiftSettings: restSettings),
        .testTarget(
            name: "SwiftCallTests",
            dependencies: [
                "HotpatchSwiftCall", "CPatchCall", "HotpatchDemangle", "HotpatchCalls", "HotpatchCallChecks",
                "CHotpatchVictims", "Hotpatch", "HotpatchMemory", "HotpatchProcFS",
                "HotpatchSymbols",
                "HotpatchTestSupport", "HotpatchExpectations",
            ],
            exclude: ["Checks", "Golden"], swiftSettings: swiftSettings),

        // Random signatures, compiled and checked: Tests/calls/test.sh runs it. Kit/ is compiled with what it writes, and
        // Hotpatch is linked with that.
        .executableTarget(
            name: "HotpatchCallGenerator", dependencies: ["Hotpatch", "HotpatchTestSupport"],
            path: "Tests/CallGenerator",
            exclude: ["Kit"], swiftSettings: swiftSettings),

        // The tests of the machine that has no Swift Testing: arm64, compiled on another.
        .executableTarget(
            name: "HotpatchSelfTest",
            dependencies: [
                "HotpatchCommands", "HotpatchObjects", "HotpatchEngine", "HotpatchRemoteTarget", "HotpatchLocalTarget",
                "HotpatchSymbols",
                "HotpatchPlan", "HotpatchMemory", "HotpatchProcFS", "CPatchCore",
                "CPatch", "CHotpatchLinux", "CHotpatchVictims", "HotpatchCallChecks", "HotpatchRemoteSupport",
                "HotpatchTestSupport",
            ],
            path: "Tests/SelfTest", swiftSettings: restSettings),

        // Does to processes what a patcher must not be hurt by: Tests/torture.sh.
        .executableTarget(
            name: "HotpatchTorture",
            dependencies: [
                "HotpatchCommands", "HotpatchEngine", "HotpatchRemoteTarget", "Hotpatch", "HotpatchPlan",
                "HotpatchTestSupport",
            ],
            path: "Tests/Torture", exclude: ["RESULTS.md"], swiftSettings: swiftSettings),

        // Edits small programs that run, in each way, and sees what becomes of them: `make matrix`.
        .executableTarget(
            name: "HotpatchMatrix", dependencies: ["HotpatchTestSupport"], path: "Tests/Matrix",
            swiftSettings: swiftSettings),
        // Links objects that no compiler has made, in processes that may die of it: `make fuzz`.
        .executableTarget(
            name: "HotpatchFuzz",
            dependencies: [
                "HotpatchHotLink", "HotpatchELF", "HotpatchMemory", "HotpatchPlan", "HotpatchProcFS", "HotpatchSymbols",
                "HotpatchTestSupport",
            ],
            path: "Tests/Fuzz", swiftSettings: swiftSettings),

        .target(
            name: "CHotpatchVictims", dependencies: ["CPatchCore"], path: "Tests/Victims/InProcess",
            cSettings: [.unsafeFlags(["-O1", "-g"])],
            cxxSettings: [.unsafeFlags(["-O1", "-g"])]),
        // Programs that patch themselves, run by HotpatchTests: one that goes wrong takes nobody along.
        .executableTarget(
            name: "HotpatchScenarios",
            dependencies: [
                "Hotpatch", "HotpatchEngine", "HotpatchLocalTarget", "HotpatchSwiftCall", "HotpatchPlan",
                "HotpatchSymbols", "HotpatchMemory", "HotpatchObjects", "CPatchCore", "CPatch", "CHotpatchLinux",
                "CHotpatchVictims", "HotpatchCalls",
            ],
            path: "Tests/Victims/Scenarios", swiftSettings: restSettings),
        // A program that patches itself when told to, which CommandsTests looks at from outside.
        .executableTarget(
            name: "HotpatchFromCode", dependencies: ["Hotpatch", "CHotpatchVictims"], path: "Tests/Victims/FromCode",
            swiftSettings: swiftSettings),
        // A program that supervises others: signals are a whole process's, and the tests' own is shared.
        .executableTarget(
            name: "HotpatchSupervise", dependencies: ["HotpatchReload"], path: "Tests/Victims/Supervise",
            swiftSettings: swiftSettings),
    ]
)
