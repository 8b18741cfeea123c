import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// Programs that patch themselves under circumstances that could end them. See Tests/Victims/Scenarios.
@Suite struct ScenarioTests {
    /// With every way to hold threads and every way to write text. Each of one with each of the other in two scenarios of four, and in
    /// all of them where HOTPATCH_MATRIX is set (`make prove`).
    @Test(
        arguments: [
            "libc", "hammer", "sleepers", "births", "vfork", "signals", "fork", "heap", "mapped", "reloaded", "stub",
            "interrupted", "busy", "littered", "forks", "mocks", "pages", "ledger",
        ].enumerated().flatMap { index, name in
            [("signal", "procMem", 0), ("signal", "mprotect", 1), ("ptrace", "procMem", 1), ("ptrace", "mprotect", 0)]
                .filter { getenv("HOTPATCH_MATRIX") != nil || index % 2 == $0.2 }.map { (name, [$0.0, $0.1]) }
        })
    func scenario(name: String, options: [String]) throws {
        let result = try run(program: "HotpatchScenarios", [name] + options)
        #expect(result.status == 0, "\(result)")
    }

    /// In a pid namespace, as a container is: with its own /proc; and with another's, by whose ids no thread could be held.
    @Test(arguments: [(["--mount-proc"], true, ""), ([], false, "/proc is of another pid namespace")])
    func inAPidNamespace(options: [String], succeeds: Bool, reason: String) throws {
        let result = try run(["unshare", "--pid", "--fork"] + options + [products + "/HotpatchScenarios", "sleepers"])
        #expect((result.status == 0) == succeeds, "\(result)")
        #expect((result.errors + result.output).contains(reason), "\(result)")
    }

    @Test func aForkDuringAnOperation() throws {
        let result = try run(program: "HotpatchScenarios", ["operation"])
        #expect(result.status == 0, "\(result)")
    }

    /// Whoever waits, waits on: threads are traced where a signal would end a call early; where it must, the patch says so.
    @Test(arguments: ["automatic", "signal", "ptrace"])
    func callsThatASignalEnds(parking: String) throws {
        let result = try run(program: "HotpatchScenarios", ["waits", parking])
        #expect(result.status == 0, "\(result)")
    }

    @Test(arguments: ["held", "timeouts", "storm", "forgotten", "missing", "order"])
    func threadsThatAreHeld(name: String) throws {
        let result = try run(program: "HotpatchScenarios", [name])
        #expect(result.status == 0, "\(result)")
    }

    /// The kernel's pages stay as they are, so writes go without mprotect.
    @Test(arguments: ["libc", "hammer", "mapped", "stub", "fork", "pages"], ["16384", "65536"])
    func largerPages(name: String, pageSize: String) throws {
        let result = try run(program: "HotpatchScenarios", [name, "signal", "procMem", pageSize])
        #expect(result.status == 0, "\(result)")
    }

    /// Threads that block signals are traced, without being told to.
    @Test(arguments: ["procMem", "mprotect"])
    func threadsThatBlockSignals(writer: String) throws {
        let result = try run(program: "HotpatchScenarios", ["blockers", "automatic", writer])
        #expect(result.status == 0, "\(result)")
    }

    /// In the time that is given to it, reading ends; what it has not read is not missed later.
    @Test func readingThatEnds() throws {
        let result = try run(program: "HotpatchScenarios", ["reading"])
        #expect(result.status == 0, "\(result)")
    }

    /// Who may ask the process to change itself, and what hostile requests come to.
    @Test func theReloaderLoop() throws {
        let result = try run(program: "HotpatchScenarios", ["reloader"])
        #expect(result.status == 0, "\(result)")
    }

    @Test func namesOfOneCode() throws {
        let result = try run(program: "HotpatchScenarios", ["names"])
        #expect(result.status == 0, "\(result)")
    }

    @Test func filesOfLimitedLength() throws {
        let result = try run(program: "HotpatchScenarios", ["files"])
        #expect(result.status == 0, "\(result)")
    }

    /// Whoever holds the threads, and whatever writes: pages that are read-only are so afterwards.
    @Test(arguments: [["signal", "procMem"], ["ptrace", "mprotect"], ["signal", "mprotect"]])
    func aRequestOfEverything(options: [String]) throws {
        let result = try run(program: "HotpatchScenarios", ["everything"] + options)
        #expect(result.status == 0, "\(result)")
    }

    @Test func noMemoryForThunks() throws {
        let result = try run(program: "HotpatchScenarios", ["thunks"])
        #expect(result.status == 0, "\(result)")
    }

    @Test func aThreadUnderADebugger() throws {
        let result = try run(program: "HotpatchScenarios", ["traced", "ptrace"])
        #expect(result.status == 0, "\(result)")
    }

    /// Swift's own backtracer, which is another process and knows adapters from nothing but their call frame information.
    @Test(arguments: [
        (
            "crash",
            [
                "crash(_:)", "hp_call_entry", "callProbed(_:_:)", "probed(_:_:_:_:)", "hp_call_entry", "hp_call_entry",
                "callProbed(_:_:)", "crashInside", "main()",
            ]
        ),
        // The callers of an async function are where their calls go on.
        ("crash-later", ["crash(_:)", "hp_call_async_resumed", "callProbedLater(_:_:)", "naturalCaller()"]),
    ])
    func aBacktraceOfACrash(name: String, names: [String]) throws {
        let options = "enable=yes,output-to=stdout,color=no,interactive=no,threads=crashed,limit=100"
        let result = try run(["env", "SWIFT_BACKTRACE=\(options)", products + "/HotpatchScenarios", name], seconds: 90)
        #expect(result.status != 0)
        expect(names, inThisOrderIn: result)
    }

    @Test(.enabled(if: hasDebugger)) func aBacktraceOfADebugger() throws {
        let result = try run(
            ["gdb", "-nx", "-batch", "-ex", "run", "-ex", "bt", "--args", products + "/HotpatchScenarios", "crash"],
            seconds: 90
        )
        expect(
            [
                "17HotpatchScenarios5crash", "hp_call_entry", "$s13HotpatchCalls10callProbed",
                "$s13HotpatchCalls6probed", "hp_call_entry",
                "hp_call_entry", "$s13HotpatchCalls10callProbed", "crashInside", "HotpatchScenarios_main",
            ], inThisOrderIn: result)
    }

    private static let hasDebugger = (try? run(["gdb", "--version"]))?.status == 0

    /// A line for each, with others between them.
    private func expect(
        _ names: [String], inThisOrderIn result: RunResult, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        var lines = result.output.split(separator: "\n")[...]
        for name in names {
            guard let index = lines.firstIndex(where: { $0.contains(name) }) else {
                Issue.record("no \(name) in its place: \(result)", sourceLocation: sourceLocation)
                return
            }
            lines = lines[(index + 1)...]
        }
    }

    /// A run that expects nothing passes always: an unknown name must fail.
    @Test func anUnknownScenarioFails() throws {
        #expect(try run(program: "HotpatchScenarios", ["nonsense"]).status == 64)
    }
}

/// Runs a program of this package, which lies beside the test's.
private func run(program: String, _ arguments: [String]) throws -> RunResult {
    try run([products + "/" + program] + arguments, seconds: 90)
}
