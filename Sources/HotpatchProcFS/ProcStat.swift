import Glibc
import HotpatchMemory

/// The fields of /proc/PID/stat that matter here (proc_pid_stat(5)).
package struct ProcStat: Hashable {
    package var name: String
    package var state: Character
    package var parent: Int32
    package var flags: UInt64
    /// In clock ticks after boot: with the id, the identity of a process or thread.
    package var startTime: UInt64
    /// As wait(2) tells it; 0 to those who may not know. Nil before Linux 3.5, and where it is cut off.
    package var exitStatus: Int32?

    /// - Returns: nil where the text is not of that form.
    package init?(parsing text: String) {
        // The name may hold spaces and parentheses: the last ')' ends it.
        let bytes = text.utf8
        guard let open = bytes.firstIndex(of: UInt8(ascii: "(")), let close = bytes.lastIndex(of: UInt8(ascii: ")")),
            open < close
        else { return nil }
        name = String(text[bytes.index(after: open)..<close])
        // The third field is the first behind the name.
        let fields = ProcText.words(text[bytes.index(after: close)...])
        guard fields.count >= 20, let state = fields[0].first, let parent = Int32(fields[1]),
            let flags = UInt64(fields[6]), let startTime = UInt64(fields[19])
        else { return nil }
        self.state = state
        self.parent = parent
        self.flags = flags
        self.startTime = startTime
        exitStatus = fields.count > 49 ? Int32(fields[49]) : nil
    }

    /// Reads a process's.
    /// - Throws: errno; EINVAL where the text is not of that form.
    package init(ofProcess pid: Int32) throws(Errno) {
        let text = try ProcText.readString(ProcDirectory.path(of: pid) + "/stat")
        guard let stat = ProcStat(parsing: text) else { throw Errno(EINVAL) }
        self = stat
    }

    /// This process's id as its /proc shows it; nil where that cannot be read.
    package static func ownID() -> Int32? {
        guard let text = try? ProcText.prefix(of: "/proc/self/stat", count: 16) else { return nil }
        return Int32(String(decoding: text.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self))
    }

    /// PF_KTHREAD (linux/sched.h).
    package var isKernelThread: Bool { flags & 0x0020_0000 != 0 }

    /// The letter of the state alone, for looks at all threads; nil where the text is not of that form.
    package static func state(in text: [UInt8]) -> UInt8? {
        guard let end = text.lastIndex(of: UInt8(ascii: ")")), end + 2 < text.count else { return nil }
        return text[end + 2]
    }
}

/// `Key: value` lines of /proc/PID/status (proc_pid_status(5)).
package struct ProcStatus {
    private var fields: [Substring: Substring] = [:]

    package init(parsing text: String) {
        for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            fields[Substring(line[..<colon])] = Substring(line[line.index(after: colon)...])
        }
    }

    /// Reads a process's.
    /// - Throws: errno.
    package init(ofProcess pid: Int32) throws(Errno) {
        self.init(parsing: try ProcText.readString(ProcDirectory.path(of: pid) + "/status"))
    }

    /// Reads a thread's.
    /// - Throws: errno.
    package init(of tid: Int32, in pid: Int32) throws(Errno) {
        self.init(parsing: try ProcText.readString(TaskList.directory(of: tid, in: pid) + "/status"))
    }

    package func text(_ key: Substring) -> String? { fields[key].map { ProcText.trimmed($0) } }

    /// The first number of the field.
    package func number(_ key: Substring) -> Int? {
        words(key).first.flatMap { Int($0) }
    }

    package func words(_ key: Substring) -> [Substring] { fields[key].map { ProcText.words($0) } ?? [] }

    /// A mask of signals: `SigBlk`, `SigCgt`, ….
    package func mask(_ key: Substring) -> UInt64? { text(key).flatMap { UInt64($0, radix: 16) } }

    /// A user-mode shadow stack is on (Documentation/arch/x86/shstk.rst).
    package var hasShadowStack: Bool { words("x86_Thread_features").contains("shstk") }
}
