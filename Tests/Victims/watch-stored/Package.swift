// swift-tools-version:6.0
import PackageDescription

// Watched by Tests/CommandsTests/WatchStoredTests.swift, in a copy.
let package = Package(
    name: "Stall",
    targets: [
        .target(name: "StallCore"),
        .executableTarget(name: "Stall", dependencies: ["StallCore"]),
    ]
)
