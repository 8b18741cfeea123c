import CHotpatchLinux
import CPatch
import CPatchCore
import CPatchMachine
import HotpatchEngine
import Glibc
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols

/// This process, patched from within.
public final class LocalTarget: Target {
    /// For how long an operation may go on, and may hold threads. The defaults suit every process.
    public struct Options: Sendable, Hashable {
        /// For a whole operation but the reading of symbols, from a millisecond to an hour. By default 2 seconds.
        public var timeout: Duration
        /// For reading the process's symbols before, from a millisecond to an hour: the first time all of them. No thread waits
        /// meanwhile. By default a minute.
        public var readingTimeout: Duration
        /// For which threads are held at most, all attempts together, from a millisecond to an hour. Between attempts they run on. By
        /// default a second.
        public var longestPause: Duration

        // How threads are held and text is written: tests try all ways.
        package enum Writer: UInt32, Sendable { case automatic, procMem, mprotect }
        package enum Parking: UInt32, Sendable { case automatic, signal, ptrace }
        package var writer = Writer.automatic
        package var parking = Parking.automatic
        /// In bytes, a power of two. Tests pretend that it is more than the kernel's.
        package var pageSize = sysconf(Int32(_SC_PAGESIZE))

        /// Makes options.
        /// - Parameters:
        ///   - timeout: for a whole operation but the reading of symbols.
        ///   - longestPause: for which threads are held at most.
        ///   - readingTimeout: for reading the process's symbols.
        public init(
            timeout: Duration = .seconds(2), longestPause: Duration = .seconds(1),
            readingTimeout: Duration = .seconds(60)
        ) {
            self.timeout = timeout
            self.readingTimeout = readingTimeout
            self.longestPause = longestPause
        }
    }

    package var options: Options
    package let architecture: Architecture
    package var pageSize: Int { options.pageSize }
    private let reader = LocalMemory()

    /// Makes the target that this process is to its own engine.
    /// - Parameter options: the times after which an operation gives up.
    public init(options: Options = Options()) {
        self.options = options
        architecture = .current
    }

    /// Asked anew each time: after fork it is another.
    package var pid: Int32 { linux_getpid() }
    package var memory: any MemoryReader { reader }

    package var hasShadowStack: Bool {
        (try? ProcStatus(ofProcess: pid))?.hasShadowStack ?? false
    }

    /// On the monotonic clock, in nanoseconds; 0 before the first operation.
    private var end: UInt64 = 0
    /// Begun and not ended, one inside the other.
    private var operations = 0

    package func beginOperation() {
        if operations == 0 { restartTime() }
        operations += 1
    }

    package func endOperation() { operations = max(0, operations - 1) }

    private func restartTime() { end = linux_monotonic_time() + UInt64(options.timeout.nanoseconds) }

    package var isOutOfTime: Bool { linux_monotonic_time() >= end }
    package var committer: UInt64 { UInt64(linux_gettid()) }
    package func hasThread(_ id: UInt64) -> Bool { id == committer }

    package func processMap() throws -> ProcessMap {
        let map = try ProcessMap(pid: pid)
        // What the emulator has mapped for itself is taken too, and not in the map that it shows.
        guard Emulation.isActive, let all = Emulation.wholeMap() else { return map }
        return map.occupied(by: all)
    }

    package func map(_ range: Range<Address>, _ kind: MemoryKind) throws {
        let (address, size) = (range.lowerBound, range.upperBound - range.lowerBound)
        switch hp_map_at(address.rawValue, size, kind.flat) {
        case 0: return
        case EEXIST: throw PatchError.addressTaken(address)
        case let code:
            throw PatchError.system(
                what: "cannot map \(size) bytes for stubs at \(address)", code: code,
                remedy: "See the limits on memory and mappings (ulimit -v, vm.max_map_count).")
        }
    }

    package func fill(_ bytes: [UInt8], at address: Address, _ kind: MemoryKind) throws {
        let code = hp_fill(address.rawValue, bytes, bytes.count, kind.flat, pageSize)
        guard code == 0 else { throw MemoryError(address: address, count: bytes.count, code: code) }
    }

    /// On the calling thread.
    package func call(_ call: Call, isCleanup: Bool) throws -> UInt64 {
        beginOperation()
        defer { endOperation() }
        if !isCleanup, isOutOfTime {
            throw PatchError.deadline(
                pid: pid, thread: 0, text: "no time was left to run \(call.name). Allow more time.")
        }
        typealias Function = @convention(c) (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) -> UInt64
        guard let code = call.function.pointer else {
            throw PatchError.target("\(call.name) lies at address 0, and cannot be run. Name a function.")
        }
        let words = call.arguments + [UInt64](repeating: 0, count: 6 - call.arguments.count)
        return unsafeBitCast(code, to: Function.self)(words[0], words[1], words[2], words[3], words[4], words[5])
    }

