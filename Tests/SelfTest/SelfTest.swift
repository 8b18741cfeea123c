import Glibc
import HotpatchCommands
import HotpatchTestSupport

/// The tests for where there is no Swift Testing: arm64, compiled on another machine.
///
/// `SelfTest GROUP…` runs the checks of these groups, and prints a line for each in the shape of Swift Testing's. `SelfTest watch COMMAND…`
/// is the command, of which the program itself cannot be compiled for another machine: what reads its arguments needs Foundation.
@main
struct SelfTest {
    static let groups: [(name: String, checks: [Check])] = [
        ("core", coreChecks), ("remote", remoteChecks), ("commands", commandChecks),
        ("objects", objectChecks), ("scenarios", scenarioChecks),
        ("other-scenarios", otherScenarioChecks), ("brief-scenarios", briefScenarioChecks),
        ("calls", callingChecks), ("async-calls", asyncCallingChecks),
    ]

    static func main() {
        if CommandLine.arguments.count > 2, CommandLine.arguments[1] == "watch" { watch() }
        let wanted = CommandLine.arguments.dropFirst()
        let unknown = wanted.filter { name in !groups.contains { $0.name == name } }
        guard unknown.isEmpty, !wanted.isEmpty else {
            say("usage: SelfTest GROUP…; groups: " + groups.map(\.name).joined(separator: " "))
            exit(64)
        }
        var failures = 0
        for group in groups where wanted.contains(group.name) {
            for check in group.checks where !run(check, of: group.name) { failures += 1 }
        }
        exit(failures == 0 ? 0 : 1)
    }

    private static func watch() -> Never {
        let command = CommandLine.arguments.dropFirst(2).map { $0 }
        do throws(CommandError) { try Watch(command: command, keep: true, json: true, options: patient).run() } catch {
            say("\(error)")
            exit(error.exitCode.rawValue)
        }
    }

    private static func run(_ check: Check, of group: String) -> Bool {
        let start = monotonic()
        func seconds() -> String { "\((monotonic() - start) / 10_000_000)".hundredths }
        do {
            try check.run()
            say("✔ Test \"\(Self.machine)\(group): \(check.name)\" passed after \(seconds()) seconds.")
            return true
        } catch {
            // Below the verdict, which is repeated with what follows where all failures are.
            say("✘ Test \"\(Self.machine)\(group): \(check.name)\" failed after \(seconds()) seconds.")
            for line in "\(error)".split(separator: "\n") { say("    \(line)") }
            return false
        }
    }

    /// What runs here, as the script tells that started it, and the size of its pages: "qemu-user 10.0.8, 4 KiB pages".
    private static let machine =
        (getenv("HOTPATCH_MACHINE").map { String(cString: $0) } ?? "this machine")
        + ", \(sysconf(Int32(_SC_PAGESIZE)) >> 10) KiB pages, "

    /// Nanoseconds.
    private static func monotonic() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec * 1_000_000_000 + now.tv_nsec
    }
}

extension String {
    /// A count of hundredths, as a decimal number.
    fileprivate var hundredths: String {
        let digits = String(repeating: "0", count: max(0, 3 - count)) + self
        return digits.dropLast(2) + "." + digits.suffix(2)
    }
}
