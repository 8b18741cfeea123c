import Glibc
import HotpatchExpectations
import HotpatchMemory
import HotpatchProcFS
import HotpatchRemoteSupport
import HotpatchTestSupport
import Testing

@testable import HotpatchRemoteTarget

extension RemoteTargetTests {
    @Suite struct RemoteProcessTests {
        private func refusal(_ pid: Int32, allowSeccomp: Bool = false) -> RemoteRefusal? {
            do {
                _ = try RemoteProcess.examine(pid: pid, allowSeccomp: allowSeccomp)
                return nil
            } catch { return error }
        }

        /// Waits until the first thread of a process is in a state.
        private func waitFor(_ state: Character, _ pid: Int32) {
            for _ in 0..<500 where TaskGlance(pid: pid, tid: pid).stat?.state != state { usleep(2000) }
        }

        @Test func describesAProcess() throws {
            let victim = try Victim("nn")
            let process = try victim.process()
            expect(process.pid, equals: victim.pid)
            expect(process.name, equals: "victim")
            expect(process.executable, equals: (try Workshop.victim))
            expect(process.threadCount, equals: 3)
            expect(process.userID, equals: getuid())
            expect(process.seccompMode, equals: 0)
            #expect(!process.isInOtherNamespace)
            #expect(process.isAlive)
            try expect(process.memory().bytes(at: victim.alpha, count: 2), equals: [0x0f, 0x1f])
        }

        @Test func refusesWhatIsNoProcess() {
            expect(refusal(0), equals: .noSuchProcess(pid: 0))
            expect(refusal(-1), equals: .noSuchProcess(pid: -1))
            expect(refusal(Int32.max), equals: .noSuchProcess(pid: Int32.max))
            expect(refusal(getpid()), equals: .oneself(pid: getpid()))
        }

        @Test func refusesAThreadId() throws {
            let victim = try Victim("n")
            let thread = try #require(try TaskList(pid: victim.pid).scan().first { $0 != victim.pid })
            expect(refusal(thread), equals: .noSuchProcess(pid: thread))
        }

        @Test func refusesAZombie() throws {
            let pid = try spawn(["true"])
            waitFor("Z", pid)
            expect(refusal(pid), equals: .zombie(pid: pid, parent: getpid()))
            var status: Int32 = 0
            waitpid(pid, &status, 0)
            expect(refusal(pid), equals: .noSuchProcess(pid: pid))
        }

        @Test func noticesThatTheProcessHasVanished() throws {
            let pid = try spawn(["sleep", "100"])
            let process = try RemoteProcess.examine(pid: pid)
            kill(pid, SIGKILL)
            var status: Int32 = 0
            waitpid(pid, &status, 0)
            #expect(!process.isAlive)
            #expect(throws: RemoteRefusal.vanished(pid: pid)) {
                _ = try StoppedProcess(process, deadline: .after(milliseconds: 100)).resume()
            }
        }

        /// How it ended is known while it is a zombie; after that from the pidfd, where the kernel keeps it (6.15).
        @Test func knowsHowAProcessEnded() throws {
            let victim = try Victim("n")
            let process = try victim.process()
            let memory = try process.memory()
            expect(process.end(of: memory), equals: nil)
            kill(victim.pid, SIGTERM)
            waitFor("Z", victim.pid)
            expect(process.end(of: memory), equals: .killed(signal: SIGTERM))
            reap(victim.pid)
            let end = process.end(of: memory)
            #expect(end == .killed(signal: SIGTERM) || end == .unknown)
            expect(ProcessEnd(waitStatus: 7 << 8), equals: .exited(code: 7))
            expect(ProcessEnd(waitStatus: 0x80 | SIGSEGV), equals: .killed(signal: SIGSEGV))
        }

        @Test func refusesAStoppedProcess() throws {
            let victim = try Victim("n")
            kill(victim.pid, SIGSTOP)
            waitFor("T", victim.pid)
            expect(refusal(victim.pid), equals: .stopped(pid: victim.pid))
            kill(victim.pid, SIGCONT)
            #expect(victim.makesProgress())
        }