    package func mapLedger(_ range: Range<Address>) throws {
        var code: Int32 = 0
        let address = hp_map_ledger(range.lowerBound.rawValue, range.upperBound - range.lowerBound, &code)
        if address == 0, code == EEXIST { throw PatchError.addressTaken(range.lowerBound) }
        guard address != 0 else {
            throw PatchError.system(
                what: "cannot map the patch ledger (memfd_create, mmap)", code: code,
                remedy: code == EFBIG
                    ? "Raise the limit on the size of files (RLIMIT_FSIZE, ulimit -f)."
                    : "See the limits on memory, mappings and descriptors (ulimit -a).")
        }
    }

    package func unmap(_ range: Range<Address>) {
        _ = linux_munmap(range.lowerBound.pointer, range.upperBound - range.lowerBound)
    }

    package var givesMemoryBack: Bool { true }

    package func giveBack(_ range: Range<Address>, then word: UInt64) {
        let rest = range.lowerBound + pageSize
        if rest < range.upperBound { _ = linux_give_back(rest.pointer, range.upperBound - rest) }
        range.lowerBound.pointer?.storeBytes(of: word.littleEndian, as: UInt64.self)
    }

    package func commit(_ block: CommitBlock) throws -> CommitSummary { try commit(block, searching: nil) }

    /// What an emulator keeps of a thread is in no memory that the program sees.
    package var searchesMemory: Bool { !Emulation.isActive }

    package func commit(_ block: CommitBlock, unlessReached code: [SearchedCode]) throws -> CommitSummary {
        try commit(block, searching: MemorySearch(for: code, of: pid))
    }

    /// Nanoseconds for which threads are held at most to search memory, which is nothing that anybody waits for.
    package var longestSearch: UInt64 { UInt64(min(options.longestPause.nanoseconds, 50_000_000)) }

    /// Searches the memory of this process, in one of its operations (`hp_operate`), while it runs.
    /// - Parameter end: on the monotonic clock, in nanoseconds.
    /// - Throws: `SearchIsImpossible`.
    package func search(_ search: MemorySearch, until end: UInt64) throws {
        guard searchesMemory else {
            throw SearchIsImpossible("the memory of a process that is emulated is not searched")
        }
        let result = hp_search_own_memory(search.flat, end)
        if let failure = search.failure(result, orFail: .tooLong) { throw failure }
    }

    /// - Parameter search: that is to find nothing.
    private func commit(_ block: CommitBlock, searching search: MemorySearch?) throws -> CommitSummary {
        try requireOwnProc()
        beginOperation()
        defer { endOperation() }
        // Whoever has planned for so long is given the time for a commit all the same.
        if isOutOfTime { restartTime() }
        var commitOptions = hp_commit_options()
        commitOptions.timeout_ns = end - min(end, linux_monotonic_time())
        commitOptions.hold_ns = UInt64(options.longestPause.nanoseconds)
        commitOptions.writer = options.writer.rawValue
        commitOptions.parking = options.parking.rawValue
        commitOptions.page_size = pageSize
        let underway = block.underway.prefix(2).map(\.rawValue)
        commitOptions.underway = (underway.first ?? 0, underway.dropFirst().first ?? 0)
        commitOptions.ignored_thread = Emulation.ownThread() ?? 0
        commitOptions.search = search?.flat
        commitOptions.search_ns = longestSearch
        var report = hp_commit_report()
        withExtendedLifetime(search) { block.withUnsafeBlock { hp_commit($0, &commitOptions, &report) } }
        if let search, let error = failure(report, of: search) { throw error }
        if let error = failure(report, block: block) { throw error }
        return CommitSummary(
            heldThreads: Int(report.held_threads), movedThreads: Int(report.moved_threads),
            restartedCalls: Int(report.restarted_calls), interruptedCalls: Int(report.interrupted_calls),
            pauseNanoseconds: report.pause_ns, holds: Int(report.holds), totalNanoseconds: report.held_ns)
    }

