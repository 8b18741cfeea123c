import HotpatchEngine
import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols
import HotpatchTestSupport
import Testing

@testable import HotpatchEngine

/// A process made of bytes: the engine's computing half against it, no effects.
private func map(_ regions: [Region]) throws -> ProcessMap {
    let lines = regions.map { region in
        let hex = { (value: UInt64) in String(value, radix: 16) }
        let permissions =
            (region.permissions.contains(.read) ? "r" : "-") + (region.permissions.contains(.write) ? "w" : "-")
            + (region.permissions.contains(.execute) ? "x" : "-") + "p"
        return "\(hex(region.range.lowerBound.rawValue))-\(hex(region.range.upperBound.rawValue)) \(permissions) "
            + "00000000 00:01 \(region.inode)   \(region.path)\n"
    }
    return try ProcessMap(parsing: lines.joined(), pid: 1)
}

private let base = Address(0x7f00_0000_0000)

private func ledger(_ records: [LedgerRecord], generation: UInt64 = 1) throws -> (ProcessMap, BytesMemory) {
    let size = 1 << 16
    let body = records.flatMap { $0.encoded() }
    var bytes = Ledger.header(segment: 0, edition: 0, size: size, generation: generation, used: body.count)
    bytes += [UInt8](repeating: 0, count: Ledger.headerSize - bytes.count) + body
    bytes += [UInt8](repeating: 0, count: size - bytes.count)
    let region = Region(
        range: base..<base + size, permissions: [.read, .write], inode: 7, path: "/memfd:hotpatch-ledger (deleted)")
    return (try map([region]), BytesMemory(base: base, contents: bytes))
}

private let pool = PoolRecord(address: Address(0x5000_0000), textSize: 65536, dataSize: 16384)

private let thunk = ThunkRecord(
    range: Address(0x5000_0040)..<Address(0x5000_01b0), replacement: Address(0x6000), contextSize: 48)

private func site(_ id: UInt32, at entry: UInt64 = 0x401000) -> SiteRecord {
    SiteRecord(
        id: id, machine: 62, entry: Address(entry), patchAddress: Address(entry),
        original: [0x55, 0x48, 0x89, 0xe5, 0x90],
        detour: [0xe9, 1, 2, 3, 4], stub: Address(0x5000_0000)..<Address(0x5000_0020),
        originalAddress: Address(0x5000_0006), slot: Address(0x5001_0000),
        moved: [.init(entryOffset: 0, stubOffset: 6), .init(entryOffset: 1, stubOffset: 7)],
        name: "$s4Shop5price2ofSiSS_tF", imagePath: "/opt/shop", buildID: [1, 2, 3])
}

private func patch(_ id: UInt32, _ state: PatchRecord.State, sites: [UInt32], replacement: UInt64) -> PatchRecord {
    PatchRecord(
        id: id, state: state, origin: .init(fromOutside: true, pid: 42, uid: 1000), time: 1_700_000_000_000_000_000,
        source: "/tmp/fix.so", digest: "abcd", handle: 0x1234, onRevert: Address(9),
        members: sites.map { .init(site: $0, replacement: Address(replacement), replacementName: "new_price") })
}

@Suite struct LedgerTests {
    @Test(arguments: [
        LedgerRecord.pool(pool), .site(site(1)), .patch(patch(1, .applied, sites: [1], replacement: 0x6000)),
        .thunk(thunk),
    ])
    func recordsSurviveEncoding(_ record: LedgerRecord) throws {
        let bytes = record.encoded()
        #expect(bytes.count % 8 == 0)
        #expect(try LedgerRecord(decoding: bytes[...]) == record)
    }

    @Test func recordsThatShareTextsKeepTheirOwn() throws {
        var other = site(2, at: 0x402000)
        other.imagePath = "/opt/shot"
        other.buildID = [1, 2, 4]
        var third = site(3, at: 0x403000)
        third.buildID = []
        let records = [site(1), other, other, third, site(4, at: 0x404000)]
        let texts = LedgerTexts()
        for record in records.map(LedgerRecord.site) {
            #expect(try LedgerRecord(decoding: record.encoded()[...], texts: texts) == record)
        }
        var longer = patch(1, .applied, sites: [1, 2, 3], replacement: 0x6000)
        longer.members[1].replacementName = "new_prices"
        longer.members[2].replacementName = ""
        let record = LedgerRecord.patch(longer)
        #expect(try LedgerRecord(decoding: record.encoded()[...], texts: texts) == record)
    }

    @Test func theStateWordIsTheOnlyOneOutsideTheChecksum() throws {
        var bytes = LedgerRecord.patch(patch(1, .applying, sites: [], replacement: 0)).encoded()
        bytes[LedgerRecord.stateOffset] = UInt8(PatchRecord.State.applied.rawValue)
        guard case .patch(let read) = try LedgerRecord(decoding: bytes[...]) else {
            Issue.record("not a patch")
            return
        }
        #expect(read.state == .applied)
        for index in 24..<bytes.count {
            var damaged = bytes
            damaged[index] ^= 0x10
            #expect(throws: LedgerError.self) { try LedgerRecord(decoding: damaged[...]) }
        }
    }

