import CHotpatchLinux
import Glibc

/// The signals that end a command line program, as something to wait for: SIGINT, SIGTERM, SIGHUP and SIGQUIT.
///
/// Who makes one takes the signals from then on: each is one value that ``next()`` returns. Children get them as usual, for a handler
/// ends with exec(2), and nothing is blocked. A signal that was ignored, as after nohup(1), stays ignored, here and in the children.
/// SIGPIPE and SIGTTOU are ignored meanwhile: who reads what is printed may go away while a process is held, and the terminal may
/// be another's. ``Supervisor`` gives both back to the command.
///
/// One at a time.
package final class SupervisorSignals {
    package struct Signal: Hashable, Sendable, CustomStringConvertible {
        package var number: Int32
        /// A key of the terminal sent it, as Ctrl-C does: to all processes of the foreground group at once.
        package var isFromTerminal: Bool

        package init(number: Int32, isFromTerminal: Bool) {
            self.number = number
            self.isFromTerminal = isFromTerminal
        }

        package var description: String { ChildEnd.name(of: number) }
    }

    /// Readable when ``next()`` has one.
    package let descriptor: Int32
    private let writeEnd: Int32
    private var old: [(number: Int32, action: sigaction)] = []

    package init(_ numbers: [Int32] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT]) throws(SupervisorError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .cannotSupervise(code: errno) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        (descriptor, writeEnd) = (ends[0], ends[1])
        signalPipe = writeEnd
        for number in numbers {
            var action = sigaction()
            action.__sigaction_handler.sa_sigaction = { number, info, _ in
                let code = errno
                // The kernel sends what a key of the terminal means (SI_KERNEL); others send it with kill(2).
                var bytes = (UInt8(truncatingIfNeeded: number), info?.pointee.si_code == 0x80 ? UInt8(1) : 0)
                _ = write(signalPipe, &bytes, 2)
                errno = code
            }
            action.sa_flags = SA_SIGINFO | SA_RESTART
            take(number, action)
        }
        var ignored = sigaction()
        ignored.__sigaction_handler.sa_handler = SIG_IGN
        for number in [SIGPIPE, SIGTTOU] { take(number, ignored) }
        Self.ignoredHere = [SIGPIPE, SIGTTOU].filter { number in old.contains { $0.number == number } }
    }

    /// Signals that are ignored by this process, and not to be by its children.
    nonisolated(unsafe) private(set) static var ignoredHere: [Int32] = []

    private func take(_ number: Int32, _ action: sigaction) {
        var action = action
        var before = sigaction()
        sigaction(number, nil, &before)
        if Self.isIgnored(before) { return }
        sigaction(number, &action, nil)
        old.append((number, before))
    }

    private static func isIgnored(_ action: sigaction) -> Bool {
        unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// The next signal; nil where there is none. Never waits.
    package func next() -> Signal? {
        var bytes: (UInt8, UInt8) = (0, 0)
        guard read(descriptor, &bytes, 2) == 2 else { return nil }
        return Signal(number: Int32(bytes.0), isFromTerminal: bytes.1 != 0)
    }

    /// Whether ``next()`` has one.
    package var isPending: Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 0) > 0
    }

    /// Gives the signals back.
    package func restore() {
        for (number, action) in old {
            var action = action
            sigaction(number, &action, nil)
        }
        old = []
        Self.ignoredHere = []
    }

    deinit {
        restore()
        signalPipe = -1
        close(descriptor)
        close(writeEnd)
    }

    /// Ends this process by a signal, so that its parent sees by which: a shell's loop ends with Ctrl-C, too.
    package func die(of signal: Signal) -> Never {
        restore()
        Glibc.signal(signal.number, SIG_DFL)
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, signal.number)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        kill(getpid(), signal.number)
        exit(128 + signal.number)
    }
}

/// Where the handler writes. A write of two bytes is whole or absent (pipe(7)).
nonisolated(unsafe) private var signalPipe: Int32 = -1
