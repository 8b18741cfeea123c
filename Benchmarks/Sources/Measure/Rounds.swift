import Glibc
import Hotpatch
import HotpatchEngine
import HotpatchSymbols
import Workload

/// Whether the ten-thousandth patch costs what the tenth did: of one function that is patched and reverted again and again, and of
/// functions whose patches all stay in force.
///
/// The ten thousand take seconds, within which the machine may become half as fast. So a process that has made them waits, and makes some
/// more in turns with processes that make their first.
enum Rounds {
    private static let count = 10_000
    private static let pairs = 15
    private static let threads = 4
    /// Made before those that are measured.
    private static let unmeasured = 5
    private static let measured = 11

    static func measure(_ table: inout Table) throws {
        for (what, kind) in [("patched and reverted", "turn"), ("patched, all in force", "force")] {
            var (tenth, last) = (Sample(), Sample())
            let old = try Partner(["rounds", kind, String(count)])
            for _ in 0..<pairs {
                tenth.add(try freshProcess(["rounds", kind, "0"])["patch"] ?? .nan)
                last.add(try old.answer() ?? .nan)
            }
            let state =
                "one function at a time \(what), \(threads) sleeping threads, medians of \(measured), \(pairs) times in turns"
            table.add("patch 10, from code", state, tenth, unit: "µs")
            table.add("patch 10,000, from code", state, last, over: tenth, unit: "µs", goal: 1.2)
        }
    }

    /// The median of a patch behind so many others, once; where there are others, then again for each line that is read.
    static func printSample(_ words: [String]) throws {
        guard words.count == 2, let others = Int(words[1]) else { throw Failure("of what, and behind how many?") }
        let isTurn = words[0] == "turn"
        Workload.startThreads(threads)
        let index = try Workload.index()
        let engine = Workload.engine(index)
        let replacements =
            try Workload.replacements(from: 0, in: index) + Workload.replacements(from: Workload.batch, in: index)
        var number = 0
        func patch() throws {
            let replacement = replacements[number % (isTurn ? 8 : replacements.count)]
            let receipt = try engine.apply(Workload.request([replacement]))
            if isTurn { _ = try engine.revert([receipt.id]) }
            number += 1
        }
        func printMedian() throws {
            for _ in 0..<unmeasured { try patch() }
            var times = Sample()
            for _ in 0..<measured { times.add(try nanoseconds { try patch() } / 1000) }
            print("patch", times.median)
            fflush(nil)
        }
        guard others > 0 else { return try printMedian() }
        while number < others { try patch() }
        while readLine() != nil { try printMedian() }
    }

    /// This program, started anew to answer again and again.
    private final class Partner {
        private let pid: pid_t
        private let input, output: Int32

        init(_ arguments: [String]) throws {
            var (questions, answers): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
            guard pipe(&questions) == 0, pipe(&answers) == 0 else {
                throw Failure("cannot make a pipe: errno \(errno)")
            }
            for end in questions + answers { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            pid = try start(CommandLine.arguments[0], arguments, input: questions[0], output: answers[1])
            close(questions[0])
            close(answers[1])
            (input, output) = (questions[1], answers[0])
        }

        deinit {
            close(input)
            close(output)
            waitpid(pid, nil, 0)
        }

        /// The figure in a line `name value`; nil where there is none.
        func answer() throws -> Double? {
            guard write(input, "\n", 1) == 1 else { throw Failure("the partner has ended") }
            var line: [UInt8] = []
            var byte: UInt8 = 0
            while read(output, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
            return String(decoding: line, as: UTF8.self).split(separator: " ").last.flatMap { Double($0) }
        }
    }
}
