import HotpatchEngine
import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols
import HotpatchTestSupport
import Testing

@testable import HotpatchEngine

/// What no ledger, no record, or a wrong one is taken for.
@Suite struct LedgerDamageTests {
    /// What a newer minor version has recorded is skipped, and said; only damage has kinds that nobody knows.
    @Test func recordsOfANewerMinorVersionAreSkipped() throws {
        let known = LedgerEncoder([
            .segment(LedgerSample.pool), .site(LedgerSample.site(1)),
            .patch(LedgerSample.patch(1, .applied, sites: [1])),
        ]).bytes
        let unknown =
            LedgerSample.record(99, [1, 2, 3])
            + LedgerSample.record(99 | LedgerCoding.changes, [UInt8](repeating: 7, count: 24))
        let (map, memory) = try LedgerSample.ledger(body: unknown + known, version: (Ledger.major, Ledger.minor + 1))
        let state = try LedgerState(of: map, memory: memory)
        #expect(state.unknownRecords == 2 && state.patches.map(\.record.id) == [1])
        #expect(!state.isDueForNewEdition)
        // Its other word changes, too, and a byte of it is damage.
        var damaged = memory
        damaged.contents[Ledger.headerSize + LedgerCoding.headerSize] ^= 1
        #expect(throws: LedgerError.self) { try LedgerState(of: map, memory: damaged) }
        let (old, contents) = try LedgerSample.ledger(body: unknown + known)
        #expect(throws: LedgerError.self) { try LedgerState(of: old, memory: contents) }
        for major in [Ledger.major + 1, 1, 0] {
            let (map, memory) = try LedgerSample.ledger(body: known, version: (major, 0))
            #expect(throws: LedgerError.version(UInt32(major))) { try LedgerState(of: map, memory: memory) }
        }
    }

    /// Made by the version before, in a process whose function was replaced three times; the second patch was reverted.
    @Test func aLedgerOfVersion2IsRead() throws {
        let contents = version2.split(whereSeparator: \.isWhitespace).joined()
        let digits = Array(contents.utf8)
        let bytes = stride(from: 0, to: digits.count, by: 2).map {
            UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)!
        }
        let padded = bytes + [UInt8](repeating: 0, count: (1 << 20) - bytes.count)
        let region = Region(
            range: LedgerSample.base..<LedgerSample.base + padded.count, permissions: [.read, .write], inode: 7,
            path: "/memfd:hotpatch-ledger (deleted)")
        let state = try LedgerState(
            of: LedgerSample.map([region]), memory: BytesMemory(base: LedgerSample.base, contents: padded))
        expect(state.patches.map(\.record.state), equals: [.applied, .reverted, .applied])
        expect(
            state.patches.map(\.record.source), equals: ["/tmp/shop/one.so", "/tmp/shop/two.so", "/tmp/shop/three.so"])
        expect(state.patches[0].record.digest, equals: "5f68fe5aa1944a44a8f8823fb28ec4bda04ef202")
        #expect(state.patches[2].record.members[0].replacementName == "price" && state.patches[0].record.handle != 0)
        expect(
            state.pools, equals: [SegmentRecord(address: Address(0x5593_4c10_7000), codeSize: 65536, dataSize: 16384)])
        let site = try #require(state.sites.first)
        #expect(site.name == "price" && site.imagePath == "/tmp/shop/shop" && site.entry == Address(0x5593_4c11_d269))
        #expect(site.original == [0x8d, 0x04, 0xbf, 0x01, 0xc0] && site.moved.count == 3)
        #expect(state.layer(of: 1)?.patch == 3 && state.layer(of: 1) { $0.patch < 3 }?.patch == 1)
        // The next patch makes version 3 of it, in which all is the same.
        #expect(state.isDueForNewEdition && state.layout.generation == 4)
        let (next, memory) = try LedgerSample.ledger(state.lasting(with: []))
        let later = try LedgerState(of: next, memory: memory)
        #expect(later.sites == state.sites && later.pools == state.pools && !later.isDueForNewEdition)
        expect(later.patches.map(\.record), equals: state.patches.map(\.record))
        // Whatever stands in a ledger of before, reading it answers or throws.
        var random = SeededGenerator(seed: testSeed())
        for _ in 0..<1000 {
            var copy = padded
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                copy[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = try? LedgerState(
                of: LedgerSample.map([region]), memory: BytesMemory(base: LedgerSample.base, contents: copy))
        }
    }

