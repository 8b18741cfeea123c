import CHotpatchLinux
import Glibc
import HotpatchMemory

/// The threads of a process: the directory /proc/PID/task, held open so that listing it costs one call.
package final class TaskList {
    private let descriptor: Int32
    private var buffer = [UInt8](repeating: 0, count: 1 << 16)

    /// The directory of a thread.
    package static func directory(of tid: Int32, in pid: Int32) -> String {
        ProcDirectory.path(of: pid) + "/task/\(tid)"
    }

    /// - Throws: errno.
    package init(pid: Int32) throws(Errno) {
        descriptor = linux_open(ProcDirectory.path(of: pid) + "/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(errno) }
    }

    deinit { _ = linux_close(descriptor) }

    /// The thread ids, ascending as the kernel gives them; empty once the process is gone.
    package func scan() -> [Int32] {
        var tids: [Int32] = []
        _ = linux_rewind(descriptor)
        while true {
            let count = buffer.withUnsafeMutableBytes { linux_getdents(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return tids }
            buffer.withUnsafeBytes { Self.parse($0, count: count, into: &tids) }
        }
    }

    /// struct linux_dirent64 (getdents(2)): inode 8, offset 8, record length 2, type 1, name.
    private static func parse(_ bytes: UnsafeRawBufferPointer, count: Int, into tids: inout [Int32]) {
        var offset = 0
        while offset + 19 <= count {
            let length = Int(bytes.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
            guard length >= 19, offset + length <= count else { return }
            var tid: Int32 = 0
            var index = offset + 19
            while index < offset + length, bytes[index] >= 0x30, bytes[index] <= 0x39, tid < 100_000_000 {
                tid = tid * 10 + Int32(bytes[index] - 0x30)
                index += 1
            }
            if tid > 0 { tids.append(tid) }
            offset += length
        }
    }
}

/// What /proc says of one thread without disturbing it.
package struct TaskGlance {
    package var stat: ProcStat?
    /// The system call it is blocked in; nil where it runs.
    package var systemCall: Int?
    /// PC while blocked; nil where it runs.
    package var pc: UInt64?
    package var sp: UInt64?

    /// /proc/PID/task/TID/syscall: `running`, or number, six arguments, SP and PC (proc_pid_syscall(5)).
    package init(pid: Int32, tid: Int32) {
        let directory = TaskList.directory(of: tid, in: pid)
        stat = (try? ProcText.readString(directory + "/stat")).flatMap { ProcStat(parsing: $0) }
        guard let line = try? ProcText.readString(directory + "/syscall") else { return }
        let fields = line.split(whereSeparator: \.isWhitespace)
        func hex(_ index: Int) -> UInt64? {
            fields[index].hasPrefix("0x") ? UInt64(fields[index].dropFirst(2), radix: 16) : nil
        }
        guard fields.count >= 3, let number = Int(fields[0]) else { return }
        systemCall = number >= 0 ? number : nil
        sp = hex(fields.count - 2)
        pc = hex(fields.count - 1)
    }

    /// The letter of its state alone, for looks at all threads; nil where it is gone.
    package static func state(pid: Int32, tid: Int32) -> UInt8? {
        (try? ProcText.read(TaskList.directory(of: tid, in: pid) + "/stat")).flatMap { ProcStat.state(in: $0) }
    }
}
