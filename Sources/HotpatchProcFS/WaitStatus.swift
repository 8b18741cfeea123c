import Glibc

/// How a process has ended, as wait(2) tells it.
package enum WaitStatus: Hashable, Sendable {
    case exited(code: Int32)
    case killed(signal: Int32, core: Bool)

    package init(_ status: Int32) {
        let signal = status & 0x7f
        self = signal == 0 ? .exited(code: status >> 8 & 0xff) : .killed(signal: signal, core: status & 0x80 != 0)
    }

    /// "SIGTERM"; nil for a signal that seldom ends a process.
    package static func name(of signal: Int32) -> String? { names[signal] }

    private static let names: [Int32: String] = [
        SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
        SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGUSR1: "SIGUSR1",
        SIGSEGV: "SIGSEGV", SIGUSR2: "SIGUSR2", SIGPIPE: "SIGPIPE", SIGALRM: "SIGALRM", SIGTERM: "SIGTERM",
        SIGXCPU: "SIGXCPU", SIGXFSZ: "SIGXFSZ", SIGSYS: "SIGSYS",
    ]
}
