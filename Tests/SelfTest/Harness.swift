import Glibc
import HotpatchTestSupport

/// One thing that must hold. Throws where it does not.
struct Check: Sendable {
    let name: String
    let run: @Sendable () throws -> Void
}

/// - Throws: `TestFailure` with the line and the sentence, unless the condition holds.
func expect(_ condition: Bool, _ what: @autoclosure () -> String, line: Int = #line) throws {
    if !condition { throw TestFailure("line \(line): \(what())") }
}

/// How often something is tried: an emulator takes long for each, and the suites for this machine try as often as LONG does here.
func times(_ atLength: Int, brief: Int) -> Int { isLong ? atLength : brief }

let isLong = getenv("LONG") != nil

func medianAndWorst(of nanoseconds: [UInt64]) -> String {
    let sorted = nanoseconds.sorted()
    return "\(sorted[sorted.count / 2] / 1000) µs, median; \(sorted[sorted.count - 1] / 1000) µs, worst"
}

/// Prints a line at once: what runs may take the process along.
func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(1, bytes, bytes.count)
}
