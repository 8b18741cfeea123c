// swift-tools-version:6.0
import PackageDescription

let package = Package(
    name: "Shop",
    dependencies: [.package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0")],
    targets: [
        .target(name: "CUtil"),
        .target(name: "AppCore", dependencies: ["CUtil"], resources: [.copy("Resources/greeting.txt")]),
        .executableTarget(
            name: "App", dependencies: ["AppCore", .product(name: "Hummingbird", package: "hummingbird")]),
    ]
)
