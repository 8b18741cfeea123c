import CPatchCore
import HotpatchEngine
import HotpatchMemory

/// Why a commit was not made, or not made whole.
package enum CommitError: Error, Hashable, Sendable {
    /// The bytes are not those that were planned for: somebody else has written there. Nothing was changed.
    case mismatch(address: Address, expected: [UInt8], found: [UInt8])
    /// A patcher that dies between two pages would leave half an instruction. Nothing was changed.
    case crossesPage(address: Address, length: Int)
    case invalidWrite(address: Address, length: Int)
    /// A thread will come back into bytes that are to change. Nothing was changed; try again.
    case busy(thread: Int32, address: Address, foundAt: Address?)
    /// The threads were held longer than allowed before the first write. Nothing was changed; try again.
    case pauseExceeded(nanoseconds: UInt64, allowed: UInt64)
    case unreadable(MemoryError)
    /// The process was killed while it was stopped.
    case threadLost(Int32)
    /// A write failed; all writes before it were undone.
    case rolledBack(MemoryError)
    /// A write failed, and so did the undoing.
    case inconsistent(MemoryError, undo: MemoryError)

    /// Whether another try, a moment later, can succeed.
    package var isRetryable: Bool {
        switch self {
        case .busy, .pauseExceeded: true
        default: false
        }
    }

    package var outcome: PatchError.Outcome {
        switch self {
        case .rolledBack: .rolledBack
        case .inconsistent: .inconsistent
        default: .refused
        }
    }
}

extension CommitError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .mismatch(let address, let expected, let found):
            "the code at \(address) is not what was planned for. Expected \(expected.hexadecimal()), found \(found.hexadecimal()). "
                + "Another tool has patched it, or set a breakpoint there: undo that, then plan again."
        case .crossesPage(let address, let length):
            "the \(length) bytes at \(address) cross a page. A patcher that dies between the two halves would leave a torn instruction. "
                + "Patch this function from inside the process."
        case .invalidWrite(let address, let length):
            "a write of \(length) bytes at \(address) is not possible. A write has one byte or more. Report this as a bug."
        case .busy(let thread, let address, let foundAt):
            "thread \(thread) is inside the bytes that change. "
                + (foundAt.map { "Its stack holds \(address) at \($0)" } ?? "It is at \(address)") + ". Try again."
        case .pauseExceeded(let nanoseconds, let allowed):
            "the process was held too long. \(nanoseconds / 1000) µs passed before the first write, \(allowed / 1000) µs are allowed. "
                + "Try again, or allow a longer pause (--max-pause)."
        case .unreadable(let error):
            "the target's memory could not be read. \(error). Plan again."
        case .threadLost(let thread):
            "thread \(thread) was killed while it was stopped. The process is ending. Nothing is left to patch."
        case .rolledBack(let error):
            "a write failed, and the process is as it was. \(error). Check that nothing else changes its memory."
        case .inconsistent(let error, let undo):
            "a write failed and the earlier ones could not be undone. \(error); then \(undo). Restart the process."
        }
    }
}

/// What a commit did.
package struct CommitReport: Hashable, Sendable {
    package var writes: Int
    /// Threads that went on in moved code.
    package var movedThreads: Int
    /// Stack bytes searched for addresses inside the changed entries.
    package var scannedBytes: Int
    /// Writes that had to go through PTRACE_POKEDATA, because /proc/PID/mem may not write text here.
    package var pokedWrites: Int
    /// Nanoseconds from the first interruption to the end of the last write.
    package var pausedNanoseconds: UInt64
}
