import Glibc
import HotpatchTestSupport

/// Programs that patch themselves (Tests/Victims/Scenarios). Not here: `reloaded`, which compiles libraries of x86_64 code.
private let scenarios = [
    "libc", "sleepers", "vfork", "signals", "fork", "heap", "mapped", "stub", "interrupted", "guarded", "busy",
    "littered", "mocks", "pages", "ledger",
]
/// These patch for seconds.
private let longScenarios = ["hammer", "births", "forks"]

/// By two of the ways to hold threads and to write text.
let scenarioChecks: [Check] =
    scenarios.flatMap { name in
        [["signal", "procMem"], ["ptrace", "mprotect"]].map { scenario([name] + $0) }
    } + [
        scenario(["hammer", "ptrace", "procMem"]), scenario(["births", "signal", "mprotect"]),
        scenario(["forks", "signal", "procMem"]), scenario(["deaf", "automatic", "procMem"]),
        scenario(["traced", "ptrace"]), scenario(["operation"]), scenario(["waits"]), scenario(["waits", "signal"]),
        scenario(["held"]), scenario(["reading"]), scenario(["names"]), scenario(["timeouts"]), scenario(["storm"]),
        scenario(["forgotten"]), scenario(["missing"]), scenario(["order"]), scenario(["files"]),
        scenario(["everything", "signal", "mprotect"]), scenario(["everything", "ptrace", "procMem"]),
    ] + largerPages

/// By all others.
let otherScenarioChecks: [Check] =
    (scenarios + longScenarios).flatMap { name in
        [["signal", "mprotect"], ["ptrace", "procMem"]].map { scenario([name] + $0) }
    }
    + longScenarios.flatMap { name in
        [["signal", "procMem"], ["ptrace", "mprotect"]].map { scenario([name] + $0) }
    } + [scenario(["deaf", "automatic", "mprotect"])]

/// With pages larger than the kernel's. Those stay as they are, so writes go without mprotect.
private let largerPages = ["libc", "mapped", "stub", "pages"].map { scenario([$0, "signal", "procMem", "65536"]) }

/// What depends on the size of pages.
let briefScenarioChecks: [Check] = ["libc", "mapped", "guarded", "stub", "pages"].flatMap { name in
    [["signal", "procMem"], ["ptrace", "mprotect"]].map { scenario([name] + $0) }
}

private func scenario(_ arguments: [String]) -> Check {
    Check(name: arguments.joined(separator: " ")) {
        let result = try run([products + "/HotpatchScenarios"] + arguments, seconds: 250)
        try expect(result.status == 0, "\(result)")
    }
}
