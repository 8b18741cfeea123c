import HotpatchEngine
import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
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
    try ledger(body: LedgerEncoder(records).bytes, generation: generation)
}

private func ledger(
    body: [UInt8], version: (major: UInt16, minor: UInt16) = (Ledger.major, Ledger.minor), generation: UInt64 = 1
) throws -> (ProcessMap, BytesMemory) {
    let size = 1 << 16
    var bytes = Ledger.header(segment: 0, edition: 0, size: size, generation: generation, used: body.count)
    for (offset, number) in [(8, version.major), (10, version.minor)] {
        withUnsafeBytes(of: number.littleEndian) { bytes.replaceSubrange(offset..<offset + 2, with: $0) }
    }
    bytes += [UInt8](repeating: 0, count: Ledger.headerSize - bytes.count) + body
    bytes += [UInt8](repeating: 0, count: size - bytes.count)
    let region = Region(
        range: base..<base + size, permissions: [.read, .write], inode: 7, path: "/memfd:hotpatch-ledger (deleted)")
    return (try map([region]), BytesMemory(base: base, contents: bytes))
}

private let pool = SegmentRecord(address: Address(0x5000_0000), codeSize: 65536, dataSize: 16384, generation: 3)

private let linked = SegmentRecord(
    kind: .linked, address: Address(0x6000_0000), codeSize: 8192, constantsSize: 4096, dataSize: 0, generation: 900,
    owner: 7)

private let identity = IdentityRecord(name: "$s4Shop5PriceVMa", address: Address(0x6000_0010), owner: 7)

private let disposal = DisposalRecord(
    owner: 7, disposal: Disposal(isReachedByData: true, deregister: Address(0x4000), tables: Address(0x6000_2000)))

private func word(_ id: UInt32, at address: UInt64 = 0x40_4000) -> DataRecord {
    DataRecord(
        id: id, kind: .value, address: Address(address), original: [1, 2, 3, 4, 5, 6, 7, 8], name: "$s4Shop5PriceVWP",
        imagePath: "/opt/shop")
}

private let thunk = ThunkRecord(
    range: Address(0x5000_0040)..<Address(0x5000_01b0), replacement: Address(0x6000), contextSize: 48)

private func site(_ id: UInt32, at entry: UInt64 = 0x401000) -> SiteRecord {
    SiteRecord(
        id: id, machine: 62, entry: Address(entry), patchAddress: Address(entry),
        original: [0x55, 0x48, 0x89, 0xe5, 0x90],
        detour: [0xe9, 1, 2, 3, 4], stub: Address(0x5000_0000)..<Address(0x5000_0020),
        originalAddress: Address(0x5000_0006), slot: Address(0x5001_0000),
        moved: [.init(entryOffset: 0, stubOffset: 6), .init(entryOffset: 1, stubOffset: 7)],
        name: "$s4Shop5price2ofSiSS_tF", imagePath: "/opt/shop")
}

private func patch(
    _ id: UInt32, _ state: PatchRecord.State, sites: [UInt32], replacement: UInt64 = 0x6000,
    stores: [PatchRecord.Store] = []
) -> PatchRecord {
    PatchRecord(
        id: id, state: state, origin: .init(fromOutside: true, pid: 42, uid: 1000), time: 1_700_000_000_000_000_000,
        source: "/tmp/fix.so", digest: "abcd", handle: 0x1234, onRevert: Address(9),
        members: sites.map { .init(site: $0, replacement: Address(replacement), replacementName: "new_price") },
        stores: stores)
}

/// The records of version 3 that bytes hold, but for the texts.
private func decoded(_ bytes: [UInt8], isNewer: Bool = false) throws -> [LedgerRecord] {
    var decoder = LedgerDecoder(isNewer: isNewer)
    var records: [LedgerRecord] = []
    var position = 0
    while position < bytes.count {
        var reader = LedgerReader(bytes[position...])
        let length = Int(try reader.integer(UInt32.self))
        try #require(length >= LedgerCoding.headerSize && length <= bytes.count - position)
        records += try decoder.decode(bytes[position..<position + length])
        position += length
    }
    return records
}

