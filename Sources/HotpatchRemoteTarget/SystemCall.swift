import CHotpatchLinux
import CPatchMachine

/// Numbers of system calls, for the agent, and by which threads are told apart.
enum SystemCall {
    static let close = Int(SYS_close)
    static let mmap = Int(SYS_mmap)
    static let munmap = Int(SYS_munmap)
    static let ftruncate = Int(SYS_ftruncate)
    static let memfdCreate = Int(SYS_memfd_create)
    static let recvmsg = Int(SYS_recvmsg)
    static let socketpair = Int(SYS_socketpair)
    static let setsockopt = Int(SYS_setsockopt)

    /// What a call becomes that the kernel has to remember.
    static let restart = Int(SYS_restart_syscall)

    /// A stop makes it fail with EINTR although no signal was meant for the program.
    static func failsWhenStopped(_ number: Int) -> Bool { hp_call_is_mendable(number) }

    /// In vfork it cannot be stopped.
    static func startsProcess(_ number: Int) -> Bool { hp_call_starts_process(number) }

    static func name(_ number: Int) -> String {
        hp_call_name(number).map { String(cString: $0) } ?? "system call \(number)"
    }
}