    @Test func aProcessWithoutLedgerHasNoPatches() throws {
        let empty = try LedgerState(
            of: LedgerSample.map([]), memory: BytesMemory(base: LedgerSample.base, contents: []))
        #expect(empty.patches.isEmpty && empty.nextPatch == 1 && empty.layout.generation == 0)
    }

    @Test func anUncommittedLedgerHasNoPatches() throws {
        let region = Region(
            range: LedgerSample.base..<LedgerSample.base + 4096, permissions: [.read, .write], inode: 7,
            path: "/memfd:hotpatch-ledger (deleted)")
        let zeros = BytesMemory(base: LedgerSample.base, contents: [UInt8](repeating: 0, count: 4096))
        #expect(try LedgerState(of: LedgerSample.map([region]), memory: zeros).patches.isEmpty)
    }

    @Test func aPatchOfAMissingSiteIsDamage() throws {
        let (map, memory) = try LedgerSample.ledger([
            .patch(LedgerSample.patch(1, .applied, sites: [9], replacement: 1))
        ])
        #expect(throws: LedgerError.self) { try LedgerState(of: map, memory: memory) }
    }

    /// The next patch has the next number: the last there is would end the patcher.
    @Test func numbersThatCannotBeCountedUpAreDamage() throws {
        for records in [
            [LedgerRecord.patch(LedgerSample.patch(.max, .applied, sites: []))],
            [.patch(LedgerSample.patch(UInt32(1) << 31, .applied, sites: []))],
        ] {
            let (map, memory) = try LedgerSample.ledger(records)
            #expect(throws: LedgerError.self) { try LedgerState(of: map, memory: memory) }
        }
        let (map, memory) = try LedgerSample.ledger([], generation: .max)
        #expect(throws: LedgerError.self) { try LedgerState(of: map, memory: memory) }
    }