    /// In a pid namespace that sees another's /proc, the ids there are not those by which this process's threads can be signalled or
    /// traced: it would hold nobody, and take that for success.
    private func requireOwnProc() throws(PatchError) {
        if let shown = ProcStat.ownID(), shown != pid {
            throw .target(
                "cannot patch process \(pid) from inside. Its /proc is of another pid namespace, where its threads have other ids. "
                    + "Mount a /proc of its own, or patch it from outside.")
        }
    }

    private func failure(_ report: hp_commit_report, of search: MemorySearch) -> (any Error)? {
        switch hp_commit_status(rawValue: report.status) {
        case HP_COMMIT_REACHED: CodeIsReached(search.found)
        case HP_COMMIT_UNSEARCHED: search.failure(hp_search_result(UInt32(report.error)), orFail: .tooLong)
        default: nil
        }
    }

    private func failure(_ report: hp_commit_report, block: CommitBlock) -> (any Error)? {
        let address = Address(report.address)
        switch hp_commit_status(rawValue: report.status) {
        case HP_COMMIT_DONE: return nil
        case HP_COMMIT_MISMATCH:
            if report.error != 0 {
                return PatchError.memory(
                    MemoryError(address: address, count: block.expected(at: address)?.count ?? 0, code: report.error),
                    doing: "read what is to be overwritten")
            }
            let offset = Int(report.offset)
            let expected = Array((block.expected(at: address) ?? []).dropFirst(offset).prefix(Int(HP_FOUND_CAPACITY)))
            let found = withUnsafeBytes(of: report.found) { Array($0.prefix(expected.count)) }
            return CommitMismatch(address: address, offset: offset, expected: expected, found: found)
        case HP_COMMIT_DEADLINE where report.error == EFAULT:
            return PatchError.notHeld(
                pid: pid, thread: report.thread,
                reason: "its stack, or what is above it, is brought by another thread, which was held (userfaultfd)")
        case HP_COMMIT_DEADLINE:
            return PatchError.notHeld(pid: pid, thread: report.thread, reason: whereabouts(of: report.thread))
        case HP_COMMIT_BUSY: return PatchError.busy(pid: pid, thread: report.thread, address: address)
        case HP_COMMIT_NO_SIGNAL:
            if report.thread != 0 {
                return PatchError.notHeld(
                    pid: pid, thread: report.thread, reason: "it blocks the signal that parks threads")
            }
            return PatchError.system(
                what: "no real-time signal is free to park threads with", code: report.error,
                remedy: "Give one up, or let the threads be traced.")
        case HP_COMMIT_NO_PTRACE:
            let thread = report.thread == 0 ? "a thread" : "thread \(report.thread)"
            if let tracer = tracer(of: report.thread) {
                return PatchError.system(
                    what: "cannot trace \(thread) of this process, for \(tracer) does", code: report.error,
                    remedy: "Let go of it, if that is a debugger.")
            }
            return PatchError.system(
                what: "cannot trace \(thread) of this process, which blocks signals", code: report.error,
                remedy: "Tracing may be forbidden (Yama, seccomp, a process that is not dumpable).")
        case HP_COMMIT_ROLLED_BACK: return PatchError.rolledBack(address: address, code: report.error)
        case HP_COMMIT_INCONSISTENT: return PatchError.inconsistent(address: address, code: report.error)
        default:
            return PatchError.system(
                what: "cannot hold the threads of this process", code: report.error,
                remedy: "Patching needs /proc, and memory for a table of threads.")
        }
    }

    /// Who traces a thread, from the line `TracerPid` of its status; nil where nobody does who can be seen from here.
    private func tracer(of thread: Int32) -> String? {
        guard let id = (try? ProcStatus(of: thread, in: pid))?.number("TracerPid"), id != 0 else { return nil }
        let name = (try? ProcText.readString("/proc/\(id)/comm")).map { ProcText.trimmed($0) } ?? "?"
        return "process \(id) (\(name))"
    }

    /// What a thread is doing: its state and the kernel function it sleeps in, as far as they can be seen.
    private func whereabouts(of thread: Int32) -> String {
        guard let state = TaskState(pid: pid, thread: thread) else { return "" }
        return state.description
    }
}

extension MemoryKind {
    fileprivate var flat: hp_write_kind { hp_write_kind(rawValue: UInt32(rawValue)) }
}

extension PatchEngine {
    /// Makes an engine that patches this process. It shares the ledger with all others, and nothing else.
    /// - Parameters:
    ///   - target: this process.
    ///   - program: the path of its main program: stubs keep clear of the heap behind it.
    public convenience init(target: LocalTarget, program: String) {
        self.init(target: target as any Target, program: program)
    }
}
