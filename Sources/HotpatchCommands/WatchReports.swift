import Glibc
import HotpatchMemory
import HotpatchReload

/// Where `watch` says what happens: to a person, to a program, or to both.
struct WatchReports {
    private var all: [TerminalReport]

    /// - Throws: `CommandError` where the file for the events cannot be written.
    init(_ watch: Watch) throws(CommandError) {
        all = [TerminalReport(json: watch.json, verbose: watch.verbose)]
        guard let place = watch.events else { return }
        var events = TerminalReport(format: .json, descriptor: try Self.open(place))
        // The program has the standard descriptors too.
        events.beginsLines = events.descriptor <= STDERR_FILENO
        all.append(events)
    }

    /// Whether a compiler is to print with colours.
    var hasColors: Bool { all.contains(where: \.hasColors) }

    func write(_ event: TerminalEvent) { for report in all { report.write(event) } }

    /// A descriptor that was handed over, or a file, which the program does not get. A FIFO is waited for until somebody reads it.
    private static func open(_ place: String) throws(CommandError) -> Int32 {
        if let number = Int32(place) {
            let flags = fcntl(number, F_GETFD)
            guard flags >= 0 else {
                throw CommandError(
                    "cannot write events to descriptor \(number). It is not open. Open it (3>events.json), or name a file."
                )
            }
            if number > STDERR_FILENO { _ = fcntl(number, F_SETFD, flags | FD_CLOEXEC) }
            return number
        }
        let file = Glibc.open(place, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else {
            throw CommandError(
                "cannot write events to \(place). \(errorText(errno)). Name a file or a FIFO.")
        }
        return file
    }
}
