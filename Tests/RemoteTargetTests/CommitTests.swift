import CPatchCore
import Glibc
import HotpatchExpectations
import HotpatchMemory
import HotpatchProcFS
import HotpatchRemoteSupport
import Testing

@testable import HotpatchRemoteTarget

extension RemoteTargetTests {
    @Suite struct CommitTests {
        static let nop5: [UInt8] = [0x0f, 0x1f, 0x44, 0x00, 0x00]

        static func write(_ address: Address, from old: [UInt8]?, to new: [UInt8], kind: hp_write_kind = HP_WRITE_TEXT)
            -> hp_write
        {
            Victim.write(address, from: old, to: new, kind: kind)
        }

        static func jump(from: Address, to: Address) -> [UInt8] {
            [0xe9] + withUnsafeBytes(of: Int32(to - (from + 5))) { Array($0) }
        }

        static func commit(
            _ victim: Victim, _ writes: [hp_write], moves: [hp_pc_move] = [], hazards: [hp_hazard] = [],
            copies: [hp_copy_item] = [], maximumPause: UInt64? = nil, delay: UInt32 = 0
        ) throws -> CommitReport {
            try victim.commit(
                writes, moves: moves, hazards: hazards, copies: copies, maximumPause: maximumPause, delay: delay)
        }

        @Test func writesADetourAndTakesItBack() throws {
            let victim = try Victim("aa")
            let memory = try victim.process().memory()
            let detour = Self.jump(from: victim.alpha, to: victim.beta)
            for _ in 0..<30 {
                // A thread just behind the nop is not inside; one that stands on it starts anew.
                let report = try Self.commit(victim, [Self.write(victim.alpha, from: Self.nop5, to: detour)])
                expect(report.writes, equals: 1)
                expect(report.pokedWrites, equals: 0)
                #expect(victim.makesProgress())
                expect(victim.shared.value, equals: 2)
                _ = try Self.commit(victim, [Self.write(victim.alpha, from: detour, to: Self.nop5)])
                #expect(victim.makesProgress())
                expect(victim.shared.value, equals: 1)
            }
            try expect(memory.bytes(at: victim.alpha, count: 5), equals: Self.nop5)
        }

        /// Where /proc/PID/mem may not be written, ptrace writes word by word; bytes beside the change stay.
        @Test func pokesWhereMemoryFilesMayNotWrite() throws {
            let victim = try Victim("a")
            let process = try victim.process()
            let memory = try ProcMemory(path: "/proc/\(victim.pid)/mem", writable: false)
            let around = try memory.bytes(at: victim.alpha - 16, count: 48)
            let detour = Self.jump(from: victim.alpha, to: victim.beta)
            var write = Self.write(victim.alpha, from: Self.nop5, to: detour)
            let report = try withUnsafeMutablePointer(to: &write) { write in
                var block = hp_commit_block()
                block.writes = write
                block.write_count = 1
                let stopped = try StoppedProcess(process, deadline: .after(milliseconds: 20_000))
                return try stopped.commit(&block, memory: memory)
            }
            expect(report.pokedWrites, equals: 1)
            var expected = around
            expected.replaceSubrange(16..<21, with: detour)
            try expect(memory.bytes(at: victim.alpha - 16, count: 48), equals: expected)
            #expect(victim.makesProgress())
            expect(victim.shared.value, equals: 2)
        }

        @Test func refusesUnexpectedBytes() throws {
            let victim = try Victim("a")
            let memory = try victim.process().memory()
            let writes = [
                Self.write(victim.beta, from: nil, to: [0x90]),
                Self.write(victim.alpha, from: [1, 2, 3, 4, 5], to: Self.jump(from: victim.alpha, to: victim.beta)),
            ]
            let before = try memory.bytes(at: victim.beta, count: 5)
            #expect(throws: CommitError.mismatch(address: victim.alpha, expected: [1, 2, 3, 4, 5], found: Self.nop5)) {
                try Self.commit(victim, writes)
            }
            try expect(memory.bytes(at: victim.beta, count: 5), equals: before)
            try expect(memory.bytes(at: victim.alpha, count: 5), equals: Self.nop5)
            #expect(victim.makesProgress())
        }

