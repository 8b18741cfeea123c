import HotpatchELF
import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// Why a patch could not be made or undone.
///
///     do { try Patch.replace(symbol: "price", withSymbol: "sale_price") } catch let error as PatchError {
///         switch error.code {
///         case .functionNotFound: print("this build has no price")
///         case .deadline, .busy: print("again later: \(error.message)")
///         default: throw error
///         }
///     }
///
/// Other codes may come with a new version, so a `switch` needs a `default`. What is to be told to people is the message.
public struct PatchError: Error, Sendable {
    /// What is the matter, for a program.
    public let code: Code
    /// For people: `what. why. try this.`
    public let message: String
    /// Whether the process is as it was.
    public let outcome: Outcome
    /// The function that could not be patched, by its readable name; nil where the matter is no one function.
    public var function: String? { context.function }
    /// Where in the process: the entry of the function, or what is to blame. Nil where no place is.
    public var address: Address? { context.address }
    /// The path of the executable or library that has the function; nil where it does not matter.
    public var image: String? { context.image }
    /// The patch that is to be reverted, by its number; nil where it is about none.
    public var patch: UInt32? { context.patch }
    /// The process, by its number; nil where it is about a name or a file.
    public var process: Int32? { context.process }
    /// The thread that could not be held, or is in the way; nil where no one thread is to blame.
    public var thread: Int32? { context.thread }
    /// The number of the system's error (errno(3)); nil where the system has refused nothing.
    public var systemError: Int32? { context.systemError }
    /// The functions that an ambiguous name may mean; empty with every other code.
    public var candidates: [Candidate] {
        if case .ambiguous(_, let candidates) = cause as? SymbolError { candidates } else { [] }
    }

    private let context: Context
    /// The error of another module that this one tells of.
    package let cause: (any Error)?

    /// Whether the process is as it was before.
    public enum Outcome: Sendable, Hashable {
        /// Nothing was changed.
        case refused
        /// Something was changed, and put back.
        case rolledBack
        /// The process may be between what it was and what it was to be.
        case inconsistent
    }

    /// A function that an ambiguous name may mean. Its `spelling` names it, and none of the others in its image.
    public typealias Candidate = HotpatchSymbols.SymbolError.Candidate

    /// What an error is about. Each error has some of it.
    private struct Context: Hashable {
        var function: String?
        var address: Address?
        var image: String?
        var patch: UInt32?
        var process: Int32?
        var thread: Int32?
        var systemError: Int32?
    }

    fileprivate init(
        _ code: Code, _ message: String, outcome: Outcome = .refused, function: String? = nil, address: Address? = nil,
        image: String? = nil, patch: UInt32? = nil, process: Int32? = nil, thread: Int32? = nil,
        systemError: Int32? = nil, cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.outcome = outcome
        self.cause = cause
        context = Context(
            function: function, address: address, image: image, patch: patch, process: process,
            thread: thread == 0 ? nil : thread, systemError: systemError == 0 ? nil : systemError)
    }

    /// The same, where it came in the way of something else: "cannot read the function: …".
    package func during(_ doing: String) -> PatchError {
        PatchError(self, message: "cannot \(doing): \(message)")
    }

    private init(_ other: PatchError, message: String) {
        (code, outcome, context, cause) = (other.code, other.outcome, other.context, other.cause)
        self.message = message
    }
}

extension PatchError: CustomStringConvertible {
    /// The message.
    public var description: String { message }
}

extension PatchError: Hashable {
    /// Whether both have the same code, say the same, and are about the same.
    public static func == (left: PatchError, right: PatchError) -> Bool {
        left.code == right.code && left.message == right.message && left.outcome == right.outcome
            && left.context == right.context
    }

    /// Feeds what `==` compares to a hasher.
    /// - Parameter hasher: is fed.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(code)
        hasher.combine(message)
        hasher.combine(outcome)
        hasher.combine(context)
    }
}

// MARK: Each reason

extension PatchError {
    package static func symbol(_ error: SymbolError) -> PatchError {
        func failure(_ code: Code, image: String? = nil, process: Int32? = nil, errno: Int32? = nil) -> PatchError {
            PatchError(code, error.description, image: image, process: process, systemError: errno, cause: error)
        }
        switch error {
        case .notFound(_, let image, _, _): return failure(.functionNotFound, image: image)
        case .noFunctionAt: return failure(.functionNotFound)
        case .ambiguous: return failure(.functionAmbiguous)
        case .indirectUnresolved(_, let image, _): return failure(.unresolvedFunction, image: image)
        case .unread(.malformed(let path, _, _)), .unread(.unsupported(let path, _)),
            .unread(.unloadable(let path, _, _)):
            return failure(.unreadableFile, image: path)
        case .unread(.unreadable(let path, let code)): return failure(.unreadableFile, image: path, errno: code)
        case .unread(.replaced(let path, _)): return failure(.replacedFile, image: path)
        case .unread(.outOfTime): return failure(.readingTimeout)
        case .unread(.noProcess(let pid)): return failure(.noProcess, process: pid)
        }
    }