    @Test func aLedgerOfManyGigabytesIsNotRead() throws {
        let size = 1 << 40
        let bytes =
            Ledger.header(segment: 0, edition: 0, size: size, used: size - Ledger.headerSize)
            + [UInt8](repeating: 0, count: 16)
        let region = Region(
            range: LedgerSample.base..<LedgerSample.base + size, permissions: [.read, .write], inode: 7,
            path: "/memfd:hotpatch-ledger (deleted)")
        #expect(throws: LedgerError.self) {
            try LedgerState(
                of: LedgerSample.map([region]), memory: BytesMemory(base: LedgerSample.base, contents: bytes))
        }
    }

    /// A ledger is another process's memory: whatever stands there, reading it throws or answers, and never traps.
    @Test(arguments: [false, true]) func hostileBytesNeverTrap(isMended: Bool) throws {
        let stores = [PatchRecord.Store(location: 1, bytes: [UInt8](repeating: 1, count: 8))]
        var constants = LedgerSample.linked
        (constants.owner, constants.codeSize) = (8, 0)
        let body = LedgerEncoder([
            .segment(LedgerSample.pool), .segment(LedgerSample.linked), .site(LedgerSample.site(1)),
            .site(LedgerSample.site(2, at: 0x402000)), .thunk(LedgerSample.thunk),
            .data(LedgerSample.word(1)), .disposal(LedgerSample.disposal), .segment(constants), .segment(constants),
            .disposal(DisposalRecord(owner: 8, isDisposedOf: true, disposal: Disposal())),
            .identity(LedgerSample.identity),
            .patch(LedgerSample.patch(1, .applied, sites: [1, 2], replacement: 0x1000, stores: stores)),
        ]).bytes
        let (map, memory) = try LedgerSample.ledger(body: body)
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        var damaged = 0
        for _ in 0..<3000 {
            var copy = memory
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let position = Int.random(in: isMended ? 64..<64 + body.count : 0..<64 + body.count, using: &random)
                copy.contents[position] = UInt8.random(in: 0...255, using: &random)
            }
            if isMended { mend(&copy.contents, body: 64..<64 + body.count) }
            do {
                let state = try LedgerState(of: map, memory: copy)
                // What is done with it does not trap either.
                _ = LedgerEncoder(state.lasting(with: []))
                _ = state.deadCode
                for pool in state.pools { _ = state.end(of: pool) }
                for site in state.sites { _ = (state.isJump(site.original, of: site), state.layer(of: site.id)) }
                for patch in state.patches { for store in patch.record.stores { _ = state.data(store.location).range } }
                var plan = PatchPlan(architecture: .x86_64)
                for site in state.sites { plan.redirect(site, to: Address(0x6000), from: site.original) }
            } catch { damaged += 1 }
        }
        #expect(damaged > 500 && damaged < 3000, "\(damaged), seed \(seed)")
    }

    /// Gives the records of a ledger the checksums that fit what stands there, as far as their lengths tell where they are.
    private func mend(_ contents: inout [UInt8], body: Range<Int>) {
        var position = body.lowerBound
        while body.upperBound - position >= LedgerCoding.headerSize {
            let length = contents[position..<position + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
            let kind = contents[position + 4..<position + 8].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            guard length >= LedgerCoding.headerSize, length <= body.upperBound - position else { return }
            let payload = contents[position + LedgerCoding.headerSize..<position + length]
            let summed = kind & LedgerCoding.changes == 0 ? payload : payload.dropFirst(8)
            let sum = LedgerCoding.checksum(kind: kind, payload: summed)
            withUnsafeBytes(of: sum.littleEndian) { contents.replaceSubrange(position + 8..<position + 16, with: $0) }
            position += length
        }
    }
}

private let version2 = """
    484f5450415443480200000040000000000000000000000000001000000000000400000000000000b0020000000000000000000000000000
    00000000000000003000000001000000000000000000000064479d3a1904e4280070104c9355000000000100000000000040000000000000
    a00000000200000000000000000000006c58dcc341d5892f010000003e00000069d2114c9355000069d2114c935500000070104c93550000
    1270104c935500000870104c935500000070114c93550000050000008d04bf01c005000000e9929dfeff0300000000000000080000000300
    00000b000000050000000d0000000500000070726963650e0000002f746d702f73686f702f73686f7000000000000000a000000003000000
    020000000000000046c02dcfc952b3fc0100000001000000ed77000000000000f2d2e42c16afec18300c0078f17f00000000000000000000
    100000002f746d702f73686f702f6f6e652e736f280000003566363866653561613139343461343461386638383233666232386563346264
    61303465663230320100000001000000f940be7ff17f000005000000707269636500000000000000a0000000030000000400000000000000
    9f9509ac30f50a120200000001000000fb770000000000006a897f5e16afec18801c0078f17f00000000000000000000100000002f746d70
    2f73686f702f74776f2e736f2800000038326239333534613966626531323138636266383364666139383432333033646331343334393930
    0100000001000000f9501f7ff17f000005000000707269636500000000000000a0000000030000000200000000000000b35d0effaa7bcbfb
    03000000010000001178000000000000fe4bbabb16afec18b02c0078f17f00000000000000000000120000002f746d702f73686f702f7468
    7265652e736f2800000063346531636636666435653861356331363033646430353633653061303935323133323332653031010000000100
    0000f9001f7ff17f00000500000070726963650000000000
    """
