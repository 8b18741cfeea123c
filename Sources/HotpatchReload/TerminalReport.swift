import CHotpatchLinux
import Glibc

/// Says what happens while sources are watched: one line a save, and then only what needs attention; or JSON, an object a line.
///
/// What the program prints is left alone: each event is written with one write(2), and begins a line where the program prints to the same
/// place, so that lines of both do not mix.
package struct TerminalReport: Sendable {
    package enum Format: Hashable, Sendable {
        /// - `colors`: as a terminal has them. `verbose`: names each function, and says what was saved.
        case text(colors: Bool, verbose: Bool)
        case json
    }

    package var format: Format
    /// Where it is written to.
    package var descriptor: Int32
    /// The program prints there too, and may have ended in the middle of a line. An empty line is of no harm to who reads JSON.
    package var beginsLines = false

    package init(format: Format, descriptor: Int32) {
        self.format = format
        self.descriptor = descriptor
    }

    /// Text to the standard error, with colours where that is a terminal that has them; JSON to the standard output.
    package init(json: Bool, verbose: Bool = false) {
        self.init(
            format: json
                ? .json
                : .text(
                    colors: Self.hasColors(
                        isTerminal: isatty(STDERR_FILENO) == 1, term: Self.variable("TERM"),
                        noColor: Self.variable("NO_COLOR")),
                    verbose: verbose),
            descriptor: json ? STDOUT_FILENO : STDERR_FILENO)
        beginsLines = json
    }

    /// Whether colours are used: a compiler's errors may have them too.
    package var hasColors: Bool { if case .text(let colors, _) = format { colors } else { false } }

    /// No colours in a pipe, for a terminal that says it has none, and where the user wants none (https://no-color.org).
    static func hasColors(isTerminal: Bool, term: String?, noColor: String?) -> Bool {
        isTerminal && (noColor ?? "").isEmpty && term != nil && term != "" && term != "dumb"
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// Writes what there is to say of an event. What nobody reads for two seconds is lost.
    package func write(_ event: TerminalEvent) {
        let text = text(of: event)
        if text.isEmpty { return }
        var rest = Array(((beginsLines ? "\n" : "") + text).utf8)[...]
        let deadline = linux_monotonic_time() + 2_000_000_000
        while !rest.isEmpty, linux_monotonic_time() < deadline {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&waiting, 1, 100)
            } else if errno != EINTR {
                return
            }
        }
    }

    /// The lines for an event, each with its newline; empty where there is nothing to say.
    package func text(of event: TerminalEvent) -> String {
        switch format {
        case .json: return event.json.description + "\n"
        case .text(let colors, let verbose):
            return TerminalLines(colors: colors, verbose: verbose).lines(of: event).map { $0 + "\n" }.joined()
        }
    }
}

/// Events for a person.
struct TerminalLines {
    var colors: Bool
    var verbose: Bool

    private func paint(_ color: TerminalText.Color, _ text: String) -> String {
        let text = printable(text)
        return colors ? color(text) : text
    }

    /// `Routes.swift  2 functions  412 ms (compile 380 · link 18 · held 0.4)`
    private func line(_ subject: String, _ words: String..., times: TerminalTimes? = nil) -> String {
        ([paint(.bold, subject)] + words + (times.map { [paint(.dim, Self.text(of: $0))] } ?? [])).joined(
            separator: "  ")
    }