    /// The function's entry cannot be overwritten.
    package static func refused(function: String, address: Address, image: String, _ refusal: Refusal) -> PatchError {
        PatchError(
            .refused, "cannot patch \(function) at \(address) in \(image): \(refusal).", function: function,
            address: address, image: image, cause: refusal)
    }

    /// The same, for a reason that is none of the instructions there.
    package static func refused(
        function: String? = nil, address: Address? = nil, image: String, _ text: String
    ) -> PatchError {
        PatchError(.refused, text, function: function, address: address, image: image)
    }

    package static func ownFunction(function: String, address: Address) -> PatchError {
        PatchError(
            .ownFunction,
            "cannot patch \(function) at \(address). It belongs to the patching engine, which runs while it patches. "
                + "Patch the function that calls it.", function: function, address: address)
    }

    package static func itself(function: String, address: Address) -> PatchError {
        PatchError(
            .itself,
            "cannot replace \(function) at \(address) with itself. Every call would lead back to the call. "
                + "Use revert to get the original back.", function: function, address: address)
    }

    package static func twice(function: String, address: Address) -> PatchError {
        PatchError(
            .twice,
            "\(function) at \(address) is replaced twice in one transaction. Only one replacement can run. "
                + "Leave one out, or use two transactions: the newer one runs.", function: function, address: address)
    }

    package static func sameCode(functions: [String], address: Address, image: String) -> PatchError {
        PatchError(
            .sameCode,
            "cannot replace \(functions.joined(separator: " and ")) by different functions. They are the same code, at \(address) in "
                + "\(image): the linker or the compiler has folded them, for they were equal. Replace only one (--only), or build the "
                + "program without folding (--icf=none).", function: functions.first, address: address, image: image)
    }

    package static func entryChanged(
        function: String, address: Address, expected: [UInt8], found: [UInt8]
    ) -> PatchError {
        PatchError(
            .entryChanged,
            "cannot touch \(function): the bytes at \(address) are \(found.hexadecimal()), not \(expected.hexadecimal()). "
                + "Another patcher or a debugger has written there. Undo that first.", function: function,
            address: address)
    }

    package static func asyncContext(
        function: String, address: Address, replacement: String, _ context: AsyncContext
    ) -> PatchError {
        let reason = context.reason
        return PatchError(
            .asyncContext,
            "cannot replace \(function) at \(address) by \(replacement). \(reason.why). \(reason.remedy).",
            function: function, address: address)
    }

    package static func shadowStack(function: String, address: Address) -> PatchError {
        PatchError(
            .shadowStack,
            "cannot patch \(function) at \(address): its first instructions hold a call, and the process runs with a shadow "
                + "stack, which a moved call does not match. Patch the function that it calls, or one that calls it.",
            function: function, address: address)
    }

    package static func noPool(function: String, address: Address, reach: UInt64) -> PatchError {
        let within = reach == .max ? "" : " within \(reach >> 20) MiB of it"
        return PatchError(
            .noSpace,
            "cannot patch \(function) at \(address): no free address range\(within) for a stub. "
                + "The address space around the image is full. Load less beside it.", function: function,
            address: address)
    }

    /// Something is mapped there already. The engine tries another place.
    package static func addressTaken(_ address: Address) -> PatchError {
        PatchError(
            .addressTaken,
            "\(address) is taken by another mapping. It appeared while the patch was planned. Try again.",
            address: address)
    }

    /// Another patch was committed, or undone, while this one was planned. The engine plans anew.
    package static func overtaken(pid: Int32) -> PatchError {
        PatchError(
            .overtaken, "process \(pid) was patched while this patch was planned. Nothing was changed. Try again.",
            process: pid)
    }

    /// The process changed while the plan was made, again and again; the last to change it was `by`, where that is known.
    package static func restless(pid: Int32, by: String?) -> PatchError {
        PatchError(
            .restless,
            "could not patch process \(pid) in time. It is being patched, or changes its mappings, all the time"
                + "\(by.map { ", last by \($0)" } ?? ""). Try again when it is calmer, or allow more time.",
            process: pid)
    }

