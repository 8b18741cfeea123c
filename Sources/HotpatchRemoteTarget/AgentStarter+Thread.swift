import CHotpatchLinux
import CPatchAgent
import CPatchMachine
import Glibc
import HotpatchMemory
import HotpatchProcFS

// Which thread goes there.
extension AgentStarter {
    func start() throws -> Agent {
        phase(.prepared)
        var verdicts: [Int32: String] = [:]
        var interruptedCalls = 0
        var round = 0
        var pause: UInt32 = 200
        var pacing = BorrowPacing()
        let halfway = Deadline(nanoseconds: Deadline.now / 2 + deadline.nanoseconds / 2)
        repeat {
            for tid in try candidates(round: round, isLate: halfway.hasPassed) {
                let glance = TaskGlance(pid: process.pid, tid: tid)
                guard pacing.isDue(tid, glance) else { continue }
                let (outcome, rearmed, interrupted) = try attempt(tid)
                interruptedCalls += interrupted
                pacing.note(tid, glance, hasRearmed: rearmed + interrupted > 0)
                switch outcome {
                case .borrowed(let loan): return try awaitAgent(loan, interruptedCalls: interruptedCalls)
                case .unsafe(let reason): verdicts[tid] = reason
                // Where it stays says more.
                case .late(let reason): verdicts[tid] = verdicts[tid] ?? reason
                case .gone: verdicts[tid] = nil
                }
                if deadline.hasPassed { break }
            }
            guard process.isAlive else { throw RemoteRefusal.vanished(pid: process.pid) }
            round += 1
            // Jitter: a loop of the program must not be met in the same place each time. A thread that will not come to a safe
            // place, asleep in an unsafe one, is not to be stopped a thousand times a second.
            usleep(UInt32.random(in: pause...4 * pause))
            pause = min(pause * 11 / 10, 5_000)
        } while !deadline.hasPassed
        // None could even be tried: all are in uninterruptible sleep, as the parent in vfork is.
        if verdicts.isEmpty, let tid = try? TaskList(pid: process.pid).scan().first {
            throw RemoteRefusal.deadline(pid: process.pid, RemoteRefusal.BlockingThread(pid: process.pid, tid: tid))
        }
        throw RemoteRefusal.noThreadToBorrow(
            pid: process.pid, verdicts.sorted { $0.key < $1.key }.map { .init(tid: $0.key, reason: $0.value) })
    }

    /// Threads that sleep where a stop disturbs nothing, then threads in calls that must be mended, then those that run; the
    /// main thread last among its equals, for while it is traced signals that nobody handles wake the others (see
    /// `Tracees.seizeNew`). Sixteen at most per round: each is held while it is looked at.
    ///
    /// Where nothing can be mended, a stop makes those calls fail: such a thread is left alone as long as there are others and time.
    private func candidates(round: Int, isLate: Bool) throws -> [Int32] {
        let tasks: TaskList
        do { tasks = try TaskList(pid: process.pid) } catch { throw RemoteRefusal.vanished(pid: process.pid) }
        let lastResort = 3
        var ranked = tasks.scan().compactMap { tid -> (rank: Int, tid: Int32)? in
            let glance = TaskGlance(pid: process.pid, tid: tid)
            guard let state = glance.stat?.state, !"ZXDTt".contains(state) else { return nil }
            guard let call = glance.systemCall else { return (2, tid) }
            guard SystemCall.failsWhenStopped(call) else { return (0, tid) }
            return (hp_calls_can_be_mended() ? 1 : lastResort, tid)
        }.sorted { ($0.rank, $0.tid == process.pid ? 1 : 0, $0.tid) < ($1.rank, $1.tid == process.pid ? 1 : 0, $1.tid) }
        if round < 3, let first = ranked.first, first.rank == 0, first.tid != process.pid {
            ranked.removeAll { $0.tid == process.pid }
        }
        if let first = ranked.first, first.rank < lastResort, !isLate { ranked.removeAll { $0.rank == lastResort } }
        if ranked.isEmpty {
            // All in D or stopped: no stop would be reached. By another patcher they are for a moment.
            do throws(RemoteRefusal) { try RemoteProcess.refuseIfHeld(process.pid) } catch {
                if !error.isByPatcher { throw error }
            }
        }
        let offset = ranked.count > 16 ? round * 16 % ranked.count : 0
        return (Array(ranked[offset...]) + ranked[..<offset]).prefix(16).map(\.tid)
    }

