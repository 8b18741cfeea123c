import CHotpatchLinux
import HotpatchEngine
import Glibc
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols

/// User-mode emulation (qemu-aarch64): the program's threads are threads of the emulator, beside one of its own, which manages
/// its memory. The program sees that one in /proc like any other, but can neither park it (it blocks every signal) nor trace it
/// (ptrace is not emulated). It runs the emulator's code only, never the program's: so a commit may leave it alone.
enum Emulation {
    /// Whether the executable that the kernel runs is of another machine. An emulator shows the program's own under
    /// /proc/self/exe; it does not intercept this name of it.
    static let isActive: Bool = {
        guard let header = try? ProcText.prefix(of: "/proc/thread-self/exe", count: 20), header.count == 20,
            header.starts(with: [0x7f, 0x45, 0x4c, 0x46])
        else { return false }
        return UInt16(header[18]) | UInt16(header[19]) << 8 != Architecture.current.elfMachine  // e_machine (elf(5))
    }()

    /// The emulator's own thread, or nil where it cannot be told for sure: it is made before the program begins, so it is the
    /// oldest but the main one, and it blocks what can be blocked. Looked up anew for each commit: fork(2) makes another.
    static func ownThread() -> Int32? {
        let pid = linux_getpid()
        guard isActive, let tasks = try? TaskList(pid: pid).scan() else { return nil }
        let others = tasks.compactMap { tid in tid == pid ? nil : Task(tid, of: pid) }
        guard let oldest = others.map(\.startTime).min() else { return nil }
        // Those that began in the same clock tick cannot be told apart by age.
        let candidates = others.filter { $0.startTime == oldest && $0.blocksEverything }
        return candidates.count == 1 ? candidates[0].tid : nil
    }

    /// All mappings of the process, the emulator's too. Where it keeps the program's memory at other addresses than the program
    /// sees, these are shifted: then a place is avoided for nothing.
    static func wholeMap() -> ProcessMap? { try? ProcessMap(pid: linux_getpid(), directory: "/proc/thread-self") }

    private struct Task {
        var tid: Int32
        /// In clock ticks (proc_pid_stat(5)).
        var startTime: UInt64
        var blocksEverything: Bool

        init?(_ tid: Int32, of pid: Int32) {
            guard let startTime = TaskGlance(pid: pid, tid: tid).stat?.startTime,
                let mask = (try? ProcStatus(of: tid, in: pid))?.mask("SigBlk")
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
}
