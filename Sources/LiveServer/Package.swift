// swift-tools-version:6.0
import PackageDescription

// The example is a package of its own: who depends on swift-hotpatch has nothing to do with what it needs.
let package = Package(
    name: "LiveServer",
    dependencies: [.package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1")],
    targets: [
        // Patches/ holds what demo.sh builds into a library.
        .executableTarget(
            name: "LiveServer", dependencies: ["Shop", .product(name: "FlyingFox", package: "FlyingFox")], path: ".",
            exclude: ["Patches", "demo.sh", "Shop", "CShop"], sources: ["LiveServer.swift", "Routes.swift"],
            swiftSettings: [.swiftLanguageMode(.v6)]),
        .target(
            name: "Shop", dependencies: ["CShop"], path: "Shop", resources: [.copy("Resources/motto.txt")],
            swiftSettings: [.swiftLanguageMode(.v6)]),
        .target(name: "CShop", path: "CShop"),
    ]
)