    struct Loan {
        var thread: BorrowedThread
        var place: StubPlace
        var nanoseconds: UInt64
    }

    private enum Attempt {
        case borrowed(Loan)
        case unsafe(String)
        /// Not stopped in time, or in the midst of something that soon ends.
        case late(String)
        case gone
    }

    private enum Redirection {
        case made(StubPlace)
        case unsafe(String)
        case late(String)
    }

    /// - Returns: also how many waits the stop has made begin anew, and how many calls fail.
    private func attempt(_ tid: Int32) throws -> (Attempt, rearmedCalls: Int, interruptedCalls: Int) {
        guard let task = KnownTask(pid: process.pid, tid: tid) else { return (.gone, 0, 0) }
        // Not stopped in vain, and not in another patcher's way.
        for place in places where try memory.value(UInt64.self, at: place.range.lowerBound) == AgentStub.magic {
            throw RemoteRefusal.anotherPatcher(pid: process.pid)
        }
        let longest = holds.bound(milliseconds: 250)
        let session = try StopSession(process, maximumPause: longest, holds: holds)
        let limit = min(deadline, .after(nanoseconds: holds.bound(milliseconds: 50)))
        var result: Result<Redirection, any Error> = .success(.unsafe("it ended"))
        do throws(RemoteRefusal) {
            // Looked at, sent away and let go on the tracing thread: a change of threads would hold it longer.
            try session.stopOne(tid, deadline: limit) { tracees in
                phase(.stopped)
                // Where it is let run into its call, it has to wait for a processor like everybody else.
                let limit = min(deadline, .after(nanoseconds: longest))
                do { result = .success(try redirect(tracees, of: session, deadline: limit)) } catch {
                    result = .failure(error)
                }
                tracees.detachAll()
            }
        } catch {
            switch error {
            case .vanished: return (.gone, 0, 0)
            case .deadline(_, let thread): return (.late("did not stop: " + thread.reason), 0, 0)
            case _ where error.isByPatcher: return (.late("held by another patcher"), 0, 0)
            default: throw error
            }
        }
        let report = session.release()
        switch try result.get() {
        case .unsafe(let objection): return (.unsafe(objection), report.mendedCalls, report.interruptedCalls)
        case .late(let reason): return (.late(reason), report.mendedCalls, report.interruptedCalls)
        case .made(let place):
            phase(.released)
            return (
                .borrowed(
                    Loan(
                        thread: BorrowedThread(
                            process: process, memory: memory, holds: holds, task: task, stub: place.range,
                            area: area.range),
                        place: place, nanoseconds: report.nanoseconds)), report.mendedCalls,
                report.interruptedCalls
            )
        }
    }

