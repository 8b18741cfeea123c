import CHotpatchLinux
import HotpatchExpectations
import Testing

@testable import HotpatchRemoteTarget

extension RemoteTargetTests {
    @Suite struct FrameVettingTests {
        struct Row: Sendable {
            var frames: [FrameKind]
            var isComplete = true
            var call: Int?
            var isSafe: Bool
            var line: Int

            init(
                _ frames: [FrameKind], complete: Bool = true, blocked: Bool = true, in call: Int32 = SYS_futex,
                safe: Bool, line: Int = #line
            ) {
                self.frames = frames
                isComplete = complete
                self.call = blocked ? Int(call) : nil
                isSafe = safe
                self.line = line
            }
        }

        static let start: [FrameKind] = [.libcUnnamed, .libcUnnamed]
        static let mainStart: [FrameKind] = [.libcUnnamed, .libc(["__libc_start_main"]), .user]
        static func named(_ name: String) -> FrameKind { .libc([name]) }

        static let rows: [Row] = [
            Row([named("read"), .user] + mainStart, safe: true),
            Row([named("read"), .user] + start, safe: true),
            Row([.libc(["__read", "read"]), .user, named("clone")], safe: true),
            // pthread_cond_wait's futex helper has no name.
            Row([.libcUnnamed, named("pthread_cond_wait"), .user] + start, safe: true),
            // A lock: lll_lock_wait has none either, but its caller is no wrapper.
            Row([.libcUnnamed, named("pthread_mutex_lock"), .user] + start, safe: false),
            Row([.libcUnnamed, .libcUnnamed, named("malloc"), .user] + start, safe: false),
            Row([.libcUnnamed, .user] + start, safe: false),
            // A wrapper that jumps to its helpers: then the call says what it was.
            Row([.libcUnnamed, .libcUnnamed, .user] + start, in: SYS_read, safe: true),
            Row([.libcUnnamed, named("_IO_file_underflow"), named("fgets"), .user] + start, in: SYS_read, safe: true),
            Row([.libcUnnamed, .libcUnnamed, .user] + start, in: SYS_mmap, safe: false),
            Row([.libcUnnamed, .libcUnnamed, named("getpwnam"), .user] + start, in: SYS_read, safe: false),
            Row([.libcUnnamed, .libcUnnamed, .loader, .user] + start, in: SYS_read, safe: false),
            Row([.libcUnnamed] + start, in: SYS_read, safe: false),
            Row([.libcUnnamed, .user] + start, blocked: false, safe: false),
            Row([named("mmap"), .libcUnnamed, named("malloc"), .user] + start, safe: false),
            Row([named("read"), named("malloc"), .user] + start, safe: false),
            Row([named("read"), .loader, .user] + start, safe: false),
            Row([named("read"), .user, .allocator("je_arena"), .user] + start, safe: false),
            Row([named("read"), named("_IO_file_underflow"), named("fgets"), .user] + mainStart, safe: true),
            Row([named("fgets"), .user] + mainStart, blocked: false, safe: false),
            Row([.user] + start, blocked: false, safe: true),
            Row([.user, .user] + mainStart, blocked: false, safe: true),
            Row([.user, named("qsort_r"), .user] + mainStart, blocked: false, safe: true),
            Row([.user, named("exit"), .libcUnnamed, named("__libc_start_main"), .user], blocked: false, safe: false),
            // A thread-specific destructor: three unnamed frames at the start, not two.
            Row([.user, .libcUnnamed] + start, blocked: false, safe: false),
            Row([.user, named("fork"), .user] + start, blocked: false, safe: false),
            Row([.user, .libcUnnamed, named("fork"), .user] + start, blocked: false, safe: false),
            Row([.libcUnnamed, .user] + start, blocked: false, safe: false),
            Row([named("read"), .user] + start, blocked: false, safe: false),
            Row([.nowhere, .user] + start, blocked: false, safe: false),
            // In a handler, which interrupted what follows.
            Row([named("read"), .user, .signalReturn, .user] + mainStart, safe: true),
            Row([.user, .signalReturn, named("select"), .user] + mainStart, blocked: false, safe: true),
            Row([named("read"), .user, .signalReturn, .libcUnnamed, named("read"), .user] + start, safe: true),
            Row([.user, .signalReturn, .user, .signalReturn, .user] + start, blocked: false, safe: true),
            Row([named("read"), .user, .signalReturn, named("malloc"), .user] + mainStart, safe: false),
            Row([named("read"), .user, .signalReturn, .libcUnnamed, named("malloc"), .user] + mainStart, safe: false),
            Row([named("read"), .user, .signalReturn, named("fgets"), .user] + mainStart, safe: false),
            Row([named("read"), .user, .signalReturn, .loader, .user] + mainStart, safe: false),
            Row(
                [.user, .signalReturn, .user, .signalReturn, named("free"), .user] + start, blocked: false, safe: false),
            Row([.user, .signalReturn, .nowhere, .user] + start, blocked: false, safe: false),
            Row([.user, .signalReturn] + start, blocked: false, safe: false),
            Row([named("read"), .user, .signalReturn, .user], complete: false, safe: false),
            Row([named("read"), named("sleep"), .user], complete: false, safe: false),
            Row([named("read"), .user], complete: false, safe: true),
            Row([named("read"), .user, .nowhere], complete: false, safe: true),
            Row([named("read")], complete: false, safe: false),
            Row([named("read"), .nowhere], complete: false, safe: false),
            Row([.user], complete: false, blocked: false, safe: false),
            Row([.user, .user], complete: false, safe: false),
            Row([], safe: false),
        ]

