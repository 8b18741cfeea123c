import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchReload

/// What is said, to the letter.
@Suite struct TerminalReportTests {
    private let process = SupervisedProcess(pid: 4711, executable: "/app/.build/debug/App", startTime: 1)

    private var times: TerminalTimes {
        TerminalTimes(
            nanoseconds: 412_345_678,
            parts: [
                .init("compile", nanoseconds: 380_000_000), .init("link", nanoseconds: 18_400_000),
                .init("held", nanoseconds: 412_000),
            ])
    }

    private var reload: TerminalReload {
        TerminalReload(files: ["/app/Sources/App/Routes.swift"], functions: ["App.hello()", "App.bye()"], times: times)
    }

    private func text(_ event: TerminalEvent, colors: Bool = false, verbose: Bool = false) -> String {
        TerminalReport(format: .text(colors: colors, verbose: verbose), descriptor: -1).text(of: event)
    }

    @Test func oneLineASave() {
        expect(
            text(.applied(reload)), equals: "Routes.swift  2 functions  412 ms (compile 380 · link 18 · held 0.4)\n")
        var reload = reload
        reload.files += ["/app/Sources/App/Model.swift"]
        reload.functions.removeLast()
        reload.times.parts = []
        expect(text(.applied(reload)), equals: "Routes.swift, Model.swift  1 function  412 ms\n")
        expect(text(.restored(reload)), equals: "Routes.swift, Model.swift  as it was  412 ms\n")
        #expect(
            text(.unchanged(files: reload.files, times)).hasPrefix("Routes.swift, Model.swift  nothing changed  412 ms")
        )
        // Folders where names are the same.
        expect(
            text(.copied(files: ["/app/Sources/A/Names.swift", "/app/Sources/B/Names.swift", "/x/Lib.swift"])),
            equals: "A/Names.swift, B/Names.swift, Lib.swift  copied\n")
        expect(
            text(.copied(files: ["/w/app/B/Names.swift", "/w/lib/B/Names.swift"])),
            equals: "app/B/Names.swift, lib/B/Names.swift  copied\n")
        expect(text(.saved(files: reload.files)), equals: "")
        expect(text(.saved(files: reload.files), verbose: true), equals: "Routes.swift, Model.swift  saved\n")
        expect(text(.detail("a")), equals: "")
        expect(text(.detail("a"), verbose: true), equals: "note: a\n")
        expect(text(.copied(files: ["/app/a.html"])), equals: "a.html  copied\n")
    }

    @Test func whatNeedsAttention() {
        var reload = reload
        reload.keptOld = ["closure #1 in buildRouter captures service now: old until buildRouter runs again"]
        reload.notReached = ["main(): it runs, and is not called again"]
        expect(
            text(.applied(reload)),
            equals: """
                Routes.swift  2 functions  412 ms (compile 380 · link 18 · held 0.4)
                    kept old: closure #1 in buildRouter captures service now: old until buildRouter runs again
                    not reached: main(): it runs, and is not called again

                """)
        expect(
            text(.applied(reload), verbose: true).split(separator: "\n").prefix(3).joined(separator: "\n"),
            equals: """
                Routes.swift  2 functions  412 ms (compile 380 · link 18 · held 0.4)
                    App.hello()
                    App.bye()
                """)
        expect(
            text(.refused(files: ["/a/Order.swift"], reason: "Order has a new stored property 'note'.")),
            equals: "Order.swift  not applied: Order has a new stored property 'note'.\n")
        expect(text(.restarting(reason: "Order has one more.")), equals: "restarting: Order has one more.\n")
        expect(
            text(.restarted(pid: 12, TerminalTimes(nanoseconds: 12_340_000_000))),
            equals: "restarted  process 12  12.3 s\n")
        expect(text(.notice("watching goes on.")), equals: "note: watching goes on.\n")
        expect(text(.error("no. why. try.")), equals: "error: no. why. try.\n")
    }

    @Test func theProgram() {
        expect(text(.launched(pid: 12, command: ["swift", "run", "App"])), equals: "swift run App  process 12\n")
        expect(text(.ready(process, files: 1)), equals: "App  process 4711  watching 1 file\n")
        expect(text(.executed(process)), equals: "App  executes another program\n")
        expect(
            text(.exited(process, .killed(signal: SIGSEGV, core: true))),
            equals: "App  crashed with SIGSEGV (core dumped)\n")
        expect(text(.exited(nil, .exited(code: 1))), equals: "the command exited with code 1\n")
    }

    /// A compiler's words stand as they are, with its colours where there are any, and nothing else that a terminal obeys.
    @Test func compilerErrors() {
        let output = "Routes.swift:3:5: \u{1b}[1;31merror:\u{1b}[0m cannot find 'x'\u{1b}]0;title\u{7}\n  3 | x\n"
        let event = TerminalEvent.compileFailed(
            files: ["/a/Routes.swift"], output: output, TerminalTimes(nanoseconds: 9_960_000))
        expect(
            text(event),
            equals: """
                Routes.swift  does not compile  10 ms
                Routes.swift:3:5: error: cannot find 'x'\u{fffd}]0;title\u{fffd}
                  3 | x

                """)
        #expect(
            text(event, colors: true).contains("\u{1b}[1;31merror:\u{1b}[0m cannot find 'x'\u{fffd}]0;title\u{fffd}\n"))
        for broken in ["\u{1b}", "\u{1b}[", "\u{1b}[31", "\u{1b}[2J", "\u{1b}m", "\u{1b}[31\u{1b}[m"] {
            expect(TerminalText.plain(broken).first, equals: "\u{fffd}", "\(broken.debugDescription)")
            expect(TerminalText.colored(broken).first, equals: "\u{fffd}", "\(broken.debugDescription)")
        }
    }

    /// Warnings stand alone, and a build may name no file.
    @Test func compilerWords() {
        expect(text(.warnings(files: ["/a/b.c"], output: "b.c:3:5: warning: x\n")), equals: "b.c:3:5: warning: x\n")
        let times = TerminalTimes(nanoseconds: 9_960_000)
        expect(text(.compileFailed(files: [], output: "x", times)), equals: "the build  fails  10 ms\nx\n")
    }

    @Test func colors() {
        expect(
            text(.applied(reload), colors: true),
            equals: "\u{1b}[1mRoutes.swift\u{1b}[0m  2 functions  "
                + "\u{1b}[2m412 ms (compile 380 · link 18 · held 0.4)\u{1b}[0m\n")
        expect(text(.error("no."), colors: true), equals: "\u{1b}[31merror: \u{1b}[0mno.\n")
        // A name is the program's own.
        #expect(text(.notice("a\u{1b}[2Jb"), colors: true).hasSuffix("a\u{fffd}[2Jb\n"))
        #expect(TerminalReport.hasColors(isTerminal: true, term: "xterm-256color", noColor: nil))
        #expect(TerminalReport.hasColors(isTerminal: true, term: "xterm", noColor: ""))
        #expect(!TerminalReport.hasColors(isTerminal: false, term: "xterm", noColor: nil))
        #expect(!TerminalReport.hasColors(isTerminal: true, term: "dumb", noColor: nil))
        #expect(!TerminalReport.hasColors(isTerminal: true, term: nil, noColor: nil))
        #expect(!TerminalReport.hasColors(isTerminal: true, term: "xterm", noColor: "1"))
    }

    @Test func manyFiles() {
        let files = (1...6).map { "/a/F\($0).swift" }
        expect(text(.copied(files: files)), equals: "F1.swift, F2.swift, F3.swift and 3 more  copied\n")
        expect(text(.copied(files: Array(files.prefix(4)))), equals: "F1.swift, F2.swift, F3.swift, F4.swift  copied\n")
    }

    @Test func numbers() {
        let rows: [(UInt64, String)] = [
            (0, "0.0 ms"), (49_999, "0.0 ms"), (50_000, "0.1 ms"), (9_949_999, "9.9 ms"), (9_950_000, "10 ms"),
            (10_499_999, "10 ms"), (10_500_000, "11 ms"), (999_400_000, "999 ms"), (9_999_000_000, "9999 ms"),
            (10_000_000_000, "10.0 s"),
        ]
        for (time, text) in rows {
            expect(TerminalLines.text(of: TerminalTimes(nanoseconds: time)), equals: text, "\(time)")
        }
    }

    @Test func json() {
        func json(_ event: TerminalEvent) -> String { TerminalReport(format: .json, descriptor: -1).text(of: event) }
        var reload = reload
        reload.keptOld = ["a: b"]
        let rows: [(TerminalEvent, String)] = [
            (.launched(pid: 12, command: ["swift", "run"]), #""launched","pid":12,"command":["swift","run"]"#),
            (.ready(process, files: 3), #""ready","pid":4711,"executable":"/app/.build/debug/App","files":3"#),
            (.saved(files: ["/a.swift"]), #""saved","files":["/a.swift"]"#),
            (
                .applied(reload),
                #""applied","files":["/app/Sources/App/Routes.swift"],"functions":["App.hello()","App.bye()"],"#
                    + #""microseconds":{"total":412345,"compile":380000,"link":18400,"held":412},"kept_old":["a: b"],"not_reached":[]"#
            ),
            (
                .unchanged(files: [], TerminalTimes(nanoseconds: 1000)),
                #""unchanged","files":[],"microseconds":{"total":1}"#
            ),
            (.copied(files: ["/a.html"]), #""copied","files":["/a.html"]"#),
            (.refused(files: ["/a.swift"], reason: "no"), #""refused","files":["/a.swift"],"reason":"no""#),
            (
                .compileFailed(files: [], output: "\u{1b}[1merror\u{1b}[0m\n", TerminalTimes(nanoseconds: 0)),
                #""compile-failed","files":[],"output":"error\n","microseconds":{"total":0}"#
            ),
            (.warnings(files: ["/b.c"], output: "w\n"), #""warnings","files":["/b.c"],"output":"w\n""#),
            (.restarting(reason: "no"), #""restarting","reason":"no""#),
            (.restarted(pid: 3, TerminalTimes(nanoseconds: 5000)), #""restarted","pid":3,"microseconds":{"total":5}"#),
            (.executed(process), #""executed","pid":4711,"executable":"/app/.build/debug/App""#),
            (.exited(nil, .exited(code: 2)), #""exited","code":2"#),
            (
                .exited(process, .killed(signal: SIGSEGV, core: false)),
                #""exited","pid":4711,"executable":"/app/.build/debug/App","signal":"SIGSEGV","core":false"#
            ),
            (.exited(nil, .unknown), #""exited""#), (.notice("a"), #""notice","message":"a""#),
            (.detail("a"), #""detail","message":"a""#),
            (.error("b"), #""error","message":"b""#),
        ]
        for (event, members) in rows { expect(json(event), equals: #"{"schema":1,"event":"# + members + "}\n") }
        #expect(json(.restored(reload)).contains(#""event":"restored""#))
    }

    /// A program that prints to the same place may have ended in the middle of a line.
    @Test func beginsLines() throws {
        let ends = try makePipe()
        defer { close(ends.read) }
        var report = TerminalReport(json: true)
        #expect(report.beginsLines && report.descriptor == STDOUT_FILENO)
        #expect(!TerminalReport(json: false).beginsLines)
        report.descriptor = ends.write
        write(ends.write, "half", 4)
        report.write(.notice("a"))
        report.format = .text(colors: false, verbose: false)
        report.write(.saved(files: ["/not/said"]))
        close(ends.write)
        var answer = [UInt8](repeating: 0, count: 4096)
        let count = read(ends.read, &answer, answer.count)
        expect(
            String(decoding: answer[..<max(0, count)], as: UTF8.self),
            equals: "half\n{\"schema\":1,\"event\":\"notice\",\"message\":\"a\"}\n")
    }

    /// All of it, though the reader is slow.
    @Test func writing() throws {
        let ends = try makePipe()
        defer { close(ends.read) }
        _ = fcntl(ends.write, F_SETFL, O_NONBLOCK)
        let report = TerminalReport(format: .text(colors: false, verbose: false), descriptor: ends.write)
        let long = String(repeating: "x", count: 1 << 20)
        let counted = try makePipe()
        defer { close(counted.read) }
        let reader = try spawn(["sh", "-c", "sleep 0.2; exec wc -c"], input: ends.read, output: counted.write)
        close(counted.write)
        report.write(.notice(long))
        close(ends.write)
        var answer = [UInt8](repeating: 0, count: 64)
        let count = read(counted.read, &answer, answer.count)
        reap(reader)
        let number = String(decoding: answer[..<max(0, count)].filter { $0 > 0x20 }, as: UTF8.self)
        expect(number, equals: "\(long.utf8.count + "note: \n".utf8.count)")
        // Nobody is there to read it, and nobody minds.
        TerminalReport(format: .json, descriptor: -1).write(.notice("to nobody"))
    }
}
