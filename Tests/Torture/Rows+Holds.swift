import Glibc
import HotpatchTestSupport

/// How long a process is held, as its own heart tells.
let holdRows: [Row] = [
    Row("longest gap of an idle process") { rig in try rig.gaps("", 0) },
    Row("longest gap beside 8 threads that compute") { rig in try rig.gaps("busy", 8) },
    Row("longest gap beside a thread in vfork") { rig in try rig.gaps("vfork", 0) },
    Row("longest gap where 20 ms are allowed, beside vfork") { rig in try rig.gaps("vfork", 0, pause: 20) },
]

extension Rig {
    /// - Parameter pause: milliseconds that the command may hold the process for.
    fileprivate mutating func gaps(_ kind: String, _ threads: Int, pause: Int? = nil) throws -> Figure {
        var figure = Figure()
        let heart = try start("heart", kind, "\(threads)")
        usleep(100_000)
        var gaps: [Int] = []
        for _ in 0..<length.count(3, 60) {
            figure.tries += 1
            _ = try heart.ask()
            let library = path("fix.so")
            for arguments in [["apply", library], ["revert", "--all"]] {
                let outcome =
                    try pause.map {
                        try Patcher.run(arguments[0], arguments[1], "--pid", "\(heart.pid)", "--max-pause", "\($0)")
                    } ?? Patcher.run(arguments[0], arguments[1], "--pid", "\(heart.pid)")
                guard outcome.isRegular, outcome.status == 0 || outcome.status == 2 else {
                    figure.harm("\(outcome)")
                    continue
                }
            }
            let words = try heart.ask().split(separator: " ")
            gaps.append(words.last.flatMap { Int($0) } ?? 0)
            // A second is beyond what any load of a machine explains.
            if gaps.last! > 1_000_000 { figure.harm("a gap of \(gaps.last! / 1000) ms") }
        }
        gaps.sort()
        figure.text +=
            (figure.text.isEmpty ? "" : "; ")
            + "median \(tenths(gaps[gaps.count / 2])) ms, longest \(tenths(gaps.last!)) ms, its beat being 1 ms"
        return figure
    }

    /// Microseconds as milliseconds.
    private func tenths(_ microseconds: Int) -> String { "\(microseconds / 1000).\(microseconds % 1000 / 100)" }
}
