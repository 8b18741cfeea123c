import Glibc
import TestSupport

/// Programs that patch themselves (Tests/Victims/Scenarios). Not here: `reloaded`, which compiles libraries of x86_64 code.
private let scenarios = [
    "libc", "sleepers", "vfork", "fork", "heap", "mapped", "stub", "interrupted", "guarded", "busy", "littered",
    "mocks", "pages",
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
        scenario(["traced", "ptrace"]),
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

/// Where the kernel's pages are of 16 KiB. Not by `/proc/self/mem`, whose write gives the process a page of its own: of its 16
/// KiB, qemu 10.0 goes on running the old code beyond the first 4, whatever is flushed, until the thread's next system call
/// that waits.
let mprotectScenarioChecks = (scenarios + longScenarios).flatMap(byMprotect)
let briefScenarioChecks = ["libc", "mapped", "guarded", "stub", "pages"].flatMap(byMprotect)

private func byMprotect(_ name: String) -> [Check] {
    [scenario([name, "signal", "mprotect"]), scenario([name, "ptrace", "mprotect"])]
}

private func scenario(_ arguments: [String]) -> Check {
    Check(name: arguments.joined(separator: " ")) {
        let result = try run([products + "/Scenarios"] + arguments, seconds: 90)
        try expect(result.status == 0, "\(result)")
    }
}
