import HotpatchCommands
import Glibc
import HotpatchRemoteTarget
import HotpatchTestSupport

/// The command in a process of its own, as `swift-hotpatch` runs it: that program itself is not built for every machine.
enum Patcher {
    struct Outcome: CustomStringConvertible {
        /// The exit code, or minus the signal.
        var status: Int32
        var output: String
        var seconds: Double
        /// The largest resident size, in MiB.
        var megabytes: Int

        var description: String {
            "status \(status) after \(Int(seconds * 1000)) ms, \(output.split(separator: "\n").first ?? "")"
        }

        /// Whether it ended as a command may: by itself, with one of the codes it promises.
        var isRegular: Bool { [0, 2, 3, 4].contains(status) }
    }

    /// - Parameters:
    ///   - killedAfter: microseconds after which it is killed.
    ///   - seconds: it is killed after, and has hung then: its status is that of SIGKILL.
    static func run(_ arguments: String..., killedAfter: Int? = nil, seconds: Int = 40) throws -> Outcome {
        let output = try makePipe()
        defer { close(output.read) }
        let start = monotonic()
        let child: pid_t
        do {
            child = try spawn(["/proc/self/exe", "patch"] + arguments, output: output.write, errors: output.write)
        } catch {
            close(output.write)
            throw error
        }
        close(output.write)
        if let killedAfter {
            usleep(UInt32(killedAfter))
            kill(child, SIGKILL)
        }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var poller = pollfd(fd: output.read, events: Int16(POLLIN), revents: 0)
        while true {
            if poll(&poller, 1, 200) > 0 {
                let count = read(output.read, &buffer, buffer.count)
                if count <= 0 { break }
                text += buffer[..<count]
            }
            if monotonic() - start > Double(seconds) { kill(child, SIGKILL) }
        }
        var status: Int32 = 0
        var usage = rusage()
        while wait4(child, &status, 0, &usage) < 0, errno == EINTR {}
        return Outcome(
            status: status & 0x7f == 0 ? status >> 8 & 0xff : -(status & 0x7f),
            output: String(decoding: text, as: UTF8.self), seconds: monotonic() - start,
            megabytes: Int(usage.ru_maxrss) >> 10)
    }

    static func monotonic() -> Double {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
    }

    // MARK: In the process of its own

    /// `apply LIBRARY`, `dry LIBRARY`, `revert --all`, `list`, `symbols`; `--pid N`, `--timeout MILLISECONDS`, `--max-pause MILLISECONDS`.
    static func serve(_ arguments: [String]) -> Never {
        var words: [String] = []
        var numbers: [String: Int] = [:]
        var rest = arguments[...]
        while let word = rest.popFirst() {
            if word.hasPrefix("--"), word != "--all" {
                numbers[word] = rest.popFirst().flatMap { Int($0) }
            } else {
                words.append(word)
            }
        }
        let pid = Int32(numbers["--pid"] ?? 0)
        let options = TargetOptions(
            timeout: .milliseconds(numbers["--timeout"] ?? 10_000),
            maximumPause: numbers["--max-pause"].map { .milliseconds($0) })
        do throws(CommandError) {
            let report: Report
            switch words.first {
            case "apply": report = try Apply(library: words[1], pid: pid, options: options).run()
            case "dry": report = try Apply(library: words[1], pid: pid, dryRun: true, options: options).run()
            case "revert": report = try Revert(pid: pid, choice: .all, options: options).run()
            case "list": report = try List(pid: pid).run()
            case "symbols": report = try SymbolList(subject: .file(words[1])).run()
            default: exit(64)
            }
            print(report.text)
        } catch {
            print("error: \(error.description)")
            fflush(nil)
            exit(error.exitCode.rawValue)
        }
        fflush(nil)
        exit(0)
    }
}
