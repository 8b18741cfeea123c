import Glibc
import HotpatchExpectations
import HotpatchProcFS
import HotpatchTestSupport
import Testing

@Suite struct ProcFilesTests {
    @Test func readsWholeOrNothing() throws {
        let path = "/proc/self/status"
        let whole = try ProcText.read(path)
        #expect(whole.starts(with: Array("Name:".utf8)))
        try expect(ProcText.prefix(of: path, count: 5), equals: Array("Name:".utf8))
        #expect(throws: Errno(EFBIG)) { try ProcText.read(path, limit: 100) }
        #expect(throws: Errno(ENOENT)) { try ProcText.read("/proc/self/nothing") }
        #expect(throws: Errno(ENOENT)) { try ProcText.readLink("/proc/self/nothing") }
    }

    /// Field by field, as proc_pid_stat(5) counts them: the third is the state, the 22nd the start, the 52nd how it has ended.
    @Test func countsTheFieldsOfStat() throws {
        let fields = (3...52).map { $0 == 3 ? "Z" : "\($0 * 100)" }
        let stat = try #require(ProcStat(parsing: "7 (a) b) \(fields.joined(separator: " "))\n"))
        #expect(stat.name == "a) b" && stat.state == "Z" && stat.parent == 400 && stat.flags == 900)
        #expect(stat.startTime == 2200 && stat.exitStatus == 5200)
        // Before Linux 3.5 there was none.
        let short = ProcStat(parsing: "7 (a) \(fields.prefix(42).joined(separator: " "))")
        #expect(short != nil && short?.exitStatus == nil)
        expect(ProcStat.state(in: Array("7 (a) b) Z 1".utf8)), equals: UInt8(ascii: "Z"))
        #expect(ProcStat.state(in: Array("7 (a".utf8)) == nil && ProcStat.state(in: Array("7 (a)".utf8)) == nil)
    }

    @Test func readsMasksAndWords() {
        let status = ProcStatus(
            parsing:
                "Name:\ta: b\nSigBlk:\t8000000000010000\nNSpid:\t42\t7\nx86_Thread_features:\tshstk wrss \nTracerPid:\t0\n"
        )
        #expect(status.mask("SigBlk") == 0x8000_0000_0001_0000 && status.mask("SigCgt") == nil)
        #expect(status.words("NSpid") == ["42", "7"] && status.number("TracerPid") == 0)
        #expect(status.text("Name") == "a: b" && status.hasShadowStack)
        #expect(!ProcStatus(parsing: "x86_Thread_features:\twrss\n").hasShadowStack)
    }

    @Test func knowsThisProcess() throws {
        expect(ProcStat.ownID(), equals: getpid())
        let own = getpid()
        #expect(try TaskList(pid: getpid()).scan().contains(own))
        let state = try #require(TaskState(pid: getpid(), thread: own))
        #expect("RSD".contains(state.letter) && state.description.hasPrefix("\"\(state.name)\" is "))
        // No thread has this number (pid_max, proc_sys_kernel(5)).
        #expect(TaskState(pid: getpid(), thread: .max) == nil && TaskGlance.state(pid: getpid(), tid: .max) == nil)
        expect(KnownTask(pid: getpid(), callingItself: own)?.isThere, equals: true)
    }
}
