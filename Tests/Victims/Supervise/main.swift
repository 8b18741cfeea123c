// Supervises a command, and says what happens: HotpatchSupervise WANTED GRACE COMMAND…
//
// WANTED: how the path of the program ends that is looked for. GRACE: milliseconds that it has to end. SIGUSR1: the command is
// started again. SIGUSR2: what has happened is looked at. Another signal ends both.
import Glibc
import HotpatchReload

func say(_ text: String) {
    let line = text + "\n"
    _ = write(STDOUT_FILENO, line, line.utf8.count)
}

let words = Array(CommandLine.arguments.dropFirst())
let wanted = words[0]
let grace = Int(words[1])!
do {
    let signals = try SupervisorSignals([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2])
    let supervisor = try Supervisor(command: Array(words[2...]))
    say("ready")
    supervisor.find { $0.executable.hasSuffix(wanted) }
    try supervisor.launch()
    say("launched \(supervisor.hasOwnGroup ? "in a group of its own" : "in this group")")
    while true {
        var waiting = [supervisor.descriptor, signals.descriptor].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        poll(&waiting, 2, -1)
        while let signal = signals.next() {
            switch signal.number {
            case SIGUSR1:
                try supervisor.restart(graceMilliseconds: grace, signals: signals)
                say("restarted")
            case SIGUSR2: break
            default:
                say("got \(signal)\(signal.isFromTerminal ? " of the terminal" : "")")
                let end = try supervisor.end(by: signal, signals: signals, graceMilliseconds: grace)
                say("the command \(end.map { "\($0)" } ?? "had ended")")
                signals.die(of: signal)
            }
        }
        for event in supervisor.events() {
            switch event {
            case .found(let process): say("found \(process.pid)")
            case .executed(let process): say("executed \(process.pid)")
            case .ended(let process, let end): say("ended \(process.pid): \(end)")
            case .commandEnded(let end): say("the command \(end)")
            }
        }
        if !supervisor.isRunning {
            say("nothing runs")
            // Who looks at the terminal now sees it as it was left.
            var byte: UInt8 = 0
            _ = read(STDIN_FILENO, &byte, 1)
            exit(0)
        }
    }
} catch {
    say("error: \(error)")
    exit(2)
}
