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
        DirectoryList.forEach(in: descriptor, buffer: &buffer) { name, _ in
            var tid: Int32 = 0
            for byte in name {
                guard (0x30...0x39).contains(byte), tid < 100_000_000 else { break }
                tid = tid * 10 + Int32(byte - 0x30)
            }
            if tid > 0 { tids.append(tid) }
        }
        return tids
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
        let fields = ProcText.words(line)
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