    func lines(of event: TerminalEvent) -> [String] {
        switch event {
        case .launched(let pid, let command):
            return [line(command.joined(separator: " "), "process \(pid)")]
        case .ready(let process, let files):
            return [
                line(Self.name(process), "process \(process.pid)", paint(.dim, "watching " + Self.count(files, "file")))
            ]
        case .saved(let files): return verbose ? [line(names(files), "saved")] : []
        case .applied(let reload): return lines(of: reload, Self.count(reload.functions.count, "function"))
        case .restored(let reload): return lines(of: reload, "as it was")
        case .unchanged(let files, let times): return [line(names(files), "nothing changed", times: times)]
        case .copied(let files): return [line(names(files), "copied")]
        case .removed(let files): return [line(names(files), "removed")]
        case .refused(let files, let reason):
            return [line(names(files), paint(.yellow, "not applied: ") + printable(reason))]
        case .compileFailed(let files, let output, let times):
            let (subject, verdict) = files.isEmpty ? ("the build", "fails") : (names(files), "does not compile")
            return [line(subject, paint(.red, verdict), times: times)] + printed(output)
        case .warnings(_, let output): return printed(output)
        case .restarting(let reason): return [paint(.yellow, "restarting: ") + printable(reason)]
        case .restarted(let pid, let times): return [line("restarted", "process \(pid)", times: times)]
        case .executed(let process):
            return [line(Self.name(process), paint(.yellow, "executes another program"))]
        case .exited(let process, let end):
            let end = paint(end == .exited(code: 0) ? .dim : .red, "\(end)")
            return [process.map { line(Self.name($0), end) } ?? paint(.bold, "the command") + " " + end]
        case .notice(let text): return [paint(.yellow, "note: ") + printable(text)]
        case .detail(let text): return verbose ? [paint(.dim, "note: ") + printable(text)] : []
        case .error(let text): return [paint(.red, "error: ") + printable(text)]
        }
    }

    /// What a compiler has printed.
    private func printed(_ output: String) -> [String] {
        let output = colors ? TerminalText.colored(output) : TerminalText.plain(output)
        return output.isEmpty ? [] : [output.hasSuffix("\n") ? String(output.dropLast()) : output]
    }

    private func lines(of reload: TerminalReload, _ what: String) -> [String] {
        var lines = [line(names(reload.files), what, times: reload.times)]
        if verbose { lines += reload.functions.map { "    " + paint(.dim, $0) } }
        lines += reload.keptOld.map { "    " + paint(.yellow, "kept old: ") + printable($0) }
        lines += reload.notReached.map { "    " + paint(.yellow, "not reached: ") + printable($0) }
        return lines
    }

    // MARK: Words

    /// Without their folders, where these do not tell them apart; three of them where there are many.
    private func names(_ files: [String]) -> String {
        let shown = verbose || files.count <= 4 ? files.count : 3
        let names = files.prefix(shown).map { Self.shortest($0, among: files) }.joined(separator: ", ")
        return shown == files.count ? names : names + " and \(files.count - shown) more"
    }

    /// The end of a path that no other one has.
    private static func shortest(_ path: String, among paths: [String]) -> String {
        let parts = path.split(separator: "/")
        for count in 1...max(1, parts.count - 1) {
            let end = parts.suffix(count).joined(separator: "/")
            if !paths.contains(where: { $0 != path && $0.hasSuffix("/" + end) }) { return end }
        }
        return path
    }

    private static func name(_ process: SupervisedProcess) -> String { lastPart(process.executable) }

    private static func lastPart(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

    static func count(_ number: Int, _ noun: String) -> String { number == 1 ? "1 \(noun)" : "\(number) \(noun)s" }

    /// `412 ms (compile 380 · link 18 · held 0.4)`; from ten seconds on in seconds: `12.3 s`.
    static func text(of times: TerminalTimes) -> String {
        let inSeconds = times.nanoseconds >= 10_000_000_000
        let unit: UInt64 = inSeconds ? 1_000_000_000 : 1_000_000
        func number(_ nanoseconds: UInt64) -> String {
            let tenths = (nanoseconds + unit / 20) / (unit / 10)
            return inSeconds || tenths < 100 ? "\(tenths / 10).\(tenths % 10)" : "\((nanoseconds + unit / 2) / unit)"
        }
        let parts = times.parts.map { "\($0.name) \(number($0.nanoseconds))" }.joined(separator: " · ")
        return number(times.nanoseconds) + (inSeconds ? " s" : " ms") + (parts.isEmpty ? "" : " (\(parts))")
    }
}