    @Test func theNewestPatchInForceRuns() throws {
        let (map, memory) = try ledger([
            .pool(pool), .site(site(1)),
            .patch(patch(1, .applied, sites: [1], replacement: 0x1000)),
            .patch(patch(2, .applied, sites: [1], replacement: 0x2000)),
            .patch(patch(3, .reverted, sites: [1], replacement: 0x3000)),
            .patch(patch(4, .applying, sites: [1], replacement: 0x4000)),
        ])
        let state = try LedgerState(of: map, memory: memory)
        #expect(state.replacement(for: Address(0x401000))?.address == Address(0x2000))
        #expect(state.layer(of: 1)?.patch == 2)
        #expect(state.layer(of: 1) { $0.patch < 2 }?.patch == 1)
        #expect(state.layer(of: 1) { $0.patch > 2 } == nil)
        #expect(state.nextPatch == 5)
        #expect(state.end(of: pool).text == Address(0x5000_0020))
        #expect(state.end(of: pool).data == Address(0x5001_0008))
    }

    /// A thunk's bytes are taken for good, and what a patch through it replaces is what the thunk leads to.
    @Test func thunks() throws {
        let (map, memory) = try ledger([
            .pool(pool), .site(site(1)), .thunk(thunk),
            .patch(patch(1, .applied, sites: [1], replacement: thunk.range.lowerBound.rawValue)),
            .patch(patch(2, .reverted, sites: [1], replacement: 0x2000)),
        ])
        let state = try LedgerState(of: map, memory: memory)
        #expect(state.end(of: pool).text == thunk.range.upperBound)
        #expect(state.end(of: pool).data == Address(0x5001_0008))
        #expect(state.replacement(for: Address(0x401000))?.address == Address(0x6000))
        #expect(state.patches.map { state.code(of: $0.record.members[0]) } == [Address(0x6000), Address(0x2000)])
        #expect(state.layer(of: 1)?.replacement == thunk.range.lowerBound)
        #expect(state.lasting.contains(.thunk(thunk)))
        for (start, end) in [(2, 1), (1, 1), (1, 1 << 20)] as [(UInt64, UInt64)] {
            var writer = LedgerWriter(capacity: 64)
            for word in [start, end, 0x6000, 48] { writer.integer(word) }
            var bytes = LedgerRecord.thunk(thunk).encoded()
            bytes.replaceSubrange(LedgerRecord.headerSize..., with: writer.bytes)
            let sum = LedgerRecord.checksum(kind: 4, payload: writer.bytes[...])
            withUnsafeBytes(of: sum.littleEndian) { bytes.replaceSubrange(16..<24, with: $0) }
            #expect(throws: LedgerError.self) { try LedgerRecord(decoding: bytes[...]) }
        }
    }

    @Test func aProcessWithoutLedgerHasNoPatches() throws {
        let empty = try LedgerState(of: map([]), memory: BytesMemory(base: base, contents: []))
        #expect(empty.patches.isEmpty && empty.nextPatch == 1 && empty.layout.generation == 0)
    }

    @Test func anUncommittedLedgerHasNoPatches() throws {
        let region = Region(
            range: base..<base + 4096, permissions: [.read, .write], inode: 7, path: "/memfd:hotpatch-ledger (deleted)")
        let zeros = BytesMemory(base: base, contents: [UInt8](repeating: 0, count: 4096))
        #expect(try LedgerState(of: map([region]), memory: zeros).patches.isEmpty)
    }

    @Test func aPatchOfAMissingSiteIsDamage() throws {
        let (map, memory) = try ledger([.patch(patch(1, .applied, sites: [9], replacement: 1))])
        #expect(throws: LedgerError.self) { try LedgerState(of: map, memory: memory) }
    }

    /// The next patch has the next number: the last there is would end the patcher.
    @Test func numbersThatCannotBeCountedUpAreDamage() throws {
        for records in [
            [LedgerRecord.site(site(.max))], [.site(site(2))], [.site(site(1)), .site(site(1))],
            [.patch(patch(.max, .applied, sites: [], replacement: 1))],
        ] {
            let (map, memory) = try ledger(records)
            #expect(throws: LedgerError.self) { try LedgerState(of: map, memory: memory) }
        }
        let (map, memory) = try ledger([], generation: .max)
        #expect(throws: LedgerError.self) { try LedgerState(of: map, memory: memory) }
    }

    @Test func aLedgerOfManyGigabytesIsNotRead() throws {
        let size = 1 << 40
        let bytes =
            Ledger.header(segment: 0, edition: 0, size: size, used: size - Ledger.headerSize)
            + [UInt8](repeating: 0, count: 16)
        let region = Region(
            range: base..<base + size, permissions: [.read, .write], inode: 7, path: "/memfd:hotpatch-ledger (deleted)")
        #expect(throws: LedgerError.self) {
            try LedgerState(of: map([region]), memory: BytesMemory(base: base, contents: bytes))
        }
    }

    /// A ledger is another process's memory: whatever stands there, reading it throws or answers, and never traps.
    @Test func hostileBytesNeverTrap() throws {
        let (map, memory) = try ledger([
            .pool(pool), .site(site(1)), .thunk(thunk), .patch(patch(1, .applied, sites: [1], replacement: 0x1000)),
        ])
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        var damaged = 0
        for _ in 0..<3000 {
            var copy = memory
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let position = Int.random(in: 0..<512, using: &random)
                copy.contents[position] = UInt8.random(in: 0...255, using: &random)
            }
            do { _ = try LedgerState(of: map, memory: copy) } catch { damaged += 1 }
        }
        #expect(damaged > 1000, "seed \(seed)")
    }
}
