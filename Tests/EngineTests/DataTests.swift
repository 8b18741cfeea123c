import Glibc
import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import HotpatchTestSupport
import Testing

@testable import HotpatchEngine

/// Locations of data, and ledgers of before, in the engine's hands.
@Suite struct DataTests {
    /// The pointer to an original is on record, and is not taken back: a thread may still be inside the replacement.
    @Test func pointersToOriginalsAreRecorded() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
        defer { words.deallocate() }
        words.pointee = 7
        let pointer = Address(UnsafeRawPointer(words))
        var wanted = try request("getppid", of: target)
        wanted.replacements[0].originalPointer = pointer
        let first = try engine.apply(wanted)
        let second = try engine.apply(wanted)
        let state = try engine.state()
        #expect(state.data.map(\.address) == [pointer] && state.data[0].kind == .originalPointer)
        #expect(state.data[0].original == engine.word(7) && state.data[0].name == first.sites[0].name)
        expect(state.layer(ofData: 1)?.patch, equals: second.id)
        #expect(state.patches.allSatisfy { $0.record.stores.map(\.location) == [1] })
        for id in [first.id, second.id] {
            _ = try engine.revert([id])
            expect(target.peek(at: pointer), equals: first.sites[0].originalAddress.rawValue)
        }
        // Nothing of it is in force: what stands there now is what stood there before.
        _ = try engine.apply(wanted)
        let later = try engine.state()
        #expect(later.data.count == 2 && later.data[1].original == engine.word(first.sites[0].originalAddress.rawValue))
    }

    /// Whichever patch of a stack is reverted, the newest of those that remain counts; behind the last, what stood there before.
    @Test(arguments: [[[1], [0], [2]], [[2], [1], [0]], [[0], [2], [1]], [[0, 2], [1]], [[2, 1, 0]]])
    func dataIsPutBackAsFunctionsAre(order: [[Int]]) throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let count = 20
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: count)
        defer { bytes.deallocate() }
        bytes.initialize(repeating: 0xee, count: count)
        let address = Address(UnsafeRawPointer(bytes))
        func contents(_ number: Int) -> [UInt8] { [UInt8](repeating: UInt8(number + 1), count: count) }
        let location = DataRecord(
            id: 1, kind: .value, address: address, original: [UInt8](repeating: 0xee, count: count), name: "price",
            imagePath: "")
        var patches = (0..<3).map { number in
            PatchRecord(
                id: UInt32(number) + 1, state: .applied, origin: .init(fromOutside: true, pid: 1, uid: 0), time: 0,
                source: "", digest: "", handle: 0, onRevert: .null, members: [],
                stores: [.init(location: 1, bytes: contents(number))])
        }
        func state() throws -> LedgerState {
            try target.lay([.data(location)] + patches.map(LedgerRecord.patch))
            return try engine.state()
        }
        target.write(contents(2), at: address)
        var remaining = [0, 1, 2]
        for numbers in order {
            let plan = try engine.restoreData(of: numbers.map { patches[$0] }, state: state(), memory: target.memory)
            for write in plan.writes {
                try expect(target.memory.bytes(at: write.address, count: write.bytes.count), equals: write.expected)
                target.write(write.bytes, at: write.address)
            }
            remaining.removeAll { numbers.contains($0) }
            for number in numbers { patches[number].state = .reverted }
            let expected = remaining.last.map(contents) ?? location.original
            try expect(target.memory.bytes(at: address, count: count), equals: expected)
        }
        // Somebody else's bytes are not overwritten.
        for index in patches.indices { patches[index].state = .applied }
        target.write([UInt8](repeating: 0x55, count: count), at: address)
        #expect(throws: PatchError.self) {
            try engine.restoreData(of: [patches[2]], state: state(), memory: target.memory)
        }
    }

    /// A process that was patched by the version before: its patches are reverted where they are, and the next patch makes a ledger of
    /// today's version of it, whichever write is its patcher's last.
    @Test(arguments: [nil, 0, 1, 2, 3, 4, 5]) func aLedgerOfVersion2GoesOn(writes: Int?) throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let first = try engine.apply(try request("getppid", of: target)).id
        let second = try engine.apply(try request("getppid", of: target)).id
        let other = try engine.apply(try request("getuid", of: target)).id
        let before = try engine.state()
        try target.lay(before.lasting(with: []), asVersion2: true)
        try expect(engine.state().layout.major, equals: 2)
        try expect(engine.state().sites, equals: before.sites)
        _ = try engine.revert([second])
        #expect(try engine.state().layout.major == 2 && engine.state().layer(of: 1)?.patch == first)

        target.writesToDeath = writes
        let result = Result { try engine.apply(try request("geteuid", of: target)) }
        #expect((try? result.get()) != nil || target.writesToDeath == 0)
        target.writesToDeath = nil
        for entry in try engine.state().patches where entry.record.state == .applying {
            _ = try engine.revert([entry.record.id])
        }
        if (try? result.get()) == nil { _ = try engine.apply(try request("geteuid", of: target)) }
        let state = try engine.state()
        #expect(state.layout.major == Ledger.major && state.layout.segments.count == 1)
        #expect(state.layout.segments[0].edition > before.layout.segments[0].edition)
        #expect(Array(state.sites.prefix(2)) == before.sites && state.nextPatch > 4)
        #expect(state.patch(first)?.state == .applied && state.patch(other)?.state == .applied)
        _ = try engine.revert { (_, _) in true }
        for name in ["getppid", "getuid", "geteuid"] { #expect(target.isOriginal(name), "\(name)") }
    }

    /// A ledger of before has neither edition nor committer, and is taken as it is.
    @Test func aNewLedgerBeginsWithZeros() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        _ = try engine.apply(try request("getppid", of: target))
        let segment = try #require(engine.state().layout.segments.first)
        #expect(segment.edition == 0 && target.peek(at: segment.address + Ledger.committerOffset) == 0)
        expect(target.peek(at: segment.address + 56), equals: 0)
    }

    /// What an edition took is given back behind the commit that makes the next one, and only then used again.
    @Test func aRetiredEditionTakesNoMemory() throws {
        let target = try FakeTarget()
        target.givesMemoryBack = true
        let engine = PatchEngine(target: target, program: "")
        _ = try engine.apply(try request("getuid", of: target))
        let first = try #require(engine.state().layout.segments.first)
        while target.givenBack.count < 6 {
            target.beforeCommit = { target in
                // Nobody lays down anything in what is not empty yet.
                let layout = try? Ledger.layout(of: target.processMap(), memory: target.memory)
                expect(layout?.spare.count, equals: (target.givenBack.isEmpty ? 0 : 1))
            }
            let edition = try engine.state().layout.segments[0]
            _ = try engine.revert([engine.apply(try request("getppid", of: target)).id])
            let next = try engine.state().layout.segments[0]
            if next.edition > edition.edition {
                expect(target.givenBack.last, equals: edition.address..<edition.address + edition.size)
                try expect(target.memory.bytes(at: edition.address, count: 8), equals: Ledger.retired)
            }
        }
        #expect(target.givenBack[0].lowerBound == first.address && target.givenBack[2] == target.givenBack[0])
        expect(target.ledgerCount, equals: 2)
        try expect(engine.state().patches.first?.record.state, equals: .applied)
        // A patcher that dies before that leaves a mapping that is used by nobody, and damages nothing.
        target.givesMemoryBack = true
        target.beforeCommit = { $0.poke(0x2144_4549_5450_4d45, at: $0.givenBack.last!.lowerBound) }
        for _ in 0..<40 { _ = try engine.revert([engine.apply(try request("getppid", of: target)).id]) }
        try expect(engine.state().patches.first?.record.state, equals: .applied)
    }

    /// The latest patches that were reverted are told of for a while; how many there were before, always.
    @Test func someHistoryIsKept() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        var wanted = try request("getppid", of: target)
        wanted.replacements[0].name = "getpid"
        for number in 1... {
            let id = try engine.apply(wanted).id
            let state = try engine.state()
            #expect(Int(id) == number && number == state.patches.count + state.forgotten)
            _ = try engine.revert([id])
            guard state.layout.segments[0].edition > 0 else { continue }
            #expect(state.forgotten > 0 && state.patches.count > 4)
            #expect(state.patches.dropLast().allSatisfy { $0.record.state == .reverted })
            #expect(zip(state.patches, state.patches.dropFirst()).allSatisfy { $0.record.id + 1 == $1.record.id })
            break
        }
    }
}

