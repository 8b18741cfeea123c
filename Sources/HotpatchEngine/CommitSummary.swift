/// What a commit did.
public struct CommitSummary: Sendable, Hashable {
    /// Threads parked or stopped.
    package var heldThreads: Int
    /// Those of them that were found inside an entry and moved to the same instruction in the stub.
    package var movedThreads: Int
    /// System calls that would have failed with EINTR and were restarted.
    package var restartedCalls: Int
    /// System calls that have failed with EINTR although no signal was meant for the program, where the kernel lets nobody mend
    /// them (arm64).
    package var interruptedCalls: Int
    /// In nanoseconds.
    package var pauseNanoseconds: UInt64
    /// How often all threads were held: more than once where not all could be held in time, or one was in the way.
    package var holds: Int
    /// In nanoseconds.
    package var totalNanoseconds: UInt64

    /// From the first thread disturbed to the last released: the longest time in one piece.
    public var pause: Duration { .nanoseconds(Int64(clamping: pauseNanoseconds)) }
    /// For how long threads were held in all.
    public var total: Duration { .nanoseconds(Int64(clamping: totalNanoseconds)) }

    package init(
        heldThreads: Int = 0, movedThreads: Int = 0, restartedCalls: Int = 0, interruptedCalls: Int = 0,
        pauseNanoseconds: UInt64 = 0, holds: Int = 1, totalNanoseconds: UInt64? = nil
    ) {
        self.heldThreads = heldThreads
        self.movedThreads = movedThreads
        self.restartedCalls = restartedCalls
        self.interruptedCalls = interruptedCalls
        self.pauseNanoseconds = pauseNanoseconds
        self.holds = holds
        self.totalNanoseconds = totalNanoseconds ?? pauseNanoseconds
    }
}
