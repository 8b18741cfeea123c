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

/// Prints a line at once: what runs may take the process along.
func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(1, bytes, bytes.count)
}
