import CPatchCore
import Glibc
import HotpatchExpectations
import HotpatchMemory
import HotpatchProcFS
import HotpatchRemoteSupport
import HotpatchTestSupport
import Testing

@testable import HotpatchRemoteTarget

extension RemoteTargetTests {
    @Suite struct StoppedProcessTests {
        static func stop(_ victim: Victim, maximumPause: UInt64? = nil) throws -> PauseReport {
            let process = try victim.process()
            let stopped = try StoppedProcess(
                process, deadline: .after(milliseconds: 20_000), maximumPause: maximumPause)
            return stopped.resume()
        }

        @Test(arguments: [
            ("", 1), ("n", 2), ("bnnnkkkkkkkkbpe", 16),
            (String(repeating: "k", count: 90) + "bbbbbnnnn", 100),
        ])
        func stopsAndResumes(threads: String, count: Int) throws {
            let victim = try Victim(threads)
            let counting = Set(threads.enumerated().filter { $0.element != "k" }.map { $0.offset + 1 })
            var pauses: [UInt64] = []
            for _ in 0..<20 {
                let report = try Self.stop(victim)
                expect(report.threads, equals: count)
                pauses.append(report.nanoseconds)
                usleep(3000)
            }
            pauses.sort()
            print("pause: \(count) threads, median \(pauses[10] / 1000) µs, worst \(pauses[19] / 1000) µs")
            #expect(try victim.isLetGo())
            #expect(victim.makesProgress(counting: counting))
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        @Test func holdsEveryThreadStill() throws {
            let victim = try Victim("bbpn")
            let process = try victim.process()
            let stopped = try StoppedProcess(process, deadline: .after(milliseconds: 20_000))
            let before = (1...4).map { victim.shared.rounds($0) }
            usleep(50_000)
            expect((1...4).map { victim.shared.rounds($0) }, equals: before)
            _ = stopped.resume()
            #expect(victim.makesProgress())
        }

        @Test func resumesWhenItGoesOutOfScope() throws {
            let victim = try Victim("b")
            do {
                let stopped = try StoppedProcess(try victim.process(), deadline: .after(milliseconds: 20_000))
                expect(stopped.threadCount, equals: 2)
            }
            #expect(victim.makesProgress())
            #expect(try victim.isLetGo())
        }

        /// Threads that are born while the stop is under way are caught by the rescans.
        @Test func catchesBirths() throws {
            let victim = try Victim("cccccccc")
            for _ in 0..<40 {
                let process = try victim.process()
                let stopped = try StoppedProcess(process, deadline: .after(milliseconds: 20_000))
                let births = victim.shared.births
                let tasks = try TaskList(pid: victim.pid).scan().filter {
                    TaskGlance(pid: victim.pid, tid: $0).stat?.state != "Z"
                }
                usleep(2000)
                expect(victim.shared.births, equals: births)
                #expect(Set(stopped.threads.map(\.tid)).isSuperset(of: tasks))
                _ = stopped.resume()
                usleep(2000)
            }
            #expect(victim.makesProgress())
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        @Test func mendsInterruptedCalls() throws {
            let victim = try Victim("ewou")
            var mended = 0
            for _ in 0..<2000 where mended < 60 {
                mended += try Self.stop(victim).mendedCalls
                usleep(4000)
            }
            #expect(mended >= 60)
            #expect(victim.makesProgress())
            expect(victim.shared.interrupted, equals: 0)
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        @Test func stopsAProcessWhoseLeaderHasEnded() throws {
            let victim = try Victim("bn", main: "z")
            let report = try Self.stop(victim)
            expect(report.threads, equals: 2)
            #expect(victim.makesProgress(counting: [1, 2]))
        }

        /// A signal that arrives with the stop is delivered on resume, and not lost.
        @Test func deliversSignals() throws {
            let victim = try Victim("h")
            let process = try victim.process()
            let stopped = try StoppedProcess(process, deadline: .after(milliseconds: 20_000))
            let thread = try #require(stopped.threads.first { $0.tid != victim.pid }?.tid)
            Calls.tgkill(victim.pid, thread, SIGUSR1)
            usleep(5000)
            expect(victim.shared.inHandler, equals: 0)
            _ = stopped.resume()
            try victim.awaitHandler()
            expect(victim.shared.inHandler, equals: Int(SIGUSR1))
        }

        /// The parent of a vfork does not stop before its child execs or exits.
        @Test func givesUpOnVfork() throws {
            let source =
                "int main(){ extern int vfork(void); extern unsigned sleep(unsigned); extern void _exit(int);"
                + " for(;;) if (vfork() == 0) { sleep(2); _exit(0); } }"
            let file = try Workshop.directory + "/vforking"
            try Self.write(source, to: file + ".c")
            try runTool(["cc", "-w", "-o", file, file + ".c"])
            let pid = try spawn([file])
            defer { kill(pid, SIGKILL) }
            usleep(100_000)
            let process = try RemoteProcess.examine(pid: pid)
            let start = Deadline.now
            var refusal: RemoteRefusal?
            // Between two children it stops.
            for _ in 0..<5 where refusal == nil {
                do {
                    _ = try StoppedProcess(process, deadline: .after(milliseconds: 200)).resume()
                } catch { refusal = error }
            }
            #expect(Deadline.now - start < 15_000_000_000)
            guard case .deadline(pid, let thread)? = refusal else {
                Issue.record("\(String(describing: refusal))")
                return
            }
            expect(thread.tid, equals: pid)
            #expect("\(refusal!)".contains("vfork"), "\(refusal!)")
            // Let go of, although it never stopped.
            func tracer() throws -> Int? {
                ProcStatus(parsing: try ProcText.readString("/proc/\(pid)/status")).number("TracerPid")
            }
            for _ in 0..<1000 where try tracer() != 0 { usleep(10_000) }
            try expect(tracer(), equals: 0)
            usleep(2_200_000)
            expect(kill(pid, 0), equals: 0)
            #expect(TaskGlance(pid: pid, tid: pid).stat?.state != "t")
        }

        static func write(_ text: String, to path: String) throws {
            let file = try #require(fopen(path, "w"))
            fputs(text, file)
            fclose(file)
        }
    }
}
