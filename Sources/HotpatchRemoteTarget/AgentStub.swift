import CHotpatchLinux
import CPatchAgent
import CPatchMachine
import HotpatchMemory
import HotpatchProcFS
import HotpatchSymbols

/// Where the agent finds what it needs in the target.
package struct AgentSymbols: Sendable {
    /// Functions of the target's libc: pthread_create(3), pthread_detach(3), `__errno_location` (LSB core, libc).
    package var pthreadCreate: Address
    package var pthreadDetach: Address
    package var errnoLocation: Address
    /// Executable memory that is unused, best first; nil for what `ExecutableSlack` finds when the agent is started.
    package var slack: [Range<Address>]?
    /// The symbols of all its images: they tell where its threads are, and how their stacks are unwound.
    package var index: SymbolIndex
    /// What pthread_create calls for memory is not libc's: see `FrameVetting`.
    package var hasOwnAllocator: Bool
    /// What is known of its images, for whoever starts several agents.
    var known = KnownImages()

    package init(
        pthreadCreate: Address, pthreadDetach: Address, errnoLocation: Address,
        slack: [Range<Address>]? = nil, index: SymbolIndex, hasOwnAllocator: Bool = false
    ) {
        self.pthreadCreate = pthreadCreate
        self.pthreadDetach = pthreadDetach
        self.errnoLocation = errnoLocation
        self.slack = slack
        self.index = index
        self.hasOwnAllocator = hasOwnAllocator
    }
}

/// The agent's private memory in the target: fields (hp_agent.h), vector state, the borrowed thread's stack, scratch.
struct AgentArea {
    static let stackSize = 1 << 16
    static let scratchSize = 1 << 16

    let base: Address
    let vectorStateSize: Int

    var vectors: Address { field(HP_AREA_VECTORS) }
    /// The top of the stack that the borrowed thread has meanwhile. Above it lies what rt_sigreturn(2) takes: a signal that comes before that
    /// call has the whole stack.
    var stackTop: Address { vectors + (vectorStateSize + 64).roundedUp(to: 4096) + Self.stackSize }
    var scratch: Address { stackTop + Int(HP_AREA_FRAME_SIZE) }
    var count: Int { (scratch + Self.scratchSize - base).roundedUp(to: MemoryPage.size) }
    var range: Range<Address> { base..<base + count }

    func field(_ offset: Int32) -> Address { base + Int(offset) }
}

extension Int {
    fileprivate func roundedUp(to alignment: Int) -> Int { (self + alignment - 1) / alignment * alignment }
}

/// Where a stub is put, or can be.
struct StubPlace {
    var range: Range<Address>
    /// What stands there when nobody uses it.
    var vacant: [UInt8]
}

enum AgentStub {
    /// Bytes of header and code.
    static var count: Int { Int(HP_STUB_ENTRY) + hp_agent_code_size() }

    static let magic = UInt64(HP_AGENT_MAGIC)

    static let threadName = "hotpatch"

    /// The signals that a borrowed thread blocks while it is in the stub: all but the one by which setuid(2) reaches every thread
    /// (inject.S), and those that the process would not notice. The kernel drops such a signal where it comes, but not one that the
    /// main thread blocks: another thread would wake for it, and its call fail with EINTR.
    /// - Parameter mask: what the thread blocks itself.
    static func blocked(mask: UInt64, status: ProcStatus) -> UInt64 {
        func signals(_ key: Substring) -> UInt64? { status.mask(key) }
        func set(_ numbers: Int32...) -> UInt64 { numbers.reduce(0) { $0 | 1 << UInt64($1 - 1) } }
        let all = ~set(33)
        guard let ignored = signals("SigIgn"), let caught = signals("SigCgt") else { return all }
        // Those whose default action is none (signal(7)).
        let unnoticed = ignored | set(SIGCHLD, SIGURG, SIGWINCH) & ~caught
        return all & ~(unnoticed & ~mask)
    }

    /// What a stopped thread goes back to.
    struct Return {
        var registers: hp_registers
        /// How it stands to a system call.
        var call: hp_call_state
        /// The signals that it blocks.
        var mask: UInt64
        /// The same while it is in the stub.
        var blocked: UInt64
        /// Whether it can return as from a handler.
        var canReturnFromHandlers: Bool
    }

    /// The stub for one thread, with its registers as they will be restored, the restart of a system call in them.
    ///
    /// - Parameter place: where the stub will be.
    /// - Returns: nil where the stub's last jump would not reach the thread's PC from there.
    static func bytes(
        at place: Address, symbols: AgentSymbols, area: AgentArea, back: Return, idle: UInt64
    ) -> [UInt8]? {
        var header = hp_agent_stub()
        header.magic = magic
        header.area = area.base.rawValue
        header.area_size = UInt64(area.count)
        header.pthread_create = symbols.pthreadCreate.rawValue
        header.pthread_detach = symbols.pthreadDetach.rawValue
        header.errno_location = symbols.errnoLocation.rawValue
        header.idle = idle
        header.sleep = (0, 50_000)
        header.stack_top = area.stackTop.rawValue
        header.mask = back.mask
        header.blocked = back.blocked
        header.vector_size = UInt64(hp_vector_frame_size(&header.vector_features))
        withUnsafeMutableBytes(of: &header.name) { $0.copyBytes(from: Array(threadName.utf8)) }
        var saved = back.registers
        header.leave =
            back.canReturnFromHandlers ? UInt64(hp_registers_leave(&saved, back.call)) : UInt64(HP_LEAVE_JUMP)
        hp_registers_settle(&saved, back.call)
        withUnsafeMutableBytes(of: &header.context) {
            hp_registers_to_context(
                &saved, back.mask, area.vectors.rawValue, $0.bindMemory(to: UInt64.self).baseAddress!)
        }
        let code = UnsafeRawBufferPointer(start: hp_agent_code_pointer(), count: hp_agent_code_size())
        var bytes = withUnsafeBytes(of: header) { Array($0) } + code
        return hp_agent_set_return(&bytes, place.rawValue, hp_registers_pc(&saved)) ? bytes : nil
    }

    /// The registers with which the thread enters the stub.
    static func entering(_ registers: hp_registers, stub: Address) -> hp_registers {
        var registers = registers
        hp_registers_enter(&registers, (stub + Int(HP_STUB_ENTRY)).rawValue)
        return registers
    }
}
