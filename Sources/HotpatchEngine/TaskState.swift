import CHotpatchLinux
import Glibc
import HotpatchMemory

/// What a thread is doing, for an error that must name who blocks a patch: from `/proc/PID/task/TID/{comm,stat,wchan,syscall}`.
public struct TaskState: Sendable, CustomStringConvertible {
    public var name: String
    /// R running, S sleeping, D in uninterruptible sleep, T stopped, t traced, Z zombie (proc_pid_stat(5)).
    public var letter: Character
    /// The kernel function it sleeps in, or empty.
    public var waitsIn: String
    /// Number of the system call it is in, or nil.
    public var systemCall: Int?

    public init(pid: Int32, thread: Int32) throws {
        let directory = ProcDirectory.path(of: pid) + "/task/\(thread)/"
        func text(_ leaf: String) -> String? {
            let file = linux_open(directory + leaf, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { return nil }
            defer { _ = linux_close(file) }
            var buffer = [UInt8](repeating: 0, count: 1024)
            let count = linux_read(file, &buffer, buffer.count)
            guard count > 0 else { return nil }
            return String(decoding: buffer[..<count].filter { $0 != 10 }, as: UTF8.self)
        }
        guard let stat = text("stat") else {
            throw PatchError.target("thread \(thread) of process \(pid) is gone")
        }
        name = text("comm") ?? "?"
        letter = stat.split(separator: ")").last?.first { $0 != " " } ?? "?"
        let channel = text("wchan") ?? ""
        waitsIn = channel == "0" ? "" : channel
        systemCall = text("syscall")?.split(separator: " ").first.flatMap { Int($0) }
    }

    public var description: String {
        let states: [Character: String] = [
            "R": "running", "S": "sleeping", "D": "in uninterruptible sleep", "T": "stopped", "t": "traced",
            "Z": "a zombie",
        ]
        var text = "\"\(name)\" is \(states[letter] ?? "in state \(letter)")"
        if !waitsIn.isEmpty { text += " in \(waitsIn)" }
        if let systemCall, systemCall >= 0 { text += ", system call \(systemCall)" }
        return text
    }
}