extension FakeTarget {
    /// Replaces the records of the ledger, or makes one.
    fileprivate func lay(_ records: [LedgerRecord], asVersion2: Bool = false) throws {
        var layout = try Ledger.layout(of: processMap(), memory: memory)
        if layout.segments.isEmpty {
            let address = Ledger.agreedAddresses[0]
            try mapLedger(address..<address + Ledger.segmentSize)
            layout.segments = [
                Ledger.Segment(address: address, index: 0, edition: 0, size: Ledger.segmentSize, used: 0)
            ]
        }
        let segment = layout.segments[0]
        let body = asVersion2 ? records.flatMap(version2) : LedgerEncoder(records).bytes
        var header = Ledger.header(
            segment: 0, edition: segment.edition, size: segment.size, generation: layout.generation, used: body.count)
        if asVersion2 { (header[8], header[10]) = (2, 0) }
        write(header, at: segment.address)
        write(body, at: segment.address + Ledger.headerSize)
    }
}

/// A record as version 2 wrote it.
private func version2(_ record: LedgerRecord) -> [UInt8] {
    var payload = LedgerWriter()
    var state: UInt64 = 0
    let kind: UInt32
    func blob(_ blob: some Collection<UInt8>) {
        payload.integer(UInt32(blob.count))
        payload.bytes(blob)
    }
    switch record {
    case .segment(let pool):
        kind = 1
        for value in [pool.address.rawValue, UInt64(pool.codeSize), UInt64(pool.dataSize)] { payload.integer(value) }
    case .site(let site):
        kind = 2
        payload.integer(site.id)
        payload.integer(UInt32(site.machine))
        for address in [
            site.entry, site.patchAddress, site.stub.lowerBound, site.stub.upperBound, site.originalAddress, site.slot,
        ] { payload.integer(address.rawValue) }
        blob(site.original)
        blob(site.detour)
        payload.integer(UInt32(site.moved.count))
        for pair in site.moved {
            payload.integer(pair.entryOffset)
            payload.integer(pair.stubOffset)
        }
        blob(site.name.utf8)
        blob(site.imagePath.utf8)
        blob([1, 2, 3])
    case .patch(let patch):
        kind = 3
        state = patch.state.rawValue
        payload.integer(patch.id)
        payload.integer(UInt32(patch.origin.fromOutside ? 1 : 0))
        payload.integer(patch.origin.pid)
        payload.integer(patch.origin.uid)
        payload.integer(patch.time)
        payload.integer(patch.handle)
        payload.integer(patch.onRevert.rawValue)
        blob(patch.source.utf8)
        blob(patch.digest.utf8)
        payload.integer(UInt32(patch.members.count))
        for member in patch.members {
            payload.integer(member.site)
            payload.integer(member.replacement.rawValue)
            blob(member.replacementName.utf8)
        }
    case .thunk(let thunk):
        kind = 4
        for address in [thunk.range.lowerBound, thunk.range.upperBound, thunk.replacement] {
            payload.integer(address.rawValue)
        }
        payload.integer(thunk.contextSize)
    case .data, .identity, .disposal: return []
    }
    let padded = payload.bytes + [UInt8](repeating: 0, count: -payload.bytes.count & 7)
    var whole = LedgerWriter()
    whole.integer(UInt32(LedgerVersion2.headerSize + padded.count))
    whole.integer(kind)
    whole.integer(state)
    whole.integer(LedgerCoding.checksum(kind: kind, payload: padded[...]))
    whole.bytes(padded)
    return whole.bytes
}
