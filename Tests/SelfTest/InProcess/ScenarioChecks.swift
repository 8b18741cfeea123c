import Glibc
import HotpatchTestSupport

/// Programs that patch themselves (Tests/Victims/Scenarios). Not here: `reloaded`, which compiles libraries of x86_64 code.
private let scenarios = [
    "libc", "sleepers", "vfork", "signals", "fork", "heap", "mapped", "stub", "interrupted", "guarded", "busy",
    "littered", "mocks", "pages", "ledger",
]
/// These patch for seconds.
private let longScenarios = ["hammer", "births", "forks"]

private let ways = [["signal", "procMem"], ["ptrace", "mprotect"], ["signal", "mprotect"], ["ptrace", "procMem"]]

/// Each by one of the ways to hold threads and to write text, in turn: HotpatchTests tries each by two.
let scenarioChecks: [Check] =
    scenarios.enumerated().map { scenario([$1] + ways[$0 % ways.count]) } + [
        scenario(["hammer", "ptrace", "procMem"]), scenario(["births", "signal", "mprotect"]),
        scenario(["forks", "signal", "procMem"]), scenario(["blockers", "automatic", "procMem"]),
        scenario(["traced", "ptrace"]), scenario(["operation"]), scenario(["waits"]), scenario(["waits", "signal"]),
        scenario(["held"]), scenario(["reading"]), scenario(["names"]), scenario(["timeouts"]), scenario(["storm"]),
        scenario(["forgotten"]), scenario(["missing"]), scenario(["order"]), scenario(["files"]),
        scenario(["everything", "signal", "mprotect"]), scenario(["everything", "ptrace", "procMem"]),
        scenario(["reloader"]),
    ] + largerPages

/// By all others.
let otherScenarioChecks: [Check] =
    scenarios.enumerated().flatMap { index, name in
        ways.indices.filter { $0 != index % ways.count }.map { scenario([name] + ways[$0]) }
    } + longScenarios.flatMap { name in ways.map { scenario([name] + $0) } }
    + [scenario(["blockers", "automatic", "mprotect"])]

/// With pages larger than the kernel's. Those stay as they are, so writes go without mprotect.
private let largerPages = ["libc", "mapped", "stub", "pages"].map { scenario([$0, "signal", "procMem", "65536"]) }

/// What depends on the size of pages.
let briefScenarioChecks: [Check] = ["libc", "mapped", "guarded", "stub", "pages"].enumerated().map {
    scenario([$1] + ways[($0 + 2) % ways.count])
}

private func scenario(_ arguments: [String]) -> Check {
    Check(name: arguments.joined(separator: " ")) {
        let result = try run([products + "/HotpatchScenarios"] + arguments, seconds: 250)
        try expect(result.status == 0, "\(result)")
    }
}
