import CHotpatchLinux
import HotpatchEngine
import Glibc
import HotpatchPlan
import HotpatchSymbols

/// User-mode emulation (qemu-aarch64): the program's threads are threads of the emulator, beside one of its own, which manages
/// its memory. The program sees that one in /proc like any other, but can neither park it (it blocks every signal) nor trace it
/// (ptrace is not emulated). It runs the emulator's code only, never the program's: so a commit may leave it alone.
enum Emulation {
    /// Whether the executable that the kernel runs is of another machine. An emulator shows the program's own under
    /// /proc/self/exe; it does not intercept this name of it.
    static let isActive: Bool = {
        guard let header = read("/proc/thread-self/exe", count: 20), header.count == 20,
            header.starts(with: [0x7f, 0x45, 0x4c, 0x46])
        else { return false }
        return UInt16(header[18]) | UInt16(header[19]) << 8 != Architecture.current.elfMachine  // e_machine (elf(5))
    }()

    /// The emulator's own thread, or nil where it cannot be told for sure: it is made before the program begins, so it is the
    /// oldest but the main one, and it blocks what can be blocked. Looked up anew for each commit: fork(2) makes another.
    static func ownThread() -> Int32? {
        guard isActive, let tasks = tasks() else { return nil }
        let others = tasks.compactMap { tid in tid == linux_getpid() ? nil : Task(tid) }
        guard let oldest = others.map(\.startTime).min() else { return nil }
        // Those that began in the same clock tick cannot be told apart by age.
        let candidates = others.filter { $0.startTime == oldest && $0.blocksEverything }
        return candidates.count == 1 ? candidates[0].tid : nil
    }

    /// All mappings of the process, the emulator's too. Where it keeps the program's memory at other addresses than the program
    /// sees, these are shifted: then a place is avoided for nothing.
    static func wholeMap() -> ProcessMap? {
        guard let text = read("/proc/thread-self/maps", count: 1 << 20) else { return nil }
        // Nobody maps anything in the kernel's half, where it shows a page of its own (vsyscall).
        let lines = text.split(separator: UInt8(ascii: "\n")).filter {
            $0.prefix { $0 != UInt8(ascii: "-") }.count <= 12
        }
        return try? ProcessMap(parsing: lines.flatMap { $0 + [UInt8(ascii: "\n")] }, pid: linux_getpid())
    }

    private struct Task {
        var tid: Int32
        /// In clock ticks (proc_pid_stat(5)).
        var startTime: UInt64
        var blocksEverything: Bool

        init?(_ tid: Int32) {
            guard let stat = Emulation.read("/proc/self/task/\(tid)/stat", count: 1024),
                let status = Emulation.read("/proc/self/task/\(tid)/status", count: 1 << 16),
                let close = stat.lastIndex(of: UInt8(ascii: ")"))
            else { return nil }
            // The name, which may hold any character, is in parentheses; the 22nd field is the 20th behind it.
            let fields = stat[(close + 1)...].split(separator: UInt8(ascii: " "))
            let blocked = String(decoding: status, as: UTF8.self).split(separator: "\n").first {
                $0.hasPrefix("SigBlk:")
            }
            guard fields.count > 19, let startTime = UInt64(String(decoding: fields[19], as: UTF8.self)),
                let mask = blocked?.split(separator: "\t").last.flatMap({ UInt64($0, radix: 16) })
            else { return nil }
            self.tid = tid
            self.startTime = startTime
            // All but SIGKILL and SIGSTOP, those that say the emulator itself has gone wrong (SIGILL, SIGBUS, SIGFPE, SIGSEGV), and
            // the two that libc keeps.
            let exempt = [SIGKILL, SIGSTOP, SIGILL, SIGBUS, SIGFPE, SIGSEGV, 32, 33].reduce(UInt64(0)) {
                $0 | 1 << UInt64($1 - 1)
            }
            blocksEverything = mask | exempt == .max
        }
    }

    private static func tasks() -> [Int32]? {
        let directory = linux_open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return nil }
        defer { _ = linux_close(directory) }
        var tids: [Int32] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 15)
        while case let count = linux_getdents(directory, &buffer, buffer.count), count > 0 {
            // struct linux_dirent64 (getdents(2)): inode 8, offset 8, record length 2, type 1, name.
            var offset = 0
            while offset + 19 < count {
                let length = Int(buffer[offset + 16]) | Int(buffer[offset + 17]) << 8
                guard length > 19, offset + length <= count else { return nil }
                let name = buffer[(offset + 19)..<(offset + length)].prefix { $0 != 0 }
                if let tid = Int32(String(decoding: name, as: UTF8.self)) { tids.append(tid) }
                offset += length
            }
        }
        return tids
    }

    /// The first bytes of a file.
    private static func read(_ path: String, count: Int) -> [UInt8]? {
        let file = linux_open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { _ = linux_close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: min(count, 1 << 16))
        while bytes.count < count {
            let length = linux_read(file, &buffer, min(buffer.count, count - bytes.count))
            if length < 0 { return nil }
            if length == 0 { break }
            bytes += buffer.prefix(length)
        }
        return bytes
    }
}