    /// Sends the one stopped thread into the stub, or says why not.
    private func redirect(_ tracees: Tracees, of session: StopSession, deadline: Deadline) throws -> Redirection {
        guard let first = tracees.tracees.first else { return .unsafe("it ended") }
        if first.signal != 0 { return .late("about to receive signal \(first.signal)") }
        let call: hp_call_state
        do throws(Tracees.Failure) {
            switch try tracees.callState(0, deadline: deadline) {
            case .known(let state): call = state
            case .unsafe(let reason): return .unsafe(reason)
            }
        } catch {
            switch error {
            case .late: return .late("did not stop in a system call in time")
            case .refused(let refusal): throw refusal
            }
        }
        let tracee = tracees.tracees[0]
        // One whose call the stop has made fail has run nothing since: it is as safe as one that is in the call.
        let isBlocked = call == HP_CALL_RESTARTS || tracees.hasFailedCall(0)
        if !isBlocked, call == HP_CALL_LEAVING { return .late("leaving a system call") }
        if isInRestartableSequence(tracee) { return .unsafe("in a restartable sequence") }
        if let objection = hp_vector_objection(tracee.tid, isBlocked) { return .unsafe(String(cString: objection)) }
        let stack = unwinder.unwind(tracee, signatureBits: tracees.signatureBits)
        if let objection = FrameVetting.objection(
            frames: stack.frames, isComplete: stack.isComplete, call: isBlocked ? callNumber(tracee) : nil,
            hasOwnAllocator: symbols.hasOwnAllocator)
        {
            return .unsafe(objection)
        }
        if symbols.hasOwnAllocator, isInShortSleep(tracee) {
            return .unsafe("in a short sleep, perhaps of the process's own allocator")
        }
        // Where the unwinding ends early, a handler may hide what it has interrupted.
        if !stack.isComplete, StackScan.holdsSignalFrame(tracee, in: memory) {
            return .unsafe("in a signal handler whose stack could not be unwound")
        }
        guard let status = try? ProcStatus(of: tracee.tid, in: process.pid) else { return .unsafe("it ended") }
        if hasPendingSignal(status) { return .late("about to receive a signal") }
        if let excess = session.excess { return .late("it was held for \(excess / 1_000_000) ms to be looked at") }
        var mask: UInt64 = 0
        guard hp_ptrace_get_signal_mask(tracee.tid, &mask) == 0 else { return .unsafe("it ended") }
        let back = AgentStub.Return(
            registers: tracee.registers, call: call, mask: mask,
            blocked: AgentStub.blocked(mask: mask, status: status),
            canReturnFromHandlers: !process.hasShadowStack && hp_can_return_from_handlers(tracee.tid))
        phase(.vetted)
        for place in places {
            let stub = place.range
            guard
                let bytes = AgentStub.bytes(
                    at: stub.lowerBound, symbols: symbols, area: area, back: back, idle: idle)
            else { continue }
            // Looked at again, and for us alone: another patcher may have been faster.
            guard TargetClaim.take(process, holding: tracees.tracees.lazy.map(\.tid)) else {
                return .late("claimed by another patcher")
            }
            guard try memory.bytes(at: stub.lowerBound, count: AgentStub.count) == place.vacant else {
                throw RemoteRefusal.anotherPatcher(pid: process.pid)
            }
            try memory.write(bytes, at: stub.lowerBound)
            phase(.written)
            guard tracees.setRegisters(0, AgentStub.entering(tracee.registers, stub: stub.lowerBound)) else {
                return .unsafe("it was killed")
            }
            // The stub does that too, but a signal that has come since could be faster. Last: if we die before this, the thread
            // gets its own mask back from the stub all the same.
            _ = hp_ptrace_set_signal_mask(tracee.tid, back.blocked)
            phase(.redirected)
            return .made(place)
        }
        return .unsafe("out of reach of the stub")
    }

    private func callNumber(_ tracee: Tracees.Tracee) -> Int {
        var registers = tracee.registers
        return hp_registers_call_number(&registers)
    }

    /// Whether it sleeps, and for less than ten milliseconds, or nobody knows how long: as allocators do that wait for a lock.
    private func isInShortSleep(_ tracee: Tracees.Tracee) -> Bool {
        var registers = tracee.registers
        var address: UInt64 = 0
        guard hp_registers_sleep(&registers, &address) else { return false }
        let time = Address(address)
        guard let seconds = try? memory.value(Int64.self, at: time),
            let nanoseconds = try? memory.value(Int64.self, at: time + 8)
        else {
            // The third argument of poll, which the kernel resumes too, is no address.
            return callNumber(tracee) != SystemCall.restart
        }
        return seconds == 0 && nanoseconds < 10_000_000
    }

    /// The kernel aborts a restartable sequence (rseq(2)) that is left by preemption, by looking at the PC. It would look
    /// at the stub's, and let the sequence go on later as if nothing had happened.
    private func isInRestartableSequence(_ tracee: Tracees.Tracee) -> Bool {
        let address = hp_ptrace_rseq_address(tracee.tid)
        // struct rseq: rseq_cs at 8. struct rseq_cs: version, flags, start_ip at 8, post_commit_offset at 16.
        guard address != 0, let sequence = try? memory.value(UInt64.self, at: Address(address) + 8), sequence != 0
        else { return false }
        guard let start = try? memory.value(UInt64.self, at: Address(sequence) + 8),
            let length = try? memory.value(UInt64.self, at: Address(sequence) + 16)
        else { return true }
        var registers = tracee.registers
        return hp_registers_pc(&registers) &- start < length
    }

    /// A handler that is about to run belongs before the stub: the system call it interrupts must not be restarted.
    private func hasPendingSignal(_ status: ProcStatus) -> Bool {
        func mask(_ key: Substring) -> UInt64 { status.mask(key) ?? 0 }
        return (mask("SigPnd") | mask("ShdPnd")) & ~mask("SigBlk") != 0
    }
}
