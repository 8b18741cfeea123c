import TestSupport
import Testing

/// Programs that patch themselves under circumstances that could end them. See Tests/Victims/Scenarios.
@Suite struct ScenarioTests {
    /// Every way to hold threads, with every way to write text.
    @Test(
        arguments: [
            "libc", "hammer", "sleepers", "births", "vfork", "fork", "heap", "mapped", "reloaded", "stub",
            "interrupted", "busy", "littered", "forks", "mocks", "pages",
        ],
        [["signal", "procMem"], ["signal", "mprotect"], ["ptrace", "procMem"], ["ptrace", "mprotect"]])
    func scenario(name: String, options: [String]) throws {
        let result = try run(program: "Scenarios", [name] + options)
        #expect(result.status == 0, "\(result)")
    }

    /// The kernel's pages stay as they are, so writes go without mprotect.
    @Test(arguments: ["libc", "hammer", "mapped", "stub", "fork", "pages"], ["16384", "65536"])
    func largerPages(name: String, pageSize: String) throws {
        let result = try run(program: "Scenarios", [name, "signal", "procMem", pageSize])
        #expect(result.status == 0, "\(result)")
    }

    /// Threads that block signals are traced, without being told to.
    @Test(arguments: ["procMem", "mprotect"])
    func threadsThatBlockSignals(writer: String) throws {
        let result = try run(program: "Scenarios", ["deaf", "automatic", writer])
        #expect(result.status == 0, "\(result)")
    }

    @Test func noMemoryForThunks() throws {
        let result = try run(program: "Scenarios", ["thunks"])
        #expect(result.status == 0, "\(result)")
    }

    @Test func aThreadUnderADebugger() throws {
        let result = try run(program: "Scenarios", ["traced", "ptrace"])
        #expect(result.status == 0, "\(result)")
    }

    /// A run that expects nothing passes always: an unknown name must fail.
    @Test func anUnknownScenarioFails() throws {
        #expect(try run(program: "Scenarios", ["nonsense"]).status == 64)
    }
}

/// Runs a program of this package, which lies beside the test's.
private func run(program: String, _ arguments: [String]) throws -> RunResult {
    try run([products + "/" + program] + arguments, seconds: 90)
}
