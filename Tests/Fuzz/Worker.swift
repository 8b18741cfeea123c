import Glibc
import HotpatchELF
import HotpatchHotLink
import HotpatchTestSupport

/// Makes inputs, links them and says how it went; on a failure it dies.
enum Worker {
    /// In bytes, of address space: objects may ask for half a GiB of zeros each, libraries of the runtime are mapped.
    private static let largestMemory: UInt = 6 << 30

    static func serve(_ arguments: [String]) throws -> Never {
        guard arguments.count == 5, let seed = UInt64(arguments[1]),
            case let numbers = arguments[2...].compactMap({ Int($0) }), numbers.count == 3
        else { throw TestFailure("a worker is started by its supervisor") }
        // A supervisor that died leaves nobody behind: what is said to nobody ends the worker (SIGPIPE).
        if getenv("ASAN_OPTIONS") == nil {
            var limit = rlimit(rlim_cur: largestMemory, rlim_max: largestMemory)
            setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
        }
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        let subjects = try Corpus.read(from: arguments[0])
        let directory = "\(arguments[0])/worker-\(getpid())"
        guard mkdir(directory, 0o755) == 0 else { throw TestFailure("cannot make \(directory)") }
        for number in stride(from: numbers[0], to: numbers[2], by: numbers[1]) {
            let input = try Input(seed: seed, number: number, subjects)
            try input.write(to: directory)
            say("begin \(number) \(input)")
            do {
                let result = try input.link(from: directory)
                say("result \(result)")
            } catch let error as TestFailure { say("complaint \(error)") }
        }
        exit(0)
    }

    private static func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(1, bytes, bytes.count)
    }
}
