import Testing

/// Runs the tests: all of them are Swift Testing's, which finds them itself.
///
/// `Tests/run.sh` builds with this file as XCTMain.swift. Else SwiftPM looks for XCTest's tests, in the index, which takes the compiler an
/// eighth of its time. It stands there while that builds, and no longer: beside it, `swift test --filter` finds nothing.
@main
struct Runner {
    static func main() async {
        await Testing.__swiftPMEntryPoint() as Never
    }
}
