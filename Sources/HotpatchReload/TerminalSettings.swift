import Glibc

/// How the terminal was set, and whose it was: a program that is killed leaves it as it had set it, with nothing echoed perhaps.
struct TerminalSettings {
    private let attributes: termios?

    /// This process has a terminal, which sends signals to groups (credentials(7)).
    static var hasTerminal: Bool {
        let terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)
        if terminal >= 0 { close(terminal) }
        return terminal >= 0
    }

    /// As it is now, if the group of this process has it.
    init() {
        var attributes = termios()
        let isOwn = tcgetpgrp(STDIN_FILENO) == getpgrp() && tcgetattr(STDIN_FILENO, &attributes) == 0
        self.attributes = isOwn ? attributes : nil
    }

    /// Puts it back, when the command has ended. Not where another group has it by now, as a shell's is that has put this one into the
    /// background; but the group of a program that took it and is gone is none.
    func restore() {
        guard var attributes else { return }
        let group = tcgetpgrp(STDIN_FILENO)
        guard group == getpgrp() || (group > 0 && kill(-group, 0) != 0 && errno == ESRCH) else { return }
        if group != getpgrp() {
            // The kernel stops whoever takes the terminal from the background, unless that ignores it.
            let old = signal(SIGTTOU, SIG_IGN)
            tcsetpgrp(STDIN_FILENO, getpgrp())
            signal(SIGTTOU, old)
        }
        tcsetattr(STDIN_FILENO, TCSANOW, &attributes)
    }
}
