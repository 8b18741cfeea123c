import Glibc

/// How the terminal was set: a program that is killed leaves it as it had set it, with nothing echoed perhaps.
struct TerminalSettings {
    private let attributes: termios?

    /// This process has a terminal, which sends signals to groups (credentials(7)).
    static var hasTerminal: Bool {
        let terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)
        if terminal >= 0 { close(terminal) }
        return terminal >= 0
    }

    init() {
        var attributes = termios()
        self.attributes = tcgetattr(STDIN_FILENO, &attributes) == 0 ? attributes : nil
    }

    /// Not while another group has the terminal: the kernel would stop this one.
    func restore() {
        guard var attributes, tcgetpgrp(STDIN_FILENO) == getpgrp() else { return }
        tcsetattr(STDIN_FILENO, TCSANOW, &attributes)
    }
}
