import CHotpatchLinux
import Glibc

/// Reading files of /proc: small, generated on each read, of no known length.
enum ProcText {
    /// The file's bytes, at most `limit`.
    /// - Throws: errno.
    static func read(_ path: String, limit: Int = 1 << 22) throws(Errno) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while bytes.count < limit {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw Errno(errno)
            }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        return bytes
    }

    static func readString(_ path: String) throws(Errno) -> String { String(decoding: try read(path), as: UTF8.self) }

    static func readLink(_ path: String) throws(Errno) -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes {
            readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        guard count >= 0 else { throw Errno(errno) }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    /// The text without white space at its ends.
    static func trimmed(_ text: some StringProtocol) -> String {
        var view = Substring(text)
        while let first = view.first, first.isWhitespace { view.removeFirst() }
        while let last = view.last, last.isWhitespace { view.removeLast() }
        return String(view)
    }
}

struct Errno: Error, Hashable {
    var code: Int32
    init(_ code: Int32) { self.code = code }
}

/// The fields of /proc/PID/stat that matter here (proc_pid_stat(5)).
struct ProcStat: Hashable {
    var name: String
    var state: Character
    var parent: Int32
    var flags: UInt64
    /// In clock ticks after boot: with the pid, the identity of a process.
    var startTime: UInt64

    /// - Returns: nil where the text is not of that form.
    init?(parsing text: String) {
        // The name may hold spaces and parentheses: the last ')' ends it.
        guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close else { return nil }
        name = String(text[text.index(after: open)..<close])
        let fields = text[text.index(after: close)...].split(separator: " ")
        guard fields.count >= 20, let state = fields[0].first, let parent = Int32(fields[1]),
            let flags = UInt64(fields[6]), let startTime = UInt64(fields[19])
        else { return nil }
        self.state = state
        self.parent = parent
        self.flags = flags
        self.startTime = startTime
    }

    /// PF_KTHREAD (linux/sched.h).
    var isKernelThread: Bool { flags & 0x0020_0000 != 0 }
}

/// `Key: value` lines of /proc/PID/status (proc_pid_status(5)).
struct ProcStatus {
    private var fields: [Substring: Substring] = [:]

    init(parsing text: String) {
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon]] = line[line.index(after: colon)...]
        }
    }

    func text(_ key: Substring) -> String? { fields[key].map { ProcText.trimmed($0) } }

    /// The first number of the field.
    func number(_ key: Substring) -> Int? {
        fields[key]?.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) }
    }

    func words(_ key: Substring) -> [Substring] { fields[key]?.split(whereSeparator: \.isWhitespace) ?? [] }
}
