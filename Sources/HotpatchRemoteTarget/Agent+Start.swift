import CHotpatchLinux
import CPatchAgent
import CPatchMachine
import Glibc
import HotpatchMemory
import HotpatchProcFS

extension Agent {
    /// Starts an agent in a process.
    ///
    /// One thread of the process is stopped for some hundred microseconds, looked at, and if it is in a safe place sent through
    /// a stub that creates the agent's thread and then goes on by itself. From the moment the thread is released nothing
    /// depends on this process being alive. Threads are tried in turn, those that sleep first, until the deadline.
    ///
    /// - Parameters:
    ///   - holds: of the operation that needs the agent.
    ///   - idle: nanoseconds without a command after which the agent leaves.
    ///   - phase: told how far the work has come.
    /// - Throws: `AgentError`; `.refused(.noThreadToBorrow)` says of each thread why not.
    package static func start(
        in process: RemoteProcess, memory: ProcMemory, symbols: AgentSymbols, deadline: Deadline,
        holds: HoldBudget = HoldBudget(), idle: UInt64, phase: @escaping (AgentPhase) -> Void
    ) throws(AgentError) -> Agent {
        let vectorStateSize = hp_vector_state_size()
        guard vectorStateSize > 0 else { throw .refused(.noVectorState(pid: process.pid)) }
        guard symbols.pthreadCreate != .null, symbols.pthreadDetach != .null, symbols.errnoLocation != .null else {
            throw .invalidSymbols
        }
        do {
            while true {
                do {
                    let starter = try AgentStarter(
                        process: process, memory: memory, symbols: symbols, vectorStateSize: vectorStateSize,
                        deadline: deadline, holds: holds, idle: idle, phase: phase)
                    return try starter.start()
                } catch let error as RemoteRefusal {
                    guard process.end(of: memory) == nil else { throw RemoteRefusal.vanished(pid: process.pid) }
                    // It is done some time.
                    guard error.isByPatcher, !deadline.hasPassed else { throw error }
                    usleep(UInt32.random(in: 1000...10_000))
                }
            }
        } catch let error as RemoteRefusal {
            throw .refused(error)
        } catch let error as AgentError {
            throw error
        } catch let error as CommitError {
            throw .notHeld(error)
        } catch let error as MemoryError {
            // Before anything was done to it: `awaitAgent` tells an end itself.
            if process.end(of: memory) != nil { throw .refused(.vanished(pid: process.pid)) }
            throw .memory(error)
        } catch {
            throw .unwinder("\(error)")
        }
    }
}

/// What `Agent.start` knows while it looks for a thread.
struct AgentStarter {
    let process: RemoteProcess
    let memory: ProcMemory
    let symbols: AgentSymbols
    let vectorStateSize: Int
    let deadline: Deadline
    let holds: HoldBudget
    let idle: UInt64
    let phase: (AgentPhase) -> Void
    let unwinder: StackUnwinder
    let area: AgentArea
    /// The areas of predecessors that died, to be unmapped.
    var abandonedAreas: [(address: UInt64, count: UInt64)] = []
    /// Where a stub can go, best first. Which of them depends on the thread: its last jump must reach where that was.
    var places: [StubPlace] = []

    init(
        process: RemoteProcess, memory: ProcMemory, symbols: AgentSymbols, vectorStateSize: Int, deadline: Deadline,
        holds: HoldBudget, idle: UInt64, phase: @escaping (AgentPhase) -> Void
    ) throws {
        self.process = process
        self.memory = memory
        self.symbols = symbols
        self.vectorStateSize = vectorStateSize
        self.deadline = deadline
        self.holds = holds
        self.idle = idle
        self.phase = phase
        // Read once. Whatever is mapped meanwhile, nothing is mapped over it, and what is written to is compared before.
        let map = try process.map()
        unwinder = try StackUnwinder(
            of: process, mapping: map, memory: memory, symbols: symbols.index, known: symbols.known)
        if let library = unwinder.foreignLibrary {
            throw RemoteRefusal.unsupportedLibrary(pid: process.pid, name: library)
        }
        let size = AgentArea(base: .null, vectorStateSize: vectorStateSize).count
        guard let base = map.freeAddress(count: size) else {
            throw RemoteRefusal.noRoomForStub(pid: process.pid, needed: size)
        }
        area = AgentArea(base: base, vectorStateSize: vectorStateSize)
        try findPlaces(in: map)
    }
}
