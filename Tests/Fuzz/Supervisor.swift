import Glibc
import HotpatchTestSupport

/// Starts workers, and notes which inputs they die of.
struct Supervisor {
    struct Options {
        var seed = UInt64.random(in: 0...UInt64(UInt32.max))
        var seconds = 60
        var workers = 2
        /// Instead of as many as the seconds allow.
        var inputs: ClosedRange<Int>?
        /// Where the objects are copied to that a worker died of.
        var keep: String?
    }

    /// In seconds, for one input: a thousand times what an ordinary object takes.
    private static let longest = 60

    private let options: Options
    private let corpus: TemporaryDirectory

    init(_ options: Options) throws {
        self.options = options
        corpus = try TemporaryDirectory("fuzz")
    }

    /// - Returns: how many inputs failed.
    func run() throws -> Int {
        let subjects = try Corpus.make(in: corpus.path)
        print("fuzz: SEED=\(options.seed), \(subjects) pairs of objects")
        fflush(nil)
        let start = time(nil)
        let end = start + options.seconds
        let last = options.inputs.map { $0.upperBound + 1 } ?? Int.max
        var workers: [WorkerProcess] = []
        for number in 0..<options.workers {
            workers.append(try begin((options.inputs?.lowerBound ?? 0) + number, last))
        }
        var failures: [String] = []
        var tally: [String: Int] = [:]
        while !workers.isEmpty {
            let isOver = options.inputs == nil && time(nil) >= end
            for index in workers.indices.reversed() {
                let worker = workers[index]
                var next: Int?
                switch worker.wait(until: isOver ? 0 : end, longest: Self.longest) {
                case .goesOn where !isOver: continue
                case .goesOn: worker.end()
                case .ended(0): break
                case .ended(let status):
                    failures.append(describe(worker, "ended with \(status)"))
                    next = worker.current + options.workers
                case .hangs:
                    worker.end()
                    failures.append(describe(worker, "did not end in \(Self.longest) seconds"))
                    next = worker.current + options.workers
                }
                for (result, count) in worker.tally { tally[result, default: 0] += count }
                failures += worker.complaints
                workers.remove(at: index)
                if let next, next < last, !isOver, failures.count < 20 { workers.append(try begin(next, last)) }
            }
        }
        report(failures, tally, seconds: time(nil) - start)
        return failures.count
    }

    private func begin(_ first: Int, _ last: Int) throws -> WorkerProcess {
        try WorkerProcess([
            "work", corpus.path, "\(options.seed)", "\(first)", "\(options.workers)", "\(last)",
        ])
    }

    private func describe(_ worker: WorkerProcess, _ what: String) -> String {
        if let keep = options.keep {
            _ = try? runTool("cp", "-r", worker.directory(in: corpus.path), "\(keep)/\(options.seed)-\(worker.current)")
        }
        return "input \(worker.current) \(what), after: \(worker.lastWords)"
    }

    private func report(_ failures: [String], _ tally: [String: Int], seconds: Int) {
        let inputs = tally.values.reduce(0, +)
        let results = tally.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.key) \($0.value)" }
        print("    \(inputs) inputs: \(results.joined(separator: ", "))")
        let isGood = failures.isEmpty && inputs > 0
        print(
            (isGood ? "✔" : "✘") + " Test \"hostile objects: each is linked or refused\" "
                + (isGood ? "passed" : "failed") + " after \(seconds) seconds.")
        for failure in failures.prefix(20) {
            let number = failure.split(separator: " ")[1]
            print("    \(failure)\n    again: make fuzz SEED=\(options.seed) INPUTS=\(number)")
        }
        fflush(nil)
    }
}

/// A worker, as its supervisor sees it.
final class WorkerProcess {
    enum State {
        case goesOn
        case ended(Int32)
        case hangs
    }

    private let pid: pid_t
    private let output: Int32
    private var pending: [UInt8] = []
    private(set) var current = 0
    private(set) var tally: [String: Int] = [:]
    private(set) var complaints: [String] = []
    private(set) var lastWords = ""
    private var began = time(nil)

    init(_ arguments: [String]) throws {
        let pipe = try makePipe()
        defer { close(pipe.write) }
        output = pipe.read
        var environment: [String] = []
        // libdw computes with the bytes of hostile files: what it writes beyond its blocks is noticed when they are freed.
        let checker = "/lib/\(Corpus.machine)-linux-gnu/libc_malloc_debug.so.0"
        if access(checker, R_OK) == 0, getenv("ASAN_OPTIONS") == nil {
            environment = ["env", "LD_PRELOAD=\(checker)", "MALLOC_CHECK_=3", "MALLOC_PERTURB_=165"]
        }
        pid = try spawn(
            environment + [products + "/HotpatchFuzz"] + arguments, output: pipe.write, errors: pipe.write)
        current = Int(arguments[3])!
    }

    deinit { close(output) }

    /// Where the worker keeps its input.
    func directory(in corpus: String) -> String { "\(corpus)/worker-\(pid)" }

    func end() {
        kill(pid, SIGKILL)
        reap(pid)
        while read() {}
    }

    /// Reads what it says for a while.
    func wait(until end: Int, longest: Int) -> State {
        var poller = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
        if poll(&poller, 1, 50) > 0, !read() { return .ended(reap(pid)) }
        return time(nil) - began > longest ? .hangs : .goesOn
    }

    private func read() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = Glibc.read(output, &buffer, buffer.count)
        guard count > 0 else { return false }
        pending += buffer[..<count]
        while let end = pending.firstIndex(of: 10) {
            take(String(decoding: pending[..<end], as: UTF8.self))
            pending.removeFirst(end + 1)
        }
        return true
    }

    /// `begin N …` before an input, `result …` behind it.
    private func take(_ line: String) {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        switch words.first {
        case "begin":
            began = time(nil)
            lastWords = words[1]
            current = Int(words[1].prefix { $0 != " " }) ?? current
        case "result": tally[words[1], default: 0] += 1
        case "complaint": complaints.append("input \(current) : \(words[1]), after: \(lastWords)")
        default:
            // Only the lines that say what a backtrace is of.
            guard ["rror", " in HotpatchFuzz at ", "free()", "malloc"].contains(where: line.contains) else { break }
            if lastWords.utf8.count < 3000 { lastWords += "\n        " + line.prefix(1400) }
        }
    }
}
