import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchReload

/// When files are reported, by a clock that the test sets.
@Suite struct FileWatcherBatchTests {
    private let empty: FileWatcherBatch = {
        var batch = FileWatcherBatch()
        (batch.quiet, batch.quietAfterRemoval, batch.longest) = (10, 50, 100)
        return batch
    }()

    private func taken(_ batch: inout FileWatcherBatch, at now: UInt64) -> [String] {
        batch.take(at: now).keys.sorted()
    }

    @Test func quiet() {
        var batch = empty
        expect(batch.deadline, equals: nil)
        batch.completed("a", at: 1000)
        expect(batch.deadline, equals: 1010)
        batch.completed("b", at: 1008)
        expect(batch.deadline, equals: 1018)
        expect(taken(&batch, at: 1017), equals: [])
        expect(taken(&batch, at: 1018), equals: ["a", "b"])
        expect(batch.deadline, equals: nil)
    }

    /// The first of a burst are taken at once, the others when it is quiet.
    @Test func firstAtOnce() {
        var batch = empty
        batch.takesFirstAtOnce = true
        #expect(batch.isSettled(at: 1) && batch.wake(at: 1) == nil)
        batch.completed("a", at: 1000)
        #expect(!batch.isSettled(at: 1000))
        expect(taken(&batch, at: 1000), equals: ["a"])
        #expect(!batch.isSettled(at: 1009) && batch.wake(at: 1009) == 1010)
        #expect(batch.isSettled(at: 1010) && batch.wake(at: 1010) == nil)
        batch.completed("b", at: 1009)
        #expect(taken(&batch, at: 1010) == [] && !batch.isSettled(at: 1018))
        batch.completed("c", at: 1012)
        #expect(batch.deadline == 1022 && taken(&batch, at: 1022) == ["b", "c"])
        #expect(batch.isSettled(at: 1022))
        // The next burst.
        batch.writing("d", at: 1100)
        batch.completed("a", at: 1100)
        expect(taken(&batch, at: 1100), equals: [])
        batch.completed("d", at: 1101)
        expect(taken(&batch, at: 1101), equals: ["a", "d"])
        // What has gone may come back.
        batch.removed("a", at: 1200)
        #expect(taken(&batch, at: 1200) == [] && batch.deadline == 1250)
        batch.completed("a", at: 1201)
        expect(taken(&batch, at: 1201), equals: ["a"])
    }

    /// What never gets quiet is settled all the same, after a while, and not the first of a burst again and again.
    @Test func firstAtOnceInAStream() {
        var batch = empty
        batch.takesFirstAtOnce = true
        var all: [UInt64] = []
        for time in stride(from: UInt64(1000), to: 1400, by: 5) {
            batch.completed("a", at: time)
            if !batch.take(at: time).isEmpty { all.append(time) }
            expect(batch.isSettled(at: time), equals: (time >= 1100), "\(time)")
        }
        expect(all, equals: [1000, 1105, 1210, 1315])
    }

    @Test func bound() {
        var batch = empty
        for time in stride(from: UInt64(1000), to: 1200, by: 9) { batch.completed("a", at: time) }
        expect(batch.deadline, equals: 1100)
        expect(taken(&batch, at: 1200), equals: ["a"])
        batch.completed("a", at: 1201)
        expect(batch.deadline, equals: 1211)
    }

    /// A file that has gone may be about to come back.
    @Test func removal() {
        var batch = empty
        batch.removed("a", at: 1000)
        expect(batch.deadline, equals: 1050)
        batch.completed("a", at: 1020)
        expect(batch.deadline, equals: 1030)
        batch.removed("b", at: 1025)
        expect(taken(&batch, at: 1030), equals: [])
        expect(taken(&batch, at: 1075), equals: ["a", "b"])
    }

    /// A file that is being written holds up those saved with it, if it is one of them, but not for ever.
    @Test func writer() {
        var batch = empty
        batch.writing("new", at: 999)
        expect(batch.deadline, equals: nil)
        batch.completed("a", at: 1000)
        batch.completed("b", at: 1000)
        expect(batch.deadline, equals: 1010)
        batch.writing("b", at: 1005)
        expect(batch.deadline, equals: 1100)
        expect(taken(&batch, at: 1100), equals: ["a"])
        batch.completed("b", at: 1300)
        expect(taken(&batch, at: 1310), equals: ["b"])
        batch.completed("b", at: 1400)
        batch.writing("b", at: 1401)
        batch.completed("b", at: 1402)
        expect(batch.deadline, equals: 1412)
    }

    @Test func forgotten() {
        var batch = empty
        batch.removed("a", at: 1000)
        batch.completed("b", at: 1000)
        batch.forget("a")
        #expect(!batch.isPending("a") && batch.isPending("b"))
        expect(batch.deadline, equals: 1010)
        batch.forget("b")
        expect(batch.deadline, equals: nil)
    }

    @Test func suspicion() {
        var batch = empty
        batch.completed("a", .possible, at: 1)
        batch.completed("b", .possible, at: 1)
        batch.completed("b", .certain, at: 1)
        batch.completed("b", .possible, at: 1)
        let taken = batch.take(at: 100)
        expect(taken, equals: ["a": .possible, "b": .certain])
    }

    @Test func rules() {
        let left = [
            "4913", "5036", ".Routes.swift.swp", "Routes.swift~", ".#Routes.swift", "#Routes.swift#",
            "a.swift___jb_tmp___",
            "a.swift___jb_old___", "a.tmp", ".goutputstream-1PZX01", "a.swp", "",
        ]
        for name in left { #expect(FileWatcherRules.ignoresFile(name), "\(name)") }
        for name in ["Routes.swift", "a#b.c", "4913.swift", "tmp"] {
            #expect(!FileWatcherRules.ignoresFile(name), "\(name)")
        }
        for name in [".build", ".build-arm64", ".git", "DerivedData", "node_modules"] {
            #expect(FileWatcherRules.ignoresFolder(name), "\(name)")
        }
        for name in ["Sources", "build.d"] { #expect(!FileWatcherRules.ignoresFolder(name), "\(name)") }
        for path in ["/a/b.swift", "b.cpp", "/a.d/b.S", "x.h"] { #expect(FileWatcher.isSource(path), "\(path)") }
        for path in ["/a.swift/b", ".swift", "/a/.h", "x.o", "x"] { #expect(!FileWatcher.isSource(path), "\(path)") }
    }

    /// What the kernel writes, and what it never would.
    @Test func parsing() {
        let event: [UInt8] = [1, 0, 0, 0, 8, 0, 0, 0x40, 0, 0, 0, 0, 4, 0, 0, 0, 0x61, 0x62, 0, 0]
        let nameless: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        let events = Inotify.parse((event + nameless)[...])
        expect(
            events,
            equals: [
                Inotify.Event(watch: 1, mask: 0x4000_0008, name: "ab"),
                Inotify.Event(watch: -1, mask: 0x4000, name: ""),
            ])
        #expect(events[0].has(IN_CLOSE_WRITE) && events[0].has(IN_ISDIR) && events[1].has(IN_Q_OVERFLOW))
        for count in event.indices { #expect(Inotify.parse(event[..<count]).isEmpty) }
        #expect(Inotify.parse(event[..<12] + [0xff, 0xff, 0xff, 0xff]).isEmpty)
    }
}
