import Glibc
import TestSupport

/// Programs that patch themselves (Tests/Victims/Scenarios). Not here: `reloaded`, which compiles libraries of x86_64 code.
private let scenarios = [
    "libc", "hammer", "sleepers", "births", "vfork", "fork", "heap", "mapped", "stub", "interrupted", "guarded", "busy",
    "littered", "forks", "mocks",
]

/// By two of the ways to hold threads and to write text.
let scenarioChecks: [Check] =
    scenarios.flatMap { name in
        [["signal", "procMem"], ["ptrace", "mprotect"]].map { scenario([name] + $0) }
    } + [scenario(["deaf", "automatic", "procMem"]), scenario(["traced", "ptrace"])]

/// By the others.
let otherScenarioChecks: [Check] =
    scenarios.flatMap { name in
        [["signal", "mprotect"], ["ptrace", "procMem"]].map { scenario([name] + $0) }
    } + [scenario(["deaf", "automatic", "mprotect"])]

private func scenario(_ arguments: [String]) -> Check {
    Check(name: arguments.joined(separator: " ")) {
        let result = try run([products + "/Scenarios"] + arguments, seconds: 90)
        try expect(result.status == 0, "\(result)")
    }
}
