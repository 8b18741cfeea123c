import CLinux
import CPatch
import Memory

/// Where the agent finds what it needs in the target.
public struct AgentSymbols: Sendable {
    /// Of the target's libc: pthread_create(3), pthread_detach(3), `__errno_location` (LSB core, libc).
    public var pthreadCreate: Address
    public var pthreadDetach: Address
    public var errnoLocation: Address
    /// Executable memory that is zero and unused, best first: see `ExecutableSlack`.
    public var slack: [Range<Address>]

    public init(pthreadCreate: Address, pthreadDetach: Address, errnoLocation: Address, slack: [Range<Address>]) {
        self.pthreadCreate = pthreadCreate
        self.pthreadDetach = pthreadDetach
        self.errnoLocation = errnoLocation
        self.slack = slack
    }
}

/// The agent's private memory in the target: fields (hp_remote.h), vector state, the borrowed thread's stack, scratch.
struct AgentArea {
    static let stackSize = 1 << 16
    static let scratchSize = 1 << 16

    let base: Address
    let xsaveSize: Int

    var stackTop: Address { base + Int(HP_AREA_XSAVE) + xsaveSize.roundedUp(to: 4096) + Self.stackSize }
    var scratch: Address { stackTop }
    var count: Int { (scratch + Self.scratchSize - base).roundedUp(to: MemoryPage.size) }

    func field(_ offset: Int32) -> Address { base + Int(offset) }
}

extension Int {
    fileprivate func roundedUp(to alignment: Int) -> Int { (self + alignment - 1) / alignment * alignment }
}

enum AgentStub {
    /// Bytes of header and code; 0 where this architecture has no agent.
    static var count: Int {
        let code = hp_agent_code_size()
        return code == 0 ? 0 : Int(HP_STUB_ENTRY) + code
    }

    static let magic = UInt64(HP_AGENT_MAGIC)

    #if arch(x86_64)
        /// The stub for one thread: its registers as they will be restored, with the restart of a system call in them.
        static func bytes(symbols: AgentSymbols, area: AgentArea, registers: linux_registers, idle: UInt64) -> [UInt8] {
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
            withUnsafeMutableBytes(of: &header.name) { $0.copyBytes(from: Array("hotpatch".utf8)) }
            var saved = restarting(registers)
            saved.eflags &= ~0x100  // TF: a single step that was under way is over
            withUnsafeMutableBytes(of: &header.registers) { target in
                withUnsafeBytes(of: saved) {
                    target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(target.count)))
                }
            }
            let code = UnsafeRawBufferPointer(start: hp_agent_code_pointer(), count: hp_agent_code_size())
            return withUnsafeBytes(of: header) { Array($0) } + code
        }

        /// The registers with which the interrupted system call is entered again, as the kernel would have set them on
        /// resume (signal(7), "Interruption of system calls"): ours is not a resume, for the thread leaves elsewhere first.
        static func restarting(_ registers: linux_registers) -> linux_registers {
            var registers = registers
            guard registers.restartsSystemCall else { return registers }
            registers.rip -= 2
            // -516, ERESTART_RESTARTBLOCK: the kernel remembers how to go on, restart_syscall(2).
            registers.rax = Int64(bitPattern: UInt64(registers.rax)) == -516 ? 219 : registers.orig_rax
            return registers
        }

        /// The registers with which the thread enters the stub. An orig_rax of -1 says: not in a system call, restart nothing.
        static func entering(_ registers: linux_registers, stub: Address) -> linux_registers {
            var registers = registers
            registers.rip = (stub + Int(HP_STUB_ENTRY)).rawValue
            registers.orig_rax = UInt64(bitPattern: -1)
            return registers
        }
    #endif
}
