// swift-tools-version:6.0
import PackageDescription

// dependency/GRDB.swift: a checkout, as of somebody who works on both.
let package = Package(
    name: "Notes",
    dependencies: [.package(path: "dependency/GRDB.swift")],
    targets: [.executableTarget(name: "Notes", dependencies: [.product(name: "GRDB", package: "GRDB.swift")])]
)
