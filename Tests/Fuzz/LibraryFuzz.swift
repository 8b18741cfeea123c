import Glibc
import HotpatchELF
import HotpatchTestSupport

/// Changes shared libraries, and expects of each either that it is refused, or that a dynamic linker opens it, or refuses it, and lives.
struct LibraryFuzz {
    let options: Supervisor.Options

    init(_ options: Supervisor.Options) { self.options = options }

    /// - Returns: how many libraries failed.
    func run() throws -> Int {
        let directory = try TemporaryDirectory("libraries")
        let package = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let trial = try LibraryTrial.compile(package + "/Tests/Victims/commands", in: directory.path)
        print("fuzz: SEED=\(options.seed), libraries")
        fflush(nil)
        let end = time(nil) + options.seconds
        var next = options.inputs?.lowerBound ?? 0
        let last = options.inputs.map { $0.upperBound + 1 } ?? Int.max
        var total = LibraryTrial.Outcome()
        var reasons: [String: Int] = [:]
        while next < last, options.inputs != nil || time(nil) < end, total.failures.count < 20 {
            let count = min(200, last - next)
            let outcome = try trial.run(seed: options.seed, next..<next + count, keep: options.keep) { path in
                do {
                    try ElfImage(path: path).vetForLoading()
                    return true
                } catch {
                    let text = "\(error)"
                    guard text.hasSuffix("."), text.contains(". ") else { throw TestFailure(text) }
                    reasons[Self.kind(text), default: 0] += 1
                    return false
                }
            }
            total.judged += outcome.judged
            total.passed += outcome.passed
            total.fates.merge(outcome.fates, uniquingKeysWith: +)
            total.failures += outcome.failures
            next += count
        }
        let fates = total.fates.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        print("    \(total.judged) libraries: refused \(total.judged - total.passed); \(fates.joined(separator: ", "))")
        if getenv("VERBOSE") != nil {
            for (reason, count) in reasons.sorted(by: { $1.value < $0.value }) { print("    \(count) \(reason)") }
        }
        let isGood = total.failures.isEmpty && total.judged > 0
        print(
            (isGood ? "✔" : "✘") + " Test \"hostile libraries: each is refused, or harms nobody\" "
                + (isGood ? "passed." : "failed."))
        for failure in total.failures.prefix(20) { print("    \(failure)") }
        print(isGood ? "" : "    again: Tests/fuzz.sh libraries --seed \(options.seed) --inputs N-N")
        fflush(nil)
        return total.failures.count
    }

    /// What an error says but for numbers.
    private static func kind(_ text: String) -> String {
        let what = text.split(separator: ":", maxSplits: 1).last.map(String.init) ?? text
        return what.split(separator: " ").map { $0.contains(where: \.isNumber) ? "N" : String($0) }.joined(
            separator: " ")
    }
}
