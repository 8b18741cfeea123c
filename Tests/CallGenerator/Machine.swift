import Glibc
import HotpatchTestSupport

/// What programs are compiled for, and how they are run.
struct Machine {
    /// Where the package was built for it.
    let products: String
    let flags: [String]
    let linkerFlags: [String]
    /// A command in front of the program's.
    let runner: [String]
    /// How many call a function at once.
    let taskCount: Int
    /// Whether it has the standard library of Swift 6.2.
    let isNewest: Bool

    static let host = Machine(
        products: HotpatchTestSupport.products,
        flags: ["-module-cache-path", "\(HotpatchTestSupport.products)/ModuleCache"],
        linkerFlags: [], runner: ["env"], taskCount: 1000, isNewest: true)

    /// - Parameters:
    ///   - sdk: made by Tests/arm64/sdk.sh.
    ///   - products: where the package was built with it.
    ///   - runner: a command that runs a program there, with variables in front.
    static func arm64(sdk: String, products: String, runner: String) throws -> Machine {
        let compiler = try run(["sh", "-c", "readlink -f $(command -v swiftc)"]).output
        let tools = String(compiler.prefix(upTo: compiler.lastIndex(of: "/") ?? compiler.endIndex))
        return Machine(
            products: products,
            flags: [
                "-target", "aarch64-unknown-linux-gnu", "-static-stdlib", "-resource-dir", "\(sdk)/swift/swift_static",
                "-use-ld=lld", "-tools-directory", tools, "-ld-path=\(tools)/ld.lld", "-sdk", "\(sdk)/root",
                "-module-cache-path", "\(sdk)/modules", "-Xcc", "--sysroot", "-Xcc", "\(sdk)/root",
            ],
            linkerFlags: [
                "-L\(sdk)/root/usr/lib/aarch64-linux-gnu", "-lstdc++", "-Xlinker", "--gc-sections", "-Xclang-linker",
                "-resource-dir", "-Xclang-linker", "\(sdk)/swift/swift/clang",
            ],
            runner: [runner], taskCount: 100, isNewest: false)
    }
}