/// A record with another payload, whose checksum is right.
private func record(_ kind: UInt32, _ payload: [UInt8]) -> [UInt8] {
    var writer = LedgerWriter()
    let padded = payload + [UInt8](repeating: 0, count: -payload.count & 7)
    writer.integer(UInt32(LedgerCoding.headerSize + padded.count))
    writer.integer(kind)
    let summed = kind & LedgerCoding.changes == 0 ? padded[...] : padded.dropFirst(8)
    writer.integer(LedgerCoding.checksum(kind: kind, payload: summed))
    writer.bytes(padded)
    return writer.bytes
}

@Suite struct LedgerTests {
    @Test(arguments: [
        [LedgerRecord.segment(pool), .segment(linked)], [.site(site(0)), .site(site(0, at: 0x7fff_ffff_f000))],
        [.patch(patch(1, .applied, sites: [1, 2, 1 << 30], stores: [.init(location: 1, bytes: [9])]))], [.thunk(thunk)],
        [.data(word(0)), .data(word(0, at: 1))], [.identity(identity)],
        [
            .disposal(disposal), .disposal(DisposalRecord(owner: 8, disposal: Disposal(obstacle: "a type"))),
            .disposal(DisposalRecord(owner: 9, isDisposedOf: true, disposal: Disposal())),
        ],
        [.segment(pool), .site(site(0)), .segment(linked), .thunk(thunk), .patch(patch(1, .reverting, sites: []))],
    ])
    func recordsSurviveEncoding(_ records: [LedgerRecord]) throws {
        let bytes = LedgerEncoder(records).bytes
        expect(bytes.count % 8, equals: 0)
        try expect(decoded(bytes), equals: records)
    }

    /// Paths of objects may hold whatever a file's name may; a library that was loaded has none. What was recorded before is read too.
    @Test func objectsAreTold() throws {
        func objects(_ source: String, handle: UInt64 = 0) throws -> [String] {
            var record = patch(1, .applied, sites: [])
            (record.source, record.handle) = (source, handle)
            guard case .patch(let read) = try decoded(LedgerEncoder([.patch(record)]).bytes).first else {
                throw TestFailure("no patch")
            }
            return read.objects
        }
        let paths = ["/tmp/two\nlines.o", "/tmp/b.o"]
        try expect(objects(PatchRecord.source(objects: paths)), equals: paths)
        try expect(objects(PatchRecord.source(objects: ["/tmp/a.o"])), equals: ["/tmp/a.o"])
        try expect(objects("/tmp/fix\n.so", handle: 7), equals: [])
        try expect(objects("/tmp/a.o\n/tmp/b.o"), equals: ["/tmp/a.o", "/tmp/b.o"])
        try expect(objects(""), equals: [])
    }