        @Test(arguments: rows) func decides(row: Row) {
            let objection = FrameVetting.objection(
                frames: row.frames, isComplete: row.isComplete, call: row.call)
            expect((objection == nil), equals: row.isSafe, "line \(row.line): \(objection ?? "allowed")")
        }

        /// Any function may be the allocator's: a thread must merely wait, and not for a lock.
        @Test(arguments: [
            Row([named("read"), .user] + start, in: SYS_read, safe: true),
            Row([named("read"), .user], complete: false, in: SYS_read, safe: true),
            Row([.libcUnnamed, named("clock_nanosleep"), .user] + start, in: SYS_restart_syscall, safe: true),
            Row([named("poll"), .user] + start, in: SYS_restart_syscall, safe: true),
            Row([.libcUnnamed, named("pthread_cond_wait"), .user] + start, safe: false),
            Row([named("syscall"), .user] + start, safe: false),
            Row([named("syscall"), .user] + start, in: SYS_restart_syscall, safe: false),
            Row([named("sched_yield"), .user] + start, in: SYS_sched_yield, safe: false),
            Row([.user] + start, blocked: false, safe: false),
            Row([named("read"), .user, .signalReturn, .user] + start, in: SYS_read, safe: false),
            Row([named("read"), .allocator("malloc"), .user] + start, in: SYS_read, safe: false),
        ]) func decidesWhereTheAllocatorIsNotLibc(row: Row) {
            let objection = FrameVetting.objection(
                frames: row.frames, isComplete: row.isComplete, call: row.call, hasOwnAllocator: true)
            expect((objection == nil), equals: row.isSafe, "line \(row.line): \(objection ?? "allowed")")
        }

        private func symbol(_ range: Range<UInt64>, _ name: StaticString) -> FrameMap.Symbol {
            .init(range: range, bytes: UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        }

        @Test func findsNamesByAddress() {
            let map = FrameMap(images: [
                .init(range: 0x5000..<0x6000, kind: .loader, name: "ld.so"),
                .init(
                    range: 0x1000..<0x2000, kind: .libc, name: "libc",
                    symbols: [
                        symbol(0x1100..<0x1120, "read"), symbol(0x1100..<0x1120, "__read"),
                        symbol(0x1040..<0x1050, "abs"),
                    ]),
                .init(
                    range: 0x3000..<0x4000, kind: .other, name: "main",
                    symbols: [symbol(0x3100..<0x3200, "malloc")]),
                .init(range: 0x7000..<0x8000, kind: .allocator, name: "libjemalloc.so.2"),
            ])
            expect(map.kind(at: 0x1100), equals: .libc(["read", "__read"]))
            expect(map.kind(at: 0x111f), equals: .libc(["read", "__read"]))
            expect(map.kind(at: 0x1120), equals: .libcUnnamed)
            expect(map.kind(at: 0x1000), equals: .libcUnnamed)
            expect(map.kind(at: 0x5000), equals: .loader)
            expect(map.kind(at: 0x3000), equals: .user)
            expect(map.kind(at: 0x31ff), equals: .allocator("malloc"))
            expect(map.kind(at: 0x7000), equals: .allocator("libjemalloc.so.2"))
            expect(map.kind(at: 0x6000), equals: .nowhere)
            expect(map.kind(at: 0), equals: .nowhere)
        }

        @Test func namesPathsUniquely() {
            let one = Agent.uniquePath(descriptor: 7, number: 5)
            #expect(one != Agent.uniquePath(descriptor: 7, number: 6))
            #expect(one.hasPrefix("/proc/self/fd/.//././/./"))
            #expect(one.hasSuffix("/7"))
        }
    }
}
