import HotpatchEngine
import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols
import HotpatchTestSupport
import Testing

@testable import HotpatchEngine

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

@Suite struct LedgerTests {
    @Test(arguments: [
        [LedgerRecord.segment(LedgerSample.pool), .segment(LedgerSample.linked)],
        [.site(LedgerSample.site(0)), .site(LedgerSample.site(0, at: 0x7fff_ffff_f000))],
        [.patch(LedgerSample.patch(1, .applied, sites: [1, 2, 1 << 30], stores: [.init(location: 1, bytes: [9])]))],
        [.thunk(LedgerSample.thunk)],
        [.data(LedgerSample.word(0)), .data(LedgerSample.word(0, at: 1))], [.identity(LedgerSample.identity)],
        [
            .disposal(LedgerSample.disposal),
            .disposal(DisposalRecord(owner: 8, disposal: Disposal(obstacle: "a type"))),
            .disposal(DisposalRecord(owner: 9, isDisposedOf: true, disposal: Disposal())),
        ],
        [
            .segment(LedgerSample.pool), .site(LedgerSample.site(0)), .segment(LedgerSample.linked),
            .thunk(LedgerSample.thunk), .patch(LedgerSample.patch(1, .reverting, sites: [])),
        ],
    ])
    func recordsSurviveEncoding(_ records: [LedgerRecord]) throws {
        let bytes = LedgerEncoder(records).bytes
        expect(bytes.count % 8, equals: 0)
        try expect(decoded(bytes), equals: records)
    }

    /// Paths of objects may hold whatever a file's name may; a library that was loaded has none. What was recorded before is read too.
    @Test func objectsAreTold() throws {
        func objects(_ source: String, handle: UInt64 = 0) throws -> [String] {
            var record = LedgerSample.patch(1, .applied, sites: [])
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
        var other = LedgerSample.site(0, at: 0x402000)
        other.imagePath = "/opt/shot"
        other.name = ""
        let records = [LedgerSample.site(0), other, other, LedgerSample.site(0, at: 0x403000)].map(LedgerRecord.site)
        let bytes = LedgerEncoder(records).bytes
        try expect(decoded(bytes), equals: records)
        #expect(bytes.count - LedgerEncoder(Array(records.dropLast())).bytes.count < 48)
        let (map, memory) = try LedgerSample.ledger(records)
        let state = try LedgerState(of: map, memory: memory)
        expect(state.texts, equals: [LedgerSample.site(0).name, "/opt/shop", "/opt/shot"])
        let more = LedgerEncoder(
            [.site(LedgerSample.site(0, at: 0x404000)), .patch(LedgerSample.patch(1, .applied, sites: [5]))],
            behind: state.texts)
        #expect(
            !more.bytes.contains(subsequence: LedgerSample.site(0).name.utf8)
                && more.bytes.contains(subsequence: "new_price".utf8))
        let (whole, all) = try LedgerSample.ledger(body: bytes + more.bytes)
        let later = try LedgerState(of: whole, memory: all)
        #expect(later.sites.last?.name == LedgerSample.site(0).name && later.patches[0].record.source == "/tmp/fix.so")
    }

    /// Two thousand functions of one library take less than a cache line each.
    @Test func aSiteAndItsPatchTakeFewBytes() {
        let sites = (0..<2000).map { number in
            var site = LedgerSample.site(0, at: 0x401000 + UInt64(number) * 64)
            site.name = "function_\(number)"
            site.stub = Address(0x5000_0000) + number * 48..<Address(0x5000_0000) + (number * 48 + 40)
            site.originalAddress = site.stub.lowerBound + 6
            site.slot = Address(0x5001_0000) + number * 8
            return site
        }
        let all = LedgerEncoder(
            sites.map(LedgerRecord.site) + [
                .patch(LedgerSample.patch(1, .applied, sites: (1...2000).map { $0 }, replacement: 0x5000))
            ])
        #expect(all.bytes.count < 64 * 2000, "\(all.bytes.count) bytes")
    }

    @Test func theStateWordIsTheOnlyOneOutsideTheChecksum() throws {
        let encoder = LedgerEncoder([.patch(LedgerSample.patch(1, .applying, sites: []))])
        let state = try #require(encoder.stateOffset)
        var bytes = encoder.bytes
        bytes[state] = UInt8(PatchRecord.State.applied.rawValue)
        try expect(decoded(bytes), equals: [.patch(LedgerSample.patch(1, .applied, sites: []))])
        let record = state - LedgerCoding.headerSize
        for index in Array(record + 8..<record + 16) + Array(state + 8..<bytes.count) {
            var damaged = bytes
            damaged[index] ^= 0x10
            #expect(throws: LedgerError.self) { try decoded(damaged) }
        }
    }

