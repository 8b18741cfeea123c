import Glibc
import HotpatchTestSupport

/// Writes random signatures as Swift source, compiles them, and has what was compiled check itself.
///
/// In the environment: SEED and SIGNATURES, the batch; CONFIGURATIONS, how target and test are compiled (`O/O Onone/Onone`);
/// ASYNC, how many of them are async where they can be, in percent; ONLY, one signature of the batch; KEEP, a directory for the
/// sources, which is new. ARM64_SDK, ARM64_PRODUCTS and RUNNER: compiles for arm64 with that SDK (Tests/arm64/sdk.sh), with the package
/// built there, and runs what was compiled with that command.
@main struct CallGenerator {
    static func main() {
        do { exit(try checkBatch() ? 0 : 1) } catch {
            print("FAIL \(error)")
            exit(2)
        }
    }

    /// - Returns: whether nothing failed.
    private static func checkBatch() throws -> Bool {
        let seed = number("SEED") ?? Int(UInt32.random(in: 0...(.max)))
        let count = number("SIGNATURES") ?? 50
        let only = number("ONLY")
        let machine = try machine()
        let batch = Batch(
            seed: UInt64(seed), count: count, only: only, asyncPercent: number("ASYNC") ?? 25, machine: machine)
        let temporary = try TemporaryDirectory("calls")
        let directory = variable("KEEP") ?? temporary.path
        mkdir(directory, 0o755)
        let workshop = try Workshop(batch, directory: directory, machine: machine)

        var total = Tally()
        for name in (variable("CONFIGURATIONS") ?? "Onone/Onone O/O").split(separator: " ") {
            guard let configuration = Workshop.Configuration(String(name)) else {
                throw TestFailure("CONFIGURATIONS: \(name)")
            }
            let program = try workshop.build(configuration)
            total.add(
                try check(program, on: machine, configuration, count: batch.count) { index in
                    let index = only ?? index
                    return "SEED=\(seed) SIGNATURES=\(count) ONLY=\(index) CONFIGURATIONS=\(name) Tests/calls/test.sh"
                })
        }
        print(
            "SEED=\(seed): \(batch.count) signatures, \(total.checks) checks, \(total.failed) failed, "
                + "\(total.refused.values.reduce(0, +)) refused"
                + (total.refused.isEmpty ? "" : " (\(total.refusals))"))
        return total.failed == 0
    }

    private static func machine() throws -> Machine {
        guard let sdk = variable("ARM64_SDK"), let products = variable("ARM64_PRODUCTS"),
            let runner = variable("RUNNER")
        else { return .host }
        return try .arm64(sdk: sdk, products: products, runner: runner)
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
    private static func number(_ name: String) -> Int? { variable(name).flatMap { Int($0) } }

    /// Runs a program, and again from the next signature on where one crashes it.
    private static func check(
        _ program: String, on machine: Machine, _ configuration: Workshop.Configuration, count: Int,
        reproduction: (Int) -> String
    ) throws -> Tally {
        var tally = Tally()
        var first = 0
        while first < count {
            let run = try Run(program, on: machine, configuration, from: first, count: count)
            first += run.begun
            tally.add(run.tally)
            for line in run.lines { print(line.hasPrefix("FAIL ") ? "\(line)\n  \(reproduction(run.last))" : line) }
            guard run.status != 0 else { continue }
            // What crashes alone, and before anything is patched, is the compiler's doing.
            if run.phase == "unpatched",
                case let alone = try Run(program, on: machine, configuration, from: first - 1, count: 1),
                alone.status != 0, alone.phase == "unpatched"
            {
                tally.refused["miscompiled", default: 0] += 1
                continue
            }
            tally.failed += 1
            print("FAIL \(run.last), \(run.phase): status \(run.status)\n  \(reproduction(run.last))\n\(run.crash)")
            if run.begun == 0 { break }
        }
        return tally
    }
}

/// What a program said.
private struct Run {
    var tally = Tally()
    /// Signatures that it began with, and the last one.
    var begun = 0
    var last: Int
    /// What it was at.
    var phase = ""
    let status: Int
    /// What it said of failures.
    var lines: [String] = []
    /// What the runtime and its backtracer say of a crash, without registers and images.
    let crash: String

    init(_ program: String, on machine: Machine, _ configuration: Workshop.Configuration, from first: Int, count: Int)
        throws
    {
        let result = try run(
            machine.runner + [
                "FIRST=\(first)", "COUNT=\(count)", "TASKS=\(machine.taskCount)", "TARGET=\(configuration.target)",
                "GLIBC_TUNABLES=glibc.malloc.tcache_count=0", program,
            ], seconds: 600)
        status = Int(result.status)
        crash = result.errors.split(separator: "\n").prefix { !$0.hasPrefix("Registers") }.suffix(40).joined(
            separator: "\n")
        last = first
        for line in result.output.split(separator: "\n") {
            if line.hasPrefix("# ") {
                last = Int(line.dropFirst(2)) ?? last
                begun += 1
            } else if line.hasPrefix("@ ") {
                phase = String(line.dropFirst(2))
            } else if line.hasPrefix("TALLY ") {
                tally.add(Tally(line))
            } else {
                lines.append(String(line))
            }
        }
    }
}

struct Tally {
    var checks = 0
    var failed = 0
    var refused: [String: Int] = [:]

    init() {}

    /// `TALLY checks failed reason=count …`
    init(_ line: Substring) {
        let words = line.split(separator: " ")
        guard words.count >= 3 else { return }
        checks = Int(words[1]) ?? 0
        failed = Int(words[2]) ?? 1
        for word in words.dropFirst(3) {
            let pair = word.split(separator: "=")
            if pair.count == 2 { refused[String(pair[0])] = Int(pair[1]) }
        }
    }

    mutating func add(_ other: Tally) {
        checks += other.checks
        failed += other.failed
        refused.merge(other.refused, uniquingKeysWith: +)
    }

    var refusals: String {
        refused.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    }
}
