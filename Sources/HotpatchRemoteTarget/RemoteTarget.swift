import CHotpatchLinux
import CPatchCore
import HotpatchEngine
import Glibc
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols

/// Another process, patched from outside: text and data are written through `/proc/PID/mem` while every thread is stopped; what
/// the process must do itself (map memory, load a library) an agent thread in it does.
package final class RemoteTarget: Target {
    package let process: RemoteProcess
    package let architecture: Architecture
    package let pageSize = sysconf(Int32(_SC_PAGESIZE))
    private let symbols: SymbolIndex
    private let knownImages: KnownImages
    private let mem: ProcMemory
    /// The deadline of the operation under way.
    package var deadline: Deadline
    private let options: TargetOptions
    /// Begun and not ended, one inside the other.
    private var operations: Int
    /// What puts things back has a second, also where the time is over.
    private var deadlineForCleanup: Deadline { max(deadline, .after(milliseconds: 1000)) }
    private var agent: Agent?
    /// Nanoseconds without a command after which an agent leaves.
    package var agentIdle: UInt64 = 2_000_000_000
    /// What all stops of the operation have held, and may.
    private var holds: HoldBudget

    /// - Parameters:
    ///   - symbols: of the process, where the agent finds libc's functions.
    ///   - deadline: of an operation that has begun with reading the process, and is under way until it is ended. Nil: each operation
    ///     has its own time.
    ///   - known: of the same process, before: what it has read of images is used.
    /// - Throws: `RemoteRefusal`, or `MemoryError` where its memory cannot be opened.
    package init(
        process: RemoteProcess, symbols: SymbolIndex, options: TargetOptions, deadline: Deadline? = nil,
        after known: RemoteTarget? = nil
    ) throws {
        guard let architecture = Architecture(elfMachine: process.machine) else {
            throw RemoteRefusal.otherArchitecture(pid: process.pid, machine: process.machine)
        }
        self.process = process
        self.architecture = architecture
        self.symbols = symbols
        knownImages = known?.knownImages ?? KnownImages()
        self.options = options
        self.deadline = deadline ?? Deadline(nanoseconds: 0)
        operations = deadline == nil ? 0 : 1
        holds = HoldBudget(options)
        mem = try process.memory()
    }

    package var pid: Int32 { process.pid }
    package var memory: any MemoryReader { mem }
    package var hasShadowStack: Bool { process.hasShadowStack }

    package func processMap() throws -> ProcessMap { try ProcessMap(pid: pid) }

    /// Its time, and that for which it may hold threads, begin anew.
    package func beginOperation() {
        if operations == 0 {
            deadline = .after(options.timeout)
            holds = HoldBudget(options)
        }
        operations += 1
    }

    package func endOperation() { operations = max(0, operations - 1) }

    package var isOutOfTime: Bool { deadline.hasPassed }

    // MARK: What the agent does

    /// The agent, started at the first use.
    private func startedAgent() throws -> Agent {
        if let agent { return agent }
        try checkTime()
        guard let create = symbols.exportedAddress(of: "pthread_create", in: nil),
            let detach = symbols.exportedAddress(of: "pthread_detach", in: nil),
            let errnoLocation = symbols.exportedAddress(of: "__errno_location", in: nil)
        else { throw RemoteRefusal.staticallyLinked(pid: pid) }
        var agentSymbols = AgentSymbols(
            pthreadCreate: create, pthreadDetach: detach, errnoLocation: errnoLocation, index: symbols,
            hasOwnAllocator: hasOwnAllocator(besides: create))
        agentSymbols.known = knownImages
        let agent = try Agent.start(
            in: process, memory: mem, symbols: agentSymbols,
            deadline: deadline, holds: holds, idle: agentIdle, phase: { _ in })
        self.agent = agent
        isTouched = true
        return agent
    }

    /// Has an agent do something. One that was asked nothing for two seconds has left, as when this process was stopped for so long:
    /// what it was asked last has not been done, and a new one does it from the beginning.
    private func ask<Answer>(_ body: (Agent) throws -> Answer) throws -> Answer {
        while true {
            do { return try body(startedAgent()) } catch AgentError.left where !deadline.hasPassed {
                try agent?.finish()
                agent = nil
            }
        }
    }

    /// Whether libc, which holds the given function, gets its memory from elsewhere: from whoever exports these names first.
    private func hasOwnAllocator(besides function: Address) -> Bool {
        let libc = symbols.images.first { $0.range.contains(function) }
        return ["malloc", "calloc"].contains { name in
            symbols.exportedAddress(of: name, in: nil).map { libc?.range.contains($0) != true } ?? false
        }
    }

    /// Whether anything was done to the target.
    private var isTouched = false

    /// Does something to the target. Where it ends over that, says so, instead of what it looked like from outside.
    /// - Throws: `PatchError.deadline` where the time is over, and nothing was changed.
    private func watching<T>(_ doing: String, _ body: () throws -> T) throws -> T {
        beginOperation()
        defer { endOperation() }
        do { return try body() } catch {
            guard isTouched, let end = process.end(of: mem) else { throw passedDeadline(error) ?? error }
            throw AgentError.targetEnded(pid: pid, end, doing: doing)
        }
    }

    /// A deadline of one of the parts, as the engine tells of it for every target; nil for what is none. One that has passed while
    /// something is still at work in the target is none either: nobody knows what it has changed.
    private func passedDeadline(_ error: any Error) -> PatchError? {
        switch error {
        case AgentError.refused(let refusal): passedDeadline(refusal)
        case AgentError.notHeld(let error): passedDeadline(error)
        case RemoteRefusal.deadline(_, let thread): .deadline(pid: pid, thread: thread.tid, text: "\(error)")
        case RemoteRefusal.outOfTime, RemoteRefusal.noThreadToBorrow, CommitError.pauseExceeded:
            .deadline(pid: pid, thread: 0, text: "\(error)")
        default: nil
        }
    }

    /// Whether it has ended, or executed another program, and nothing is left of what was done to it.
    package var hasEnded: Bool { process.end(of: mem) != nil }

    /// - Throws: `RemoteRefusal.outOfTime`, before anything is begun for which there is no time left.
    private func checkTime() throws(RemoteRefusal) {
        if deadline.hasPassed { throw .outOfTime(pid: pid) }
    }

    /// Sends the agent away, if there is one.
    package func finish() {
        try? agent?.finish()
        agent = nil
    }

    /// Whether the process has what loading a library takes: glibc, dynamically linked.
    /// - Throws: `RemoteRefusal.staticallyLinked`, `.unsupportedLibrary`.
    package func requireLoader() throws(RemoteRefusal) {
        // Only glibc says its version; another libc has pthread_create and dlopen too, with other rules.
        let isGlibc = symbols.exportedAddress(of: "gnu_get_libc_version", in: nil) != nil
        let interpreter = symbols.images.first(where: \.isMainProgram)?.elf.interpreter
        if !isGlibc, let interpreter {
            throw .unsupportedLibrary(
                pid: pid, name: interpreter.contains("musl") ? "musl (\(interpreter))" : interpreter)
        }
        guard symbols.exportedAddress(of: "dlopen", in: nil) != nil,
            symbols.exportedAddress(of: "pthread_create", in: nil) != nil
        else { throw .staticallyLinked(pid: pid) }
    }

    /// On the agent's thread.
    package func call(_ call: Call, isCleanup: Bool = false) throws -> UInt64 {
        do {
            return try watching("\(call.name) ran") {
                if !isCleanup { try checkTime() }
                return try ask {
                    try $0.call(call.function, call.arguments, deadline: isCleanup ? deadlineForCleanup : deadline)
                }
            }
        } catch let error as AgentError where error.outcome != .refused {
            throw PatchError.unfinished("\(error)", error.outcome)
        }
    }

    /// Loads the file that `descriptor` has open, whatever path leads to it by now.
    package func load(descriptor: Int32) throws -> LoadedLibrary {
        guard let dlopen = symbols.exportedAddress(of: "dlopen", in: nil),
            let dlerror = symbols.exportedAddress(of: "dlerror", in: nil)
        else { throw RemoteRefusal.staticallyLinked(pid: pid) }
        return try watching("it loaded the library") {
            try checkTime()
            let library = try ask {
                try $0.load(libraryDescriptor: descriptor, dlopen: dlopen, dlerror: dlerror, deadline: deadline)
            }
            return LoadedLibrary(
                handle: library.handle.rawValue, bias: library.bias, mappedPath: library.mappedPath)
        }
    }

    /// MAP_FIXED_NOREPLACE (mmap(2)), the same number on every architecture.
    private static let mapFixedNoReplace: UInt64 = 0x100000

    /// MFD_CLOEXEC (memfd_create(2)).
    private static let closeOnExec: UInt64 = 1

    package func map(_ range: Range<Address>, _ kind: MemoryKind) throws {
        let (address, size) = (range.lowerBound, range.upperBound - range.lowerBound)
        let protection =
            switch kind {
            case .text: PROT_READ | PROT_EXEC
            case .data: PROT_READ | PROT_WRITE
            case .constant: PROT_READ
            }
        let flags = UInt64(MAP_PRIVATE | MAP_ANONYMOUS) | Self.mapFixedNoReplace
        try asking(at: address, size: size) { agent in
            try agent.systemCall(
                "mmap", SystemCall.mmap, address.rawValue, UInt64(size), UInt64(protection), flags, .max, 0,
                deadline: deadline)
        }
    }

    /// Through `/proc/PID/mem`, which writes whatever the protection is, and has the caches of instructions agree.
    package func fill(_ bytes: [UInt8], at address: Address, _ kind: MemoryKind) throws {
        try mem.write(bytes, at: address)
    }

    package func mapLedger(_ range: Range<Address>) throws {
        let (address, size) = (range.lowerBound, range.upperBound - range.lowerBound)
        let flags = UInt64(MAP_PRIVATE) | Self.mapFixedNoReplace
        try asking(at: address, size: size) { agent in
            let name = try agent.scratch("hotpatch-ledger")
            let file = try agent.systemCall(
                "memfd_create", SystemCall.memfdCreate, name.rawValue, Self.closeOnExec, keeping: .made,
                deadline: deadline)
            defer { try? agent.closeKept(.made, deadline: deadline) }
            try agent.systemCall("ftruncate", SystemCall.ftruncate, file, UInt64(size), deadline: deadline)
            return try agent.systemCall(
                "mmap", SystemCall.mmap, address.rawValue, UInt64(size), UInt64(PROT_READ | PROT_WRITE), flags, file, 0,
                deadline: deadline)
        }
    }

    /// Has the agent map memory.
    /// - Parameter wanted: where exactly.
    private func asking(at wanted: Address, size: Int, _ body: (Agent) throws -> UInt64) throws {
        do {
            let mapped = try watching("it mapped memory") {
                try checkTime()
                return try ask(body)
            }
            let result = Address(mapped)
            if result != wanted {  // a kernel before 4.17 takes the address for a hint
                unmap(result..<result + size)
                throw PatchError.addressTaken(wanted)
            }
        } catch AgentError.systemCallFailed(_, _, EEXIST) {
            throw PatchError.addressTaken(wanted)
        } catch let error as AgentError where error.outcome != .refused {
            throw PatchError.unfinished("\(error)", error.outcome)
        }
    }

    package func unmap(_ range: Range<Address>) {
        _ = try? ask {
            try $0.systemCall(
                "munmap", SystemCall.munmap, range.lowerBound.rawValue, UInt64(range.upperBound - range.lowerBound),
                deadline: deadlineForCleanup)
        }
    }

    // MARK: Commit

    package func commit(_ block: CommitBlock) throws -> CommitSummary { try commit(block, searching: nil) }

    package var searchesMemory: Bool { true }

    package func commit(_ block: CommitBlock, unlessReached code: [SearchedCode]) throws -> CommitSummary {
        let search = try MemorySearch(for: code, of: process.pid, directory: process.livingDirectory)
        // Threads are not held for what is known to take too long.
        let started = Deadline.now
        try search.run(until: min(deadline, .after(milliseconds: 500)).nanoseconds)
        let found = search.found
        guard found.isEmpty else { throw CodeIsReached(found) }
        guard Deadline.now &- started < holds.allowance else {
            throw SearchIsImpossible.tooLong
        }
        return try commit(block, searching: search)
    }

    /// - Parameter search: that is to find nothing while all threads are held.
    private func commit(_ block: CommitBlock, searching search: MemorySearch?) throws -> CommitSummary {
        do {
            let commit = try watching("its threads were held") {
                try checkTime()
                return try holds.hold(process, deadline: deadline) { stopped in
                    if let found = try search.map({ try stopped.search($0, in: process) }), !found.isEmpty {
                        throw CodeIsReached(found)
                    }
                    return try block.withUnsafeBlock { try stopped.commit($0, memory: mem) }
                }
            }
            let report = holds.report
            return CommitSummary(
                heldThreads: report.threads, movedThreads: commit.movedThreads, restartedCalls: report.mendedCalls,
                interruptedCalls: report.interruptedCalls, pauseNanoseconds: report.longest, holds: report.stops,
                totalNanoseconds: report.total)
        } catch let error as CommitError {
            throw translated(error)
        } catch let error as AgentError {
            throw PatchError.unfinished("\(error)", error.outcome)
        }
    }

    private func translated(_ error: CommitError) -> any Error {
        switch error {
        case .mismatch(let address, let expected, let found):
            CommitMismatch(write: address, expected: expected, found: found)
        case .busy(let thread, let address, _): PatchError.busy(pid: pid, thread: thread, address: address)
        case .rolledBack(let error): PatchError.rolledBack(address: error.address, code: error.code)
        case .inconsistent(let error, _): PatchError.inconsistent(address: error.address, code: error.code)
        default: error
        }
    }
}

/// A library in the target.
package struct LoadedLibrary: Sendable, Hashable {
    /// What dlopen(3) returned.
    package var handle: UInt64
    package var bias: LoadBias
    /// As `/proc/PID/maps` names it.
    package var mappedPath: String
}