    /// A name takes its bytes once, whoever mentions it, also in what is written later.
    @Test func textsAreLaidDownOnce() throws {
        var other = site(0, at: 0x402000)
        other.imagePath = "/opt/shot"
        other.name = ""
        let records = [site(0), other, other, site(0, at: 0x403000)].map(LedgerRecord.site)
        let bytes = LedgerEncoder(records).bytes
        try expect(decoded(bytes), equals: records)
        #expect(bytes.count - LedgerEncoder(Array(records.dropLast())).bytes.count < 48)
        let (map, memory) = try ledger(records)
        let state = try LedgerState(of: map, memory: memory)
        expect(state.texts, equals: [site(0).name, "/opt/shop", "/opt/shot"])
        let more = LedgerEncoder(
            [.site(site(0, at: 0x404000)), .patch(patch(1, .applied, sites: [5]))], behind: state.texts)
        #expect(
            !more.bytes.contains(subsequence: site(0).name.utf8) && more.bytes.contains(subsequence: "new_price".utf8))
        let (whole, all) = try ledger(body: bytes + more.bytes)
        let later = try LedgerState(of: whole, memory: all)
        #expect(later.sites.last?.name == site(0).name && later.patches[0].record.source == "/tmp/fix.so")
    }

    /// Two thousand functions of one library take less than a cache line each.
    @Test func aSiteAndItsPatchTakeFewBytes() {
        let sites = (0..<2000).map { number in
            var site = site(0, at: 0x401000 + UInt64(number) * 64)
            site.name = "function_\(number)"
            site.stub = Address(0x5000_0000) + number * 48..<Address(0x5000_0000) + (number * 48 + 40)
            site.originalAddress = site.stub.lowerBound + 6
            site.slot = Address(0x5001_0000) + number * 8
            return site
        }
        let all = LedgerEncoder(
            sites.map(LedgerRecord.site) + [
                .patch(patch(1, .applied, sites: (1...2000).map { $0 }, replacement: 0x5000))
            ])
        #expect(all.bytes.count < 64 * 2000, "\(all.bytes.count) bytes")
    }

    @Test func theStateWordIsTheOnlyOneOutsideTheChecksum() throws {
        let encoder = LedgerEncoder([.patch(patch(1, .applying, sites: []))])
        let state = try #require(encoder.stateOffset)
        var bytes = encoder.bytes
        bytes[state] = UInt8(PatchRecord.State.applied.rawValue)
        try expect(decoded(bytes), equals: [.patch(patch(1, .applied, sites: []))])
        let record = state - LedgerCoding.headerSize
        for index in Array(record + 8..<record + 16) + Array(state + 8..<bytes.count) {
            var damaged = bytes
            damaged[index] ^= 0x10
            #expect(throws: LedgerError.self) { try decoded(damaged) }
        }
    }

    @Test func theNewestPatchInForceRuns() throws {
        let (map, memory) = try ledger([
            .segment(pool), .site(site(1)),
            .patch(patch(1, .applied, sites: [1], replacement: 0x1000)),
            .patch(patch(2, .applied, sites: [1], replacement: 0x2000)),
            .patch(patch(3, .reverted, sites: [1], replacement: 0x3000)),
            .patch(patch(4, .applying, sites: [1], replacement: 0x4000)),
        ])
        let state = try LedgerState(of: map, memory: memory)
        expect(state.replacement(for: Address(0x401000))?.address, equals: Address(0x2000))
        expect(state.layer(of: 1)?.patch, equals: 2)
        expect(state.layer(of: 1) { $0.patch < 2 }?.patch, equals: 1)
        #expect(state.layer(of: 1) { $0.patch > 2 } == nil)
        expect(state.nextPatch, equals: 5)
        expect(state.end(of: pool).text, equals: Address(0x5000_0020))
        expect(state.end(of: pool).data, equals: Address(0x5001_0008))
    }

    /// A thunk's bytes are taken for good, and what a patch through it replaces is what the thunk leads to.
    @Test func thunks() throws {
        let (map, memory) = try ledger([
            .segment(pool), .site(site(1)), .thunk(thunk),
            .patch(patch(1, .applied, sites: [1], replacement: thunk.range.lowerBound.rawValue)),
            .patch(patch(2, .reverted, sites: [1], replacement: 0x2000)),
        ])
        let state = try LedgerState(of: map, memory: memory)
        expect(state.end(of: pool).text, equals: thunk.range.upperBound)
        expect(state.end(of: pool).data, equals: Address(0x5001_0008))
        expect(state.replacement(for: Address(0x401000))?.address, equals: Address(0x6000))
        expect(state.patches.map { state.code(of: $0.record.members[0]) }, equals: [Address(0x6000), Address(0x2000)])
        expect(state.layer(of: 1)?.replacement, equals: thunk.range.lowerBound)
        #expect(state.lasting(with: []).contains(.thunk(thunk)))
        for length in [0, 1 << 20] {
            var writer = LedgerWriter()
            for number in [1, 0x5000_0040, length, 0x6000, 48] { writer.number(number) }
            #expect(throws: LedgerError.self) { try decoded(record(LedgerCoding.Kind.thunks.rawValue, writer.bytes)) }
        }
    }

    /// What patches have written to data lies one on another, as their jumps do.
    @Test func dataHasLayers() throws {
        let other = word(2, at: 0x40_4010)
        let (map, memory) = try ledger([
            .data(word(1)), .data(other),
            .patch(patch(1, .applied, sites: [], stores: [.init(location: 1, bytes: [UInt8](repeating: 1, count: 8))])),
            .patch(patch(2, .applied, sites: [], stores: [.init(location: 1, bytes: [UInt8](repeating: 2, count: 8))])),
            .patch(
                patch(3, .reverted, sites: [], stores: [.init(location: 2, bytes: [UInt8](repeating: 3, count: 8))])),
            .patch(
                patch(4, .applying, sites: [], stores: [.init(location: 1, bytes: [UInt8](repeating: 4, count: 8))])),
        ])
        let state = try LedgerState(of: map, memory: memory)
        expect(state.layer(ofData: 1)?.patch, equals: 2)
        expect(state.layer(ofData: 1) { $0.patch != 2 }?.bytes, equals: [UInt8](repeating: 1, count: 8))
        #expect(state.layer(ofData: 2) == nil)
        #expect(state.isStored([UInt8](repeating: 4, count: 8), at: word(1)) && !state.isStored([], at: word(1)))
        for (start, count, isFound) in [
            (0, 8, true), (7, 1, true), (8, 8, false), (-1, 1, false), (-1, 2, true), (16, 8, false),
        ] {
            let range = word(1).address + start..<word(1).address + (start + count)
            expect((state.dataInForce(overlapping: range) == word(1)), equals: isFound, "\(range)")
        }
        // Where nothing was written to any more, other bytes may stand by now.
        var stores = DataStores(state: state)
        func add(_ bytes: [UInt8], at address: Address) throws {
            try stores.add(bytes, at: address, kind: .value, name: "", imagePath: "") {
                [UInt8](repeating: 9, count: bytes.count)
            }
        }
        try add([UInt8](repeating: 5, count: 8), at: word(1).address)
        try add([UInt8](repeating: 6, count: 8), at: other.address)
        try add([UInt8](repeating: 7, count: 8), at: other.address)
        #expect(throws: PatchError.self) { try add([1], at: word(1).address + 7) }
        #expect(throws: PatchError.self) { try add([1], at: other.address + 7) }
        #expect(stores.stores.map(\.location) == [1, 3] && stores.stores[1].bytes == [UInt8](repeating: 7, count: 8))
        expect(stores.locations.map(\.original), equals: [[UInt8](repeating: 9, count: 8)])
        // A new edition numbers anew what it keeps.
        let more =
            stores.locations.map(LedgerRecord.data) + [.patch(patch(5, .applying, sites: [], stores: stores.stores))]
        let (next, contents) = try ledger(
            state.lasting(with: more).filter { if case .patch(let patch) = $0 { patch.id != 3 } else { true } })
        let later = try LedgerState(of: next, memory: contents)
        for entry in later.patches {
            #expect(
                entry.record.stores.allSatisfy {
                    later.data($0.location).address == word(1).address || entry.record.id == 5
                })
        }
        let last = try #require(later.patch(5))
        expect(last.stores.map { later.data($0.location).address }, equals: [word(1).address, other.address])
        expect(later.data(last.stores[1].location).original, equals: [UInt8](repeating: 9, count: 8))
    }

    @Test func codeThatIsPlacedLaterFindsWhatThereIs() throws {
        let (map, memory) = try ledger(
            [.segment(linked), .segment(pool), .identity(identity), .patch(patch(7, .applied, sites: []))])
        let state = try LedgerState(of: map, memory: memory)
        #expect(state.identity(identity.name) == identity.address && state.identity("x") == nil)
        #expect(state.segments == [linked, pool] && state.pools == [pool])
        #expect(
            linked.constants == Address(0x6000_2000)..<Address(0x6000_3000)
                && linked.range.upperBound == Address(0x6000_3000))
        expect(
            state.lasting(with: []),
            equals: [.segment(linked), .segment(pool), .identity(identity), .patch(patch(7, .applied, sites: []))])
    }

    /// Code is dead that no patch in force enters, nothing later refers to by name, and nothing was patched in.
    @Test func whatIsDead() throws {
        func dead(_ more: LedgerRecord...) throws -> [UInt32] {
            let (map, memory) = try ledger(
                [.segment(pool), .segment(linked), .disposal(disposal), .site(site(0))] + more)
            return try LedgerState(of: map, memory: memory).deadCode.map(\.owner)
        }
        let reverted = LedgerRecord.patch(patch(7, .reverted, sites: [1], replacement: 0x6000_0000))
        try expect(dead(reverted), equals: [7])
        // Forgotten.
        try expect(dead(), equals: [7])
        for state in [PatchRecord.State.applying, .applied, .reverting] {
            try expect(dead(.patch(patch(7, state, sites: [1], replacement: 0x6000_0000))), equals: [])
            try expect(dead(reverted, .patch(patch(8, state, sites: [1], replacement: 0x6000_1fff))), equals: [])
        }
        try expect(dead(reverted, .patch(patch(8, .applied, sites: [1]))), equals: [7])
        try expect(dead(reverted, .identity(identity)), equals: [])
        try expect(dead(reverted, .site(site(0, at: 0x6000_0100))), equals: [])
        try expect(
            dead(reverted, .disposal(DisposalRecord(owner: 7, isDisposedOf: true, disposal: Disposal()))), equals: [])
        try expect(
            dead(reverted, .disposal(DisposalRecord(owner: 7, disposal: Disposal(obstacle: "a type")))), equals: [])
    }

    /// What a newer minor version has recorded is skipped, and said; only damage has kinds that nobody knows.
    @Test func recordsOfANewerMinorVersionAreSkipped() throws {
        let known = LedgerEncoder([.segment(pool), .site(site(1)), .patch(patch(1, .applied, sites: [1]))]).bytes
        let unknown = record(99, [1, 2, 3]) + record(99 | LedgerCoding.changes, [UInt8](repeating: 7, count: 24))
        let (map, memory) = try ledger(body: unknown + known, version: (Ledger.major, Ledger.minor + 1))
        let state = try LedgerState(of: map, memory: memory)
        #expect(state.unknownRecords == 2 && state.patches.map(\.record.id) == [1])
        #expect(!state.isDueForNewEdition)
        // Its other word changes, too, and a byte of it is damage.
        var damaged = memory
        damaged.contents[Ledger.headerSize + LedgerCoding.headerSize] ^= 1
        #expect(throws: LedgerError.self) { try LedgerState(of: map, memory: damaged) }
        let (old, contents) = try ledger(body: unknown + known)
        #expect(throws: LedgerError.self) { try LedgerState(of: old, memory: contents) }
        for major in [Ledger.major + 1, 1, 0] {
            let (map, memory) = try ledger(body: known, version: (major, 0))
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
            range: base..<base + padded.count, permissions: [.read, .write], inode: 7,
            path: "/memfd:hotpatch-ledger (deleted)")
        let state = try LedgerState(of: map([region]), memory: BytesMemory(base: base, contents: padded))
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
        let (next, memory) = try ledger(state.lasting(with: []))
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
            _ = try? LedgerState(of: map([region]), memory: BytesMemory(base: base, contents: copy))
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
            [LedgerRecord.patch(patch(.max, .applied, sites: []))],
            [.patch(patch(UInt32(1) << 31, .applied, sites: []))],
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
    @Test(arguments: [false, true]) func hostileBytesNeverTrap(isMended: Bool) throws {
        let stores = [PatchRecord.Store(location: 1, bytes: [UInt8](repeating: 1, count: 8))]
        var constants = linked
        (constants.owner, constants.codeSize) = (8, 0)
        let body = LedgerEncoder([
            .segment(pool), .segment(linked), .site(site(1)), .site(site(2, at: 0x402000)), .thunk(thunk),
            .data(word(1)), .disposal(disposal), .segment(constants), .segment(constants),
            .disposal(DisposalRecord(owner: 8, isDisposedOf: true, disposal: Disposal())),
            .identity(identity), .patch(patch(1, .applied, sites: [1, 2], replacement: 0x1000, stores: stores)),
        ]).bytes
        let (map, memory) = try ledger(body: body)
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

extension [UInt8] {
    fileprivate func contains(subsequence: String.UTF8View) -> Bool {
        let wanted = Array(subsequence)
        return count >= wanted.count
            && (0...count - wanted.count).contains { self[$0..<$0 + wanted.count].elementsEqual(wanted) }
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
