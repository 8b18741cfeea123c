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

/// What does not depend on the machine, which the suites for this machine try, or what user-mode emulation tries (Tests/arm64/test.sh), or
/// what patches for seconds. Here they are tried at length.
private let elsewhere: Set = ["sleepers", "stub", "littered", "ledger"]
private let atLength: [Check] =
    [
        ["births", "signal", "mprotect"], ["forks", "signal", "procMem"], ["operation"], ["waits", "signal"],
        ["reading"],
        ["names"], ["timeouts"], ["storm"], ["forgotten"], ["missing"], ["order"], ["files"],
        ["everything", "ptrace", "procMem"], ["reloader"],
    ].map(scenario) + largerPages

/// Each by one of the ways to hold threads and to write text, in turn: HotpatchTests tries each by two.
let scenarioChecks: [Check] =
    scenarios.enumerated().filter { isLong || !elsewhere.contains($1) }.map { scenario([$1] + ways[$0 % ways.count]) }
    + [
        scenario(["hammer", "ptrace", "procMem"]), scenario(["blockers", "automatic", "procMem"]),
        scenario(["traced", "ptrace"]), scenario(["waits"]), scenario(["held"]),
        scenario(["everything", "signal", "mprotect"]),
    ] + (isLong ? atLength : [])

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