    @Test func theNewestPatchInForceRuns() throws {
        let (map, memory) = try LedgerSample.ledger([
            .segment(LedgerSample.pool), .site(LedgerSample.site(1)),
            .patch(LedgerSample.patch(1, .applied, sites: [1], replacement: 0x1000)),
            .patch(LedgerSample.patch(2, .applied, sites: [1], replacement: 0x2000)),
            .patch(LedgerSample.patch(3, .reverted, sites: [1], replacement: 0x3000)),
            .patch(LedgerSample.patch(4, .applying, sites: [1], replacement: 0x4000)),
        ])
        let state = try LedgerState(of: map, memory: memory)
        expect(state.replacement(for: Address(0x401000))?.address, equals: Address(0x2000))
        expect(state.layer(of: 1)?.patch, equals: 2)
        expect(state.layer(of: 1) { $0.patch < 2 }?.patch, equals: 1)
        #expect(state.layer(of: 1) { $0.patch > 2 } == nil)
        expect(state.nextPatch, equals: 5)
        expect(state.end(of: LedgerSample.pool).text, equals: Address(0x5000_0020))
        expect(state.end(of: LedgerSample.pool).data, equals: Address(0x5001_0008))
    }

    /// A thunk's bytes are taken for good, and what a patch through it replaces is what the thunk leads to.
    @Test func thunks() throws {
        let (map, memory) = try LedgerSample.ledger([
            .segment(LedgerSample.pool), .site(LedgerSample.site(1)), .thunk(LedgerSample.thunk),
            .patch(
                LedgerSample.patch(1, .applied, sites: [1], replacement: LedgerSample.thunk.range.lowerBound.rawValue)),
            .patch(LedgerSample.patch(2, .reverted, sites: [1], replacement: 0x2000)),
        ])
        let state = try LedgerState(of: map, memory: memory)
        expect(state.end(of: LedgerSample.pool).text, equals: LedgerSample.thunk.range.upperBound)
        expect(state.end(of: LedgerSample.pool).data, equals: Address(0x5001_0008))
        expect(state.replacement(for: Address(0x401000))?.address, equals: Address(0x6000))
        expect(state.patches.map { state.code(of: $0.record.members[0]) }, equals: [Address(0x6000), Address(0x2000)])
        expect(state.layer(of: 1)?.replacement, equals: LedgerSample.thunk.range.lowerBound)
        #expect(state.lasting(with: []).contains(.thunk(LedgerSample.thunk)))
        for length in [0, 1 << 20] {
            var writer = LedgerWriter()
            for number in [1, 0x5000_0040, length, 0x6000, 48] { writer.number(number) }
            #expect(throws: LedgerError.self) {
                try decoded(LedgerSample.record(LedgerCoding.Kind.thunks.rawValue, writer.bytes))
            }
        }
    }

    /// What patches have written to data lies one on another, as their jumps do.
    @Test func dataHasLayers() throws {
        let other = LedgerSample.word(2, at: 0x40_4010)
        let (map, memory) = try LedgerSample.ledger([
            .data(LedgerSample.word(1)), .data(other),
            .patch(
                LedgerSample.patch(
                    1, .applied, sites: [], stores: [.init(location: 1, bytes: [UInt8](repeating: 1, count: 8))])),
            .patch(
                LedgerSample.patch(
                    2, .applied, sites: [], stores: [.init(location: 1, bytes: [UInt8](repeating: 2, count: 8))])),
            .patch(
                LedgerSample.patch(
                    3, .reverted, sites: [], stores: [.init(location: 2, bytes: [UInt8](repeating: 3, count: 8))])),
            .patch(
                LedgerSample.patch(
                    4, .applying, sites: [], stores: [.init(location: 1, bytes: [UInt8](repeating: 4, count: 8))])),
        ])
        let state = try LedgerState(of: map, memory: memory)
        expect(state.layer(ofData: 1)?.patch, equals: 2)
        expect(state.layer(ofData: 1) { $0.patch != 2 }?.bytes, equals: [UInt8](repeating: 1, count: 8))
        #expect(state.layer(ofData: 2) == nil)
        #expect(
            state.isStored([UInt8](repeating: 4, count: 8), at: LedgerSample.word(1))
                && !state.isStored([], at: LedgerSample.word(1)))
        for (start, count, isFound) in [
            (0, 8, true), (7, 1, true), (8, 8, false), (-1, 1, false), (-1, 2, true), (16, 8, false),
        ] {
            let range = LedgerSample.word(1).address + start..<LedgerSample.word(1).address + (start + count)
            expect((state.dataInForce(overlapping: range) == LedgerSample.word(1)), equals: isFound, "\(range)")
        }
        // Where nothing was written to any more, other bytes may stand by now.
        var stores = DataStores(state: state)
        func add(_ bytes: [UInt8], at address: Address) throws {
            try stores.add(bytes, at: address, kind: .value, name: "", imagePath: "") {
                [UInt8](repeating: 9, count: bytes.count)
            }
        }
        try add([UInt8](repeating: 5, count: 8), at: LedgerSample.word(1).address)
        try add([UInt8](repeating: 6, count: 8), at: other.address)
        try add([UInt8](repeating: 7, count: 8), at: other.address)
        #expect(throws: PatchError.self) { try add([1], at: LedgerSample.word(1).address + 7) }
        #expect(throws: PatchError.self) { try add([1], at: other.address + 7) }
        #expect(stores.stores.map(\.location) == [1, 3] && stores.stores[1].bytes == [UInt8](repeating: 7, count: 8))
        expect(stores.locations.map(\.original), equals: [[UInt8](repeating: 9, count: 8)])
        // A new edition numbers anew what it keeps.
        let more =
            stores.locations.map(LedgerRecord.data) + [
                .patch(LedgerSample.patch(5, .applying, sites: [], stores: stores.stores))
            ]
        let (next, contents) = try LedgerSample.ledger(
            state.lasting(with: more).filter { if case .patch(let patch) = $0 { patch.id != 3 } else { true } })
        let later = try LedgerState(of: next, memory: contents)
        for entry in later.patches {
            #expect(
                entry.record.stores.allSatisfy {
                    later.data($0.location).address == LedgerSample.word(1).address || entry.record.id == 5
                })
        }
        let last = try #require(later.patch(5))
        expect(
            last.stores.map { later.data($0.location).address }, equals: [LedgerSample.word(1).address, other.address])
        expect(later.data(last.stores[1].location).original, equals: [UInt8](repeating: 9, count: 8))
    }

    @Test func codeThatIsPlacedLaterFindsWhatThereIs() throws {
        let (map, memory) = try LedgerSample.ledger(
            [
                .segment(LedgerSample.linked), .segment(LedgerSample.pool), .identity(LedgerSample.identity),
                .patch(LedgerSample.patch(7, .applied, sites: [])),
            ])
        let state = try LedgerState(of: map, memory: memory)
        #expect(
            state.identity(LedgerSample.identity.name) == LedgerSample.identity.address && state.identity("x") == nil)
        #expect(state.segments == [LedgerSample.linked, LedgerSample.pool] && state.pools == [LedgerSample.pool])
        #expect(
            LedgerSample.linked.constants == Address(0x6000_2000)..<Address(0x6000_3000)
                && LedgerSample.linked.range.upperBound == Address(0x6000_3000))
        expect(
            state.lasting(with: []),
            equals: [
                .segment(LedgerSample.linked), .segment(LedgerSample.pool), .identity(LedgerSample.identity),
                .patch(LedgerSample.patch(7, .applied, sites: [])),
            ])
    }

    /// Code is dead that no patch in force enters, nothing later refers to by name, and nothing was patched in.
    @Test func whatIsDead() throws {
        func dead(_ more: LedgerRecord...) throws -> [UInt32] {
            let (map, memory) = try LedgerSample.ledger(
                [
                    .segment(LedgerSample.pool), .segment(LedgerSample.linked), .disposal(LedgerSample.disposal),
                    .site(LedgerSample.site(0)),
                ] + more)
            return try LedgerState(of: map, memory: memory).deadCode.map(\.owner)
        }
        let reverted = LedgerRecord.patch(LedgerSample.patch(7, .reverted, sites: [1], replacement: 0x6000_0000))
        try expect(dead(reverted), equals: [7])
        // Forgotten.
        try expect(dead(), equals: [7])
        for state in [PatchRecord.State.applying, .applied, .reverting] {
            try expect(dead(.patch(LedgerSample.patch(7, state, sites: [1], replacement: 0x6000_0000))), equals: [])
            try expect(
                dead(reverted, .patch(LedgerSample.patch(8, state, sites: [1], replacement: 0x6000_1fff))), equals: [])
        }
        try expect(dead(reverted, .patch(LedgerSample.patch(8, .applied, sites: [1]))), equals: [7])
        try expect(dead(reverted, .identity(LedgerSample.identity)), equals: [])
        try expect(dead(reverted, .site(LedgerSample.site(0, at: 0x6000_0100))), equals: [])
        try expect(
            dead(reverted, .disposal(DisposalRecord(owner: 7, isDisposedOf: true, disposal: Disposal()))), equals: [])
        try expect(
            dead(reverted, .disposal(DisposalRecord(owner: 7, disposal: Disposal(obstacle: "a type")))), equals: [])
    }
}

extension [UInt8] {
    fileprivate func contains(subsequence: String.UTF8View) -> Bool {
        let wanted = Array(subsequence)
        return count >= wanted.count
            && (0...count - wanted.count).contains { self[$0..<$0 + wanted.count].elementsEqual(wanted) }
    }
}
