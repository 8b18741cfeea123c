import Glibc
import HotpatchExpectations
import HotpatchMemory
import HotpatchProcFS
import HotpatchSymbols
import HotpatchTestSupport
import Testing

@Suite struct ProcessMapTests {
    @Test func readsEveryFieldOfALine() throws {
        let map = try ProcessMap(
            parsing: """
                00400000-00452000 r-xp 00001000 08:1f 173521      /usr/bin/a path with spaces
                00651000-00652000 rw-s 00000000 00:00 0 
                7ffd0000-7ffd2000 ---p 00000000 00:00 0           [stack]
                7ffff000-80000000 r--p 00000000 00:01 9           /tmp/new\\012line (deleted)

                """, pid: 1)
        expect(map.regions.count, equals: 4)
        expect(
            map.regions[0],
            equals: Region(
                range: Address(0x400000)..<Address(0x452000), permissions: [.read, .execute], fileOffset: 0x1000,
                deviceMajor: 8, deviceMinor: 0x1F, inode: 173521, path: "/usr/bin/a path with spaces"))
        expect(map.regions[1].permissions, equals: [.read, .write, .shared])
        expect(map.regions[1].path, equals: "")
        expect(map.regions[2].permissions, equals: [])
        expect(map.regions[3].path, equals: "/tmp/new\nline (deleted)")
        expect(map.mappedFiles.map(\.path), equals: ["/tmp/new\nline (deleted)"])
    }

    @Test func findsRegionsAndGaps() throws {
        let map = try ProcessMap(
            parsing: "1000-2000 r--p 0 0:0 0\n2000-3000 r--p 0 0:0 0\n5000-6000 r--p 0 0:0 0", pid: 1)
        let rows: [(address: UInt64, start: UInt64?)] = [
            (0xFFF, nil), (0x1000, 0x1000), (0x1FFF, 0x1000), (0x2000, 0x2000), (0x3000, nil), (0x5FFF, 0x5000),
            (0x6000, nil),
        ]
        for row in rows {
            expect(map.region(containing: Address(row.address))?.range.lowerBound.rawValue, equals: row.start, "\(row)")
        }
        func gaps(_ low: UInt64, _ high: UInt64) -> [[UInt64]] {
            map.gaps(within: Address(low)..<Address(high)).map { [$0.lowerBound.rawValue, $0.upperBound.rawValue] }
        }
        expect(gaps(0, 0x8000), equals: [[0, 0x1000], [0x3000, 0x5000], [0x6000, 0x8000]])
        expect(gaps(0x1800, 0x4000), equals: [[0x3000, 0x4000]])
        expect(gaps(0x1000, 0x3000), equals: [])
        expect(gaps(0x7000, 0x7000), equals: [])
    }

    @Test(arguments: [
        "garbage", "1000", "1000-", "1000-2000", "1000-2000 r-xp", "1000-2000 r-xp 0", "1000-2000 r-xp 0 0:0",
        "1000-2000 r-xp 0 0:0 ", "2000-1000 r-xp 0 0:0 0", "1000-1000 r-xp 0 0:0 0", "1000-2000 rwzp 0 0:0 0",
        "1000-2000 r-xq 0 0:0 0", "11111111111111111-2 r-xp 0 0:0 0", "1000-2000 r-xp 0 100000000:0 0",
        "1000-2000 r-xp 0 0:0 99999999999999999999999", "1000-3000 r-xp 0 0:0 0\n2000-4000 r-xp 0 0:0 0",
        "2000-3000 r-xp 0 0:0 0\n1000-2000 r-xp 0 0:0 0", "\n", "1000-2000 r-x", "\u{0}\u{0}",
    ])
    func refusesWhatIsNoMap(_ text: String) {
        let error = symbolError { try ProcessMap(parsing: text, pid: 1) }
        expect(error.map(isMalformed), equals: true)
    }

    @Test func survivesRandomText() throws {
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        let model = Array(
            "00400000-00452000 r-xp 00001000 08:1f 173521  /usr/bin/a\n7000000-8000000 rw-p 0 0:0 0 [heap]\n".utf8)
        var accepted = 0
        for _ in 0..<20_000 {
            var text = model
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                text[Int.random(in: 0..<text.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if let map = try? ProcessMap(parsing: text, pid: 1) {
                accepted += 1
                #expect(map.regions.allSatisfy { $0.range.lowerBound < $0.range.upperBound }, "SEED=\(seed)")
            }
        }
        #expect(accepted > 0 && accepted < 20_000, "SEED=\(seed)")
    }

    @Test func readsThisProcess() throws {
        let map = try ProcessMap(pid: getpid())
        var local = 0
        let here = withUnsafePointer(to: &local) { Address(UnsafeRawPointer($0)) }
        expect(map.region(containing: here)?.permissions.contains([.read, .write]), equals: true)
    }

    @Test func namesAVanishedProcess() throws {
        var pid: pid_t = 0
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("true"), nil]
        expect(posix_spawnp(&pid, "true", nil, nil, &arguments, environ), equals: 0)
        waitpid(pid, nil, 0)
        guard case .unread(.noProcess(pid))? = symbolError({ try ProcessMap(pid: pid) }) else {
            Issue.record("not noProcess")
            return
        }
    }
}