        @Test func refusesToCrossAPage() throws {
            let victim = try Victim("a")
            #expect(throws: CommitError.crossesPage(address: victim.atPageEnd, length: 5)) {
                try Self.commit(victim, [Self.write(victim.atPageEnd, from: Self.nop5, to: [0xe9, 0, 0, 0, 0])])
            }
        }

        @Test func refusesInvalidLengths() throws {
            let victim = try Victim("a")
            var write = Self.write(victim.alpha, from: nil, to: [0x90])
            write.length = 0
            #expect(throws: CommitError.invalidWrite(address: victim.alpha, length: 0)) {
                try Self.commit(victim, [write])
            }
        }

        /// A thread in a signal handler returns to the PC in its signal frame, which no register shows.
        @Test func findsAPCHiddenInASignalFrame() throws {
            let victim = try Victim("h")
            let thread = try #require(try TaskList(pid: victim.pid).scan().first { $0 != victim.pid })
            Calls.tgkill(victim.pid, thread, SIGUSR1)
            try victim.awaitHandler()
            expect(victim.shared.inHandler, equals: Int(SIGUSR1))
            let hazard = hp_hazard(start: victim.spin.rawValue + 1, end: victim.spin.rawValue + 3)
            let error = #expect(throws: CommitError.self) {
                try Self.commit(victim, [Self.write(victim.spin, from: nil, to: [0x90])], hazards: [hazard])
            }
            guard case .busy(thread, let address, let foundAt)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            expect(address, equals: victim.spin + 1)
            #expect(foundAt != nil)
            expect(error?.isRetryable, equals: true)
        }

        /// What merely looks like a PC, dead words of a frame, keeps nobody from patching.
        @Test func ignoresDeadWords() throws {
            let victim = try Victim("l")
            try victim.await { victim.shared.rounds(1) == 1 }
            let hazard = hp_hazard(start: victim.spin.rawValue + 1, end: victim.spin.rawValue + 3)
            let report = try Self.commit(victim, [Self.write(victim.spin, from: nil, to: [0x90])], hazards: [hazard])
            #expect(report.scannedBytes >= 4096)
        }

        /// A thread inside the prologue goes on in the copy.
        @Test func movesPCs() throws {
            let victim = try Victim("h")
            // The copy of `jmp .` is at beta: the thread is found there afterwards.
            let move = hp_pc_move(from: victim.spin.rawValue + 1, to: victim.beta.rawValue)
            let hazard = hp_hazard(start: victim.spin.rawValue + 1, end: victim.spin.rawValue + 3)
            let report = try Self.commit(
                victim,
                [
                    Self.write(victim.beta, from: nil, to: [0xeb, 0xfe]),
                    Self.write(victim.spin, from: nil, to: [0x90, 0xcc, 0xcc]),
                ], moves: [move], hazards: [hazard])
            expect(report.movedThreads, equals: 1)
            let stopped = try StoppedProcess(try victim.process(), deadline: .after(milliseconds: 20_000))
            #expect(stopped.threads.contains { $0.pc == victim.beta })
            _ = stopped.resume()
            #expect(victim.isAlive)
        }

        /// Nothing is written, neither where a write fails nor where the copy cannot be laid down: so the thread goes on where it was.
        @Test func putsPCsBack() throws {
            let victim = try Victim("h")
            let inside = victim.spin + 1
            func mustFail(_ writes: [hp_write], copies: [hp_copy_item] = [], copy: UInt64) throws {
                let move = hp_pc_move(from: inside.rawValue, to: copy)
                let error = #expect(throws: CommitError.self) {
                    try Self.commit(victim, writes, moves: [move], copies: copies)
                }
                guard case .rolledBack? = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                let stopped = try StoppedProcess(try victim.process(), deadline: .after(milliseconds: 20_000))
                #expect(stopped.threads.contains { $0.pc == inside })
                _ = stopped.resume()
                #expect(victim.isAlive)
            }
            try mustFail([Self.write(victim.sealed, from: nil, to: [0x90])], copy: victim.beta.rawValue)
            let nowhere: UInt64 = 1 << 40
            try [UInt8](repeating: 0x90, count: 4).withUnsafeBufferPointer { bytes in
                let copy = hp_copy_item(
                    address: nowhere, bytes: bytes.baseAddress, length: bytes.count,
                    kind: UInt32(HP_WRITE_TEXT.rawValue))
                try mustFail([], copies: [copy], copy: nowhere)
            }
        }

        @Test func refusesAPCWithoutACopy() throws {
            let victim = try Victim("h")
            let hazard = hp_hazard(start: victim.spin.rawValue + 1, end: victim.spin.rawValue + 3)
            let error = #expect(throws: CommitError.self) {
                try Self.commit(victim, [Self.write(victim.spin, from: nil, to: [0x90])], hazards: [hazard])
            }
            guard case .busy(_, victim.spin + 1, nil)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }

        /// The last write fails, into memory that nobody can write: all others are undone.
        @Test func rollsBack() throws {
            let victim = try Victim("a")
            let process = try victim.process()
            let good = try process.memory()
            let detour = Self.jump(from: victim.alpha, to: victim.beta)
            var writes = [
                Self.write(victim.alpha, from: Self.nop5, to: detour),
                Self.write(victim.sealed, from: nil, to: [0x90]),
            ]
            try writes.withUnsafeMutableBufferPointer { writes in
                var block = hp_commit_block()
                block.writes = writes.baseAddress
                block.write_count = writes.count
                let stopped = try StoppedProcess(process, deadline: .after(milliseconds: 20_000))
                let error = #expect(throws: CommitError.self) { _ = try stopped.commit(&block, memory: good) }
                guard case .rolledBack? = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                expect(error?.outcome, equals: .rolledBack)
                _ = stopped.resume()
            }
            try expect(good.bytes(at: victim.alpha, count: 5), equals: Self.nop5)
            #expect(victim.makesProgress())
            expect(victim.shared.value, equals: 1)
        }

        @Test func givesUpAfterTheMaximumPause() throws {
            let victim = try Victim("a")
            let error = #expect(throws: CommitError.self) {
                try Self.commit(
                    victim, [Self.write(victim.alpha, from: Self.nop5, to: [0x90])], maximumPause: 500_000_000,
                    delay: 600_000)
            }
            // Long enough that the thread stops in it on a busy machine, too.
            guard case .pauseExceeded(_, 500_000_000)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            try expect(victim.process().memory().bytes(at: victim.alpha, count: 5), equals: Self.nop5)
        }
    }
}
