/// System call numbers by which threads are told apart (asm/unistd_64.h; asm-generic/unistd.h on arm64).
enum SystemCall {
    #if arch(x86_64)
        static let close = 3
        static let mmap = 9
        static let munmap = 11
        static let ftruncate = 77
        static let memfdCreate = 319
        static let recvmsg = 47
        static let socketpair = 53
        static let setsockopt = 54
        static let clone = 56
        static let vfork = 58
        static let clone3 = 435

        /// Calls that a ptrace stop makes return EINTR although no signal was meant for the program, and that may be
        /// entered again with the same arguments. connect and close are none of them: they have begun something.
        static let mendable: Set<Int> = [
            232, 281, 441,  // epoll_wait, epoll_pwait, epoll_pwait2
            128,  // rt_sigtimedwait
            65, 220,  // semop, semtimedop
            45, 47,  // recvfrom, recvmsg: with SO_RCVTIMEO (without, the kernel restarts them itself)
        ]

        static let names: [Int: String] = [
            0: "read", 1: "write", 7: "poll", 17: "pread64", 23: "select", 34: "pause", 35: "nanosleep", 43: "accept",
            44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 56: "clone", 57: "fork", 58: "vfork",
            61: "wait4",
            65: "semop", 72: "fcntl", 74: "fsync", 75: "fdatasync", 128: "rt_sigtimedwait", 130: "rt_sigsuspend",
            202: "futex", 219: "restart_syscall", 220: "semtimedop", 230: "clock_nanosleep", 232: "epoll_wait",
            247: "waitid", 270: "pselect6",
            271: "ppoll", 281: "epoll_pwait", 288: "accept4", 435: "clone3", 441: "epoll_pwait2", 449: "futex_waitv",
        ]
    #else
        static let close = 57
        static let mmap = 222
        static let munmap = 215
        static let ftruncate = 46
        static let memfdCreate = 279
        static let recvmsg = 212
        static let socketpair = 199
        static let setsockopt = 208
        static let clone = 220
        static let vfork = -1
        static let clone3 = 435
        static let mendable: Set<Int> = []
        static let names: [Int: String] = [
            63: "read", 64: "write", 73: "ppoll", 98: "futex", 101: "nanosleep", 115: "clock_nanosleep",
            128: "restart_syscall",
            22: "epoll_pwait",
            202: "accept", 207: "recvfrom", 212: "recvmsg", 220: "clone", 260: "wait4", 435: "clone3",
        ]
    #endif

    static func name(_ number: Int) -> String { names[number] ?? "system call \(number)" }
}
