// swift-tools-version:6.0
import PackageDescription

let package = Package(
    name: "Echo",
    dependencies: [.package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0")],
    targets: [
        .target(name: "CEcho"),
        .executableTarget(
            name: "Echo",
            dependencies: [
                "CEcho", .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
    ]
)