        @Test func refusesATracedProcess() throws {
            let victim = try Victim("n")
            let process = try victim.process()
            let child = Calls.fork()
            if child == 0 {
                let tracees = try? Tracees(process)
                try? tracees?.stopAll(deadline: .after(milliseconds: 20_000), longest: nil)
                while true { pause() }
            }
            waitFor("t", victim.pid)
            let tracerName = ProcText.trimmed(try ProcText.readString("/proc/\(child)/comm"))
            let expected = RemoteRefusal.alreadyTraced(pid: victim.pid, tracer: child, tracerName: tracerName)
            expect(refusal(victim.pid), equals: expected)
            kill(child, SIGKILL)
            var status: Int32 = 0
            waitpid(child, &status, 0)
            #expect(victim.makesProgress())
            expect(refusal(victim.pid), equals: nil)
        }

        /// Another patcher is waited for, as no debugger is: the tracer is this very program.
        @Test func waitsForAnotherPatcher() throws {
            let victim = try Victim("n")
            let process = try victim.process()
            let child = Calls.fork()
            if child == 0 {
                let tracees = try? Tracees(process)
                try? tracees?.stopAll(deadline: .after(milliseconds: 20_000), longest: nil)
                while true { pause() }
            }
            waitFor("t", victim.pid)
            let start = Deadline.now
            #expect(throws: RemoteRefusal.self) {
                try RemoteProcess.examine(pid: victim.pid, deadline: .after(milliseconds: 20))
            }
            let killer = try spawn(["sh", "-c", "sleep 0.2; kill -9 \(child)"])
            defer {
                reap(killer)
                reap(child)
            }
            _ = try RemoteProcess.examine(pid: victim.pid, deadline: .after(milliseconds: 20_000))
            #expect(Deadline.now - start >= 20_000_000)
            try HoldBudget().hold(process, deadline: .after(milliseconds: 20_000)) { _ in }
            #expect(victim.makesProgress())
        }

        static let kernelThreadIsVisible =
            ProcStat(parsing: (try? ProcText.readString("/proc/2/stat")) ?? "")?.isKernelThread == true

        @Test(.enabled(if: kernelThreadIsVisible, "no kernel thread is visible in this pid namespace"))
        func refusesAKernelThread() { expect(refusal(2), equals: .kernelThread(pid: 2)) }

        @Test func refusesASeccompFilter() throws {
            let source = """
                #include <linux/filter.h>
                #include <linux/seccomp.h>
                #include <sys/prctl.h>
                #include <unistd.h>
                int main() {
                    struct sock_filter f = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
                    struct sock_fprog p = {1, &f};
                    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
                    for (;;) pause();
                }
                """
            let file = try Workshop.directory + "/filtered"
            try StoppedProcessTests.write(source, to: file + ".c")
            try runTool(["cc", "-o", file, file + ".c"])
            let pid = try spawn([file])
            defer { kill(pid, SIGKILL) }
            for _ in 0..<1000 where refusal(pid) == nil { usleep(10_000) }
            expect(refusal(pid), equals: .seccomp(pid: pid, mode: 2))
            let process = try RemoteProcess.examine(pid: pid, allowSeccomp: true)
            #expect(process.hasNoNewPrivileges)
        }

        /// A thread gives up its rights: credentials belong to threads, and only libc's wrapper spreads them over a process.
        @Test(.enabled(if: geteuid() == 0, "needs root, to become another user"))
        func saysWhatIsMissingToTrace() throws {
            let victim = try Victim("n")
            let answer = Answer(pid: victim.pid)
            var thread = pthread_t()
            pthread_create(
                &thread, nil,
                { context in
                    let answer = Unmanaged<Answer>.fromOpaque(context!).takeUnretainedValue()
                    guard Calls.syscall(117, 65534, 65534, 65534) == 0 else { return nil }  // setresuid
                    do throws(RemoteRefusal) { _ = try RemoteProcess.examine(pid: answer.pid) } catch {
                        answer.refusal = error
                    }
                    return nil
                }, Unmanaged.passUnretained(answer).toOpaque())
            pthread_join(thread, nil)
            guard case .notPermitted(victim.pid, let hint)? = answer.refusal else {
                Issue.record("\(String(describing: answer.refusal))")
                return
            }
            expect(hint.targetUser, equals: 0)
            #expect("\(answer.refusal!)".contains("belongs to user 0"))
            #expect("\(answer.refusal!)".contains("CAP_SYS_PTRACE"))
        }

        private final class Answer {
            let pid: Int32
            var refusal: RemoteRefusal?
            init(pid: Int32) { self.pid = pid }
        }

        @Test func refuses32Bit() throws {
            // Without a library: gcc alone makes 32-bit code, its libraries come with gcc-multilib.
            let file = try Workshop.directory + "/small"
            let command =
                "echo 'void _start(void){for(;;);}' | cc -m32 -static -nostdlib -fno-pie -no-pie -x c -o \(file) -"
            try runTool(["sh", "-c", command])
            let pid = try spawn([file])
            defer { kill(pid, SIGKILL) }
            usleep(50_000)
            expect(refusal(pid), equals: .not64Bit(pid: pid))
        }

        @Test func everyDescriptionHasThreeParts() {
            let hint = RemoteRefusal.PermissionHint(
                code: EPERM, ownUser: 1000, targetUser: 0, yamaScope: 1, targetInOtherUserNamespace: false)
            let thread = RemoteRefusal.BlockingThread(
                tid: 1, name: "t", state: "D", waitChannel: "kernel_clone", systemCall: 58)
            let all: [RemoteRefusal] = [
                .noSuchProcess(pid: 1), .vanished(pid: 1), .oneself(pid: 1), .kernelThread(pid: 1),
                .zombie(pid: 1, parent: 2),
                .not64Bit(pid: 1), .otherArchitecture(pid: 1, machine: 183), .notELF(pid: 1),
                .alreadyTraced(pid: 1, tracer: 2, tracerName: "gdb"), .stopped(pid: 1), .frozen(pid: 1),
                .notPermitted(pid: 1, hint),
                .seccomp(pid: 1, mode: 2), .staticallyLinked(pid: 1), .unsupportedLibrary(pid: 1, name: "musl"),
                .noVectorState(pid: 1), .deadline(pid: 1, thread),
                .noThreadToBorrow(pid: 1, [.init(tid: 1, reason: "in malloc of libc")]),
                .noRoomForStub(pid: 1, needed: 1000), .outOfTime(pid: 1), .seccomp(pid: 1, mode: 1),
                .anotherPatcher(pid: 1), .stubInUse(pid: 1, thread: 2),
                .procUnreadable(pid: 1, path: "/proc/1/maps", code: EIO),
            ]
            for refusal in all { #expect("\(refusal)".components(". ") >= 3, "\(refusal)") }
        }

        @Test(
            arguments: [
                ("1 (a) S 2 3", nil), ("", nil),
                ("1 (a b) (c) S 2 0 0 0 0 4194304 0 0 0 0 0 0 0 0 20 0 1 0 777 9", "a b) (c"),
                (")(", nil), ("1 (x) S -1 0 0 0 0 -5 0 0 0 0 0 0 0 0 20 0 1 0 7 9", nil),
            ] as [(String, String?)])
        func parsesStat(text: String, name: String?) {
            let stat = ProcStat(parsing: text)
            expect(stat?.name, equals: name)
            if name != nil { expect(stat?.startTime, equals: 777) }
        }
    }
}

extension String {
    /// How many parts `separator` divides the text into.
    func components(_ separator: String) -> Int {
        var count = 1
        var rest = Substring(self)
        while let first = rest.firstIndex(of: separator.first!) {
            if rest[first...].hasPrefix(separator) { count += 1 }
            rest = rest[rest.index(after: first)...]
        }
        return count
    }
}
