import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// Why a patch could not be made or undone. `description` reads `what. why. try this.`
public enum PatchError: Error, Sendable {
    /// No such function, several, or a file that cannot be read.
    case symbol(SymbolError)
    /// The function's entry cannot be overwritten.
    case refused(function: String, address: Address, image: String, Refusal)
    /// The function belongs to this engine, which runs while it patches.
    case ownFunction(function: String, address: Address)
    /// A function would replace itself.
    case itself(function: String, address: Address)
    /// One transaction names a function twice.
    case twice(function: String, address: Address)
    /// Several functions have one code, and each another replacement.
    case sameCode(functions: [String], address: Address, image: String)
    /// The entry holds neither the function nor the detour: somebody else has written there.
    case entryChanged(function: String, address: Address, expected: [UInt8], found: [UInt8])
    /// Callers of an async function allocate too small a context for the replacement, or one of the two is not async.
    case asyncContext(function: String, address: Address, replacement: String, AsyncContext)
    /// The entry holds a call, and the process has a shadow stack.
    case shadowStack(function: String, address: Address)
    /// No free place for stubs within reach of the entry.
    case noPool(function: String, address: Address, reach: UInt64)
    /// Something is mapped there already. The engine tries another place.
    case addressTaken(Address)
    /// Another patch was committed, or undone, while this one was planned. The engine plans anew.
    case overtaken(pid: Int32)
    /// The process changed while the plan was made, again and again; the last to change it was `by`, where that is known.
    case restless(pid: Int32, by: String?)
    /// A thread of the process is committing a patch from inside, and has not come to an end.
    case underway(pid: Int32, thread: UInt64)
    case ledger(LedgerError)
    case memory(MemoryError, doing: String)
    case noSuchPatch(id: UInt32, pid: Int32)
    /// The patch is not applied.
    case notInForce(id: UInt32, state: PatchRecord.State)
    /// The value is not a function the engine can install or call.
    case type(String)
    /// A closure cannot stand for the function: a `SignatureError` (its type is another, or none would do), or a `CallRefusal`.
    case closure(any Error)
    /// The time was over, and nothing was changed: `thread` could not be held, or is 0 where no one thread is to blame. `text` says more,
    /// and is told by whoever knows the target.
    case deadline(pid: Int32, thread: Int32, text: String)
    /// A thread is, and stays, inside an entry to be overwritten: in a signal handler that interrupted it.
    case busy(pid: Int32, thread: Int32, address: Address)
    /// The system does not let the patcher do what it must.
    case system(what: String, code: Int32, remedy: String)
    /// Any other reason, told by whoever knows the target.
    case target(String)
    /// What the target was asked to do itself, such as mapping memory, is still at work there, or it has ended over it.
    case unfinished(String, Outcome)
    /// A write failed; all before it were undone.
    case rolledBack(address: Address, code: Int32)
    /// A write failed, and so did undoing.
    case inconsistent(address: Address, code: Int32)

    /// A thread could not be held in time; `reason` is empty where none is known.
    public static func notHeld(pid: Int32, thread: Int32, reason: String) -> PatchError {
        .deadline(
            pid: pid, thread: thread,
            text: "thread \(thread) of process \(pid) could not be held in time\(reason.isEmpty ? "" : ": " + reason). "
                + "Nothing was changed. Try again, or allow more time.")
    }

    /// Whether the process is as it was before (`refused`), was put back (`rolledBack`), or may be in between.
    public enum Outcome: Sendable { case refused, rolledBack, inconsistent }

    public var outcome: Outcome {
        switch self {
        case .rolledBack: .rolledBack
        case .inconsistent: .inconsistent
        case .unfinished(_, let outcome): outcome
        default: .refused
        }
    }
}

extension PatchError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .symbol(let error): return error.description
        case .closure(let error): return "\(error)"
        case .refused(let function, let address, let image, let refusal):
            return "cannot patch \(function) at \(address) in \(image): \(refusal)."
        case .ownFunction(let function, let address):
            return
                "cannot patch \(function) at \(address). It belongs to the patching engine, which runs while it patches. "
                + "Patch the function that calls it."
        case .itself(let function, let address):
            return "cannot replace \(function) at \(address) with itself. Every call would lead back to the call. "
                + "Use revert to get the original back."
        case .twice(let function, let address):
            return "\(function) at \(address) is replaced twice in one transaction. Only one replacement can run. "
                + "Leave one out, or use two transactions: the newer one runs."
        case .sameCode(let functions, let address, let image):
            return
                "cannot replace \(functions.joined(separator: " and ")) by different functions. They are the same code, at \(address) in "
                + "\(image): the linker or the compiler has folded them, for they were equal. Replace only one (--only), or build the "
                + "program without folding (--icf=none)."
        case .entryChanged(let function, let address, let expected, let found):
            return "cannot touch \(function): the bytes at \(address) are \(hex(found)), not \(hex(expected)). "
                + "Another patcher or a debugger has written there. Undo that first."
        case .asyncContext(let function, let address, let replacement, let context):
            let reason = context.reason
            return "cannot replace \(function) at \(address) by \(replacement). \(reason.why). \(reason.remedy)."
        case .shadowStack(let function, let address):
            return
                "cannot patch \(function) at \(address): its first instructions hold a call, and the process runs with a shadow "
                + "stack, which a moved call does not match. Patch the function that it calls, or one that calls it."
        case .noPool(let function, let address, let reach):
            let within = reach == .max ? "" : " within \(reach >> 20) MiB of it"
            return "cannot patch \(function) at \(address): no free address range\(within) for a stub. "
                + "The address space around the image is full. Load less beside it."
        case .addressTaken(let address):
            return "\(address) is taken by another mapping. It appeared while the patch was planned. Try again."
        case .overtaken(let pid):
            return "process \(pid) was patched while this patch was planned. Nothing was changed. Try again."
        case .restless(let pid, let by):
            return
                "could not patch process \(pid) in time. It is being patched, or changes its mappings, all the time"
                + "\(by.map { ", last by \($0)" } ?? ""). Try again when it is calmer, or allow more time."
        case .underway(let pid, let thread):
            return
                "could not patch process \(pid) in time. Its thread \(thread) is committing a patch itself. "
                + "Nothing was changed. Try again, or allow more time."
        case .ledger(let error): return error.description
        case .memory(let error, let doing): return "cannot \(doing): \(error). Nothing was changed."
        case .noSuchPatch(let id, let pid):
            return "process \(pid) has no patch \(id). Its patches are those that list shows."
        case .notInForce(let id, let state):
            return "patch \(id) is not in force: it is \(state). There is nothing to revert."
        case .type(let what): return what
        case .busy(let pid, let thread, let address):
            return
                "thread \(thread) of process \(pid) stays inside the entry at \(address), interrupted by a signal handler. "
                + "Overwriting what it returns to would break it. Try again, or allow more time."
        case .system(let what, let code, let remedy):
            return "\(what): \(systemError(code)). \(remedy)"
        case .target(let text), .unfinished(let text, _), .deadline(_, _, let text): return text
        case .rolledBack(let address, let code):
            return "writing at \(address) failed: \(systemError(code)). Everything written before was undone. "
                + "See whether a security module forbids writing code."
        case .inconsistent(let address, let code):
            return "writing at \(address) failed, and undoing it failed too: \(systemError(code)). "
                + "Functions of this patch may be half in force. Restart the process when you can."
        }
    }

    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined(separator: " ")
    }
}
