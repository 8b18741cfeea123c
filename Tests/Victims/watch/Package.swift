// swift-tools-version:6.0
import PackageDescription

// Watched by Tests/CommandsTests/WatchTests.swift, in a copy.
let package = Package(
    name: "Kiosk",
    targets: [
        .target(name: "CKiosk"),
        .target(name: "KioskCore", dependencies: ["CKiosk"], resources: [.copy("Resources/sign.txt")]),
        .executableTarget(name: "Kiosk", dependencies: ["KioskCore"]),
    ]
)
