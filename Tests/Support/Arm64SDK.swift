import Glibc

/// The SDK for arm64 that Tests/arm64/sdk.sh makes.
public enum Arm64SDK {
    /// What swiftc compiles with for arm64, or nil where the SDK has not been made. The standard library's modules are the static one's:
    /// they are there already where the package was built for arm64.
    public static let options: [String]? = {
        let root = "\(#filePath)".split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        let sdk = getenv("HOTPATCH_ARM64_SDK").map { String(cString: $0) } ?? "\(root)/.sdk-arm64"
        guard access("\(sdk)/stamp", R_OK) == 0 else { return nil }
        return [
            "-target", "aarch64-unknown-linux-gnu", "-sdk", "\(sdk)/root", "-resource-dir", "\(sdk)/swift/swift_static",
            "-module-cache-path", "\(sdk)/modules",
        ]
    }()
}
