import CPatchCore
import CPatchMachine
import HotpatchMemory
import HotpatchProcFS

/// The thread that the stub was given to.
struct BorrowedThread {
    let process: RemoteProcess
    let memory: ProcMemory
    let holds: HoldBudget
    let task: KnownTask
    let stub: Range<Address>
    let area: Range<Address>

    /// Whether it is out of the stub and the area, and will never come back: it said that it was leaving, and then may have been
    /// preempted, or be in a signal handler that returns into the stub.
    func hasLeft() -> Bool {
        if sleepsElsewhere() { return true }
        guard let session = try? StopSession(process, maximumPause: nil, holds: holds) else { return !task.isThere }
        var hasLeft = false
        do throws(RemoteRefusal) {
            try session.stopOne(task.tid, deadline: .after(nanoseconds: holds.bound(milliseconds: 20))) { tracees in
                if let tracee = tracees.tracees.first {
                    var registers = tracee.registers
                    hasLeft = !isInside(
                        pc: hp_registers_pc(&registers), sp: hp_registers_sp(&registers),
                        signatureBits: tracees.signatureBits)
                }
                tracees.detachAll()
            }
        } catch { hasLeft = !task.isThere }
        session.release()
        return hasLeft
    }

    private func isInside(pc: UInt64, sp: UInt64, signatureBits: UInt64 = 0) -> Bool {
        if stub.contains(Address(pc)) || area.contains(Address(sp)) { return true }
        var scan = StackScan(memory: memory, limit: Int(HP_STACK_SEARCH_BYTES), signatureBits: signatureBits)
        let words = stub.lowerBound.rawValue..<stub.upperBound.rawValue
        return scan.first(from: sp, in: words, where: { _, _ in true }) != nil
    }

    /// Whether it can be seen to have left without being stopped, which would disturb its sleep: it is blocked elsewhere, its stack
    /// leads back into the stub nowhere, and it has not run meanwhile. Nobody returns into a stub once left.
    private func sleepsElsewhere() -> Bool {
        func switches() -> [Int?] {
            let status = try? ProcStatus(of: task.tid, in: task.pid)
            return [status?.number("voluntary_ctxt_switches"), status?.number("nonvoluntary_ctxt_switches")]
        }
        let before = switches()
        let glance = TaskGlance(pid: task.pid, tid: task.tid)
        guard glance.systemCall != nil, let pc = glance.pc, let sp = glance.sp, !before.contains(nil) else {
            return false
        }
        return !isInside(pc: pc, sp: sp) && switches() == before
            && TaskGlance(pid: task.pid, tid: task.tid).systemCall != nil
    }
}
