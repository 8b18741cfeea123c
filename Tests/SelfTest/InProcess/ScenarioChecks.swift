import Glibc
import TestSupport

/// Programs that patch themselves (Tests/Victims/Scenarios), by every way to hold threads and to write text.
let scenarioChecks: [Check] =
    [
        "libc", "hammer", "sleepers", "births", "vfork", "fork", "heap", "mapped", "reloaded", "stub", "interrupted",
        "guarded", "busy",
        "littered", "forks", "mocks",
    ].flatMap { name in
        [["signal", "procMem"], ["signal", "mprotect"], ["ptrace", "procMem"], ["ptrace", "mprotect"]].map {
            scenario([name] + $0)
        }
    } + [scenario(["deaf", "automatic", "procMem"]), scenario(["traced", "ptrace"])]

private func scenario(_ arguments: [String]) -> Check {
    Check(name: arguments.joined(separator: " ")) {
        let result = try run([products + "/Scenarios"] + arguments, seconds: 90)
        try expect(result.status == 0, "\(result)")
    }
}
