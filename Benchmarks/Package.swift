// swift-tools-version:6.1
import PackageDescription

let settings: [SwiftSetting] = [.swiftLanguageMode(.v6)]

let package = Package(
    name: "HotpatchBenchmarks",
    dependencies: [
        .package(name: "swift-hotpatch", path: ".."),
        // Without traits: its interposers would count allocations, and make each one slower.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        // C functions to be patched, and the loops that call them.
        .target(name: "Subjects", cSettings: [.unsafeFlags(["-O2"])]),
        // What Suite and Measure share: the libraries that make a process large, the functions to install.
        .target(
            name: "Workload",
            dependencies: [
                "Subjects", .product(name: "Hotpatch", package: "swift-hotpatch"),
                .product(name: "HotpatchParts", package: "swift-hotpatch"),
            ],
            swiftSettings: settings),
        // Durations, with the harness's statistics. The harness finds it because its folder lies in one called Benchmarks.
        .executableTarget(
            name: "Suite", dependencies: ["Workload", .product(name: "Benchmark", package: "benchmark")], path: "Suite",
            swiftSettings: settings, plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
        // Ratios, which need rounds interleaved in one process; memory; the command. Prints the table of both.
        .executableTarget(
            name: "Measure",
            dependencies: ["Workload", .product(name: "HotpatchTesting", package: "swift-hotpatch")],
            swiftSettings: settings),
    ]
)