    /// A thread of the process is committing a patch from inside, and has not come to an end.
    package static func underway(pid: Int32, thread: UInt64) -> PatchError {
        PatchError(
            .underway,
            "could not patch process \(pid) in time. Its thread \(thread) is committing a patch itself. "
                + "Nothing was changed. Try again, or allow more time.", process: pid,
            thread: Int32(truncatingIfNeeded: thread))
    }

    package static func nested(pid: Int32, thread: Int32) -> PatchError {
        PatchError(
            .underway,
            "cannot use the patcher of process \(pid) here. Thread \(thread) is making a patch already, which has called this function. "
                + "Patch once the function has returned.", process: pid, thread: thread)
    }

    package static func ledger(_ error: LedgerError) -> PatchError {
        PatchError(.ledger, error.description, cause: error)
    }

    package static func memory(_ error: MemoryError, doing: String) -> PatchError {
        PatchError(
            .memory, "cannot \(doing): \(error). Nothing was changed.", address: error.address,
            systemError: error.code, cause: error)
    }

    package static func noSuchPatch(id: UInt32, pid: Int32) -> PatchError {
        PatchError(
            .noSuchPatch, "process \(pid) has no patch \(id). Its patches are those that list shows.", patch: id,
            process: pid)
    }

    package static func notInForce(id: UInt32, state: PatchRecord.State) -> PatchError {
        PatchError(
            .notInForce, "patch \(id) is not in force: it is \(state). There is nothing to revert.", patch: id)
    }

    /// Objects cannot be linked into the process.
    /// - Parameters:
    ///   - error: of the module that links.
    ///   - needsRestart: whether that is for what they change.
    package static func object(_ error: any Error, needsRestart: Bool = false) -> PatchError {
        PatchError(needsRestart ? .restartNeeded : .object, "\(error)", cause: error)
    }

    /// The value is not a function that can be installed or called, or not one of the values that are allowed.
    package static func type(_ text: String) -> PatchError { PatchError(.type, text) }

    /// A closure cannot stand for the function.
    /// - Parameters:
    ///   - error: of the module that knows closures.
    ///   - isMismatch: whether a closure of another type could.
    package static func closure(_ error: any Error, isMismatch: Bool = false) -> PatchError {
        PatchError(isMismatch ? .closureType : .closure, "\(error)", cause: error)
    }

    /// The time was over, and nothing was changed: `thread` could not be held, or is 0 where no one thread is to blame. `text` says
    /// more, and is told by whoever knows the target.
    package static func deadline(pid: Int32, thread: Int32, text: String) -> PatchError {
        PatchError(.deadline, text, process: pid, thread: thread)
    }

    /// A thread could not be held in time; `reason` is empty where none is known.
    package static func notHeld(pid: Int32, thread: Int32, reason: String) -> PatchError {
        .deadline(
            pid: pid, thread: thread,
            text: "thread \(thread) of process \(pid) could not be held in time\(reason.isEmpty ? "" : ": " + reason). "
                + "Nothing was changed. Try again, or allow more time.")
    }

    /// A thread is, and stays, inside an entry to be overwritten.
    package static func busy(pid: Int32, thread: Int32, address: Address) -> PatchError {
        PatchError(
            .busy,
            "thread \(thread) of process \(pid) stays inside the entry at \(address), interrupted by a signal handler. "
                + "Overwriting what it returns to would break it. Try again, or allow more time.", address: address,
            process: pid, thread: thread)
    }

    /// The system does not let the patcher do what it must.
    package static func system(what: String, code: Int32, remedy: String) -> PatchError {
        PatchError(.system, "\(what): \(reason(code)). \(remedy)", systemError: code)
    }

    /// Any other reason, told by whoever knows the target.
    package static func target(_ text: String) -> PatchError { PatchError(.other, text) }

    /// What the target was asked to do itself, such as mapping memory, is still at work there, or it has ended over it.
    package static func unfinished(_ text: String, _ outcome: Outcome) -> PatchError {
        PatchError(.unfinished, text, outcome: outcome)
    }

    package static func rolledBack(address: Address, code: Int32) -> PatchError {
        PatchError(
            .rolledBack,
            "writing at \(address) failed: \(reason(code)). Everything written before was undone. "
                + "See whether a security module forbids writing code.", outcome: .rolledBack, address: address,
            systemError: code)
    }

    package static func inconsistent(address: Address, code: Int32) -> PatchError {
        PatchError(
            .inconsistent,
            "writing at \(address) failed, and undoing it failed too: \(reason(code)). "
                + "Functions of this patch may be half in force. Restart the process when you can.",
            outcome: .inconsistent, address: address, systemError: code)
    }

    private static func reason(_ code: Int32) -> String { HotpatchEngine.systemError(code) }
}
