import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchTestSupport
import Testing

@testable import HotpatchEngine

/// Code of patches that nothing enters any more.
@Suite struct DisposalTests {
    private let target: FakeTarget
    private let engine: PatchEngine

    init() throws {
        target = try FakeTarget()
        target.searchesMemory = true
        engine = PatchEngine(target: target, program: "")
    }

    /// Lets a function have new code. Its segments: code, constants.
    @discardableResult
    private func version(_ disposal: Disposal? = Disposal()) throws -> Receipt {
        var wanted = try request("getppid", of: target)
        let (function, near) = (wanted.replacements[0], wanted.replacements[0].function.address)
        wanted.replacements = []
        wanted.segments = [
            SegmentRequest(kind: .text, size: 100, near: near), SegmentRequest(kind: .constant, size: 100, near: near),
        ]
        wanted.link = { segments in
            var linked = PatchRequest.Linked()
            linked.contents = [[1], [2]]
            var replacement = function
            replacement.address = segments[0].lowerBound + 16
            linked.replacements = [replacement]
            linked.disposal = disposal
            return linked
        }
        return try engine.apply(wanted)
    }

    private func isMapped(_ range: Range<Address>) throws -> Bool {
        try target.processMap().region(containing: range.lowerBound) != nil
    }

    /// The newest versions are kept, and so is what comes to lie beside them: one mapping of each kind, however many there are.
    @Test func versionsBeforeThoseThatAreKept() throws {
        let disposal = Disposal(deregister: Address(0x4000), tables: Address(0x5000))
        var receipts: [Receipt] = []
        for _ in 0..<LedgerState.versionsKept { receipts.append(try version(disposal)) }
        #expect(try engine.disposeOfDeadCode().patches.isEmpty)
        #expect(target.calls.isEmpty)
        for _ in 0..<4 { receipts.append(try version(disposal)) }
        for (first, second) in zip(receipts, receipts.dropFirst()) {
            expect(first.segments[0].upperBound, equals: second.segments[0].lowerBound)
            expect(first.segments[1].upperBound, equals: second.segments[1].lowerBound)
        }
        let disposed = try engine.disposeOfDeadCode()
        #expect(disposed.patches == [1, 2, 3, 4] && disposed.bytes == 4 * target.pageSize && disposed.obstacle == nil)
        expect(target.calls.map(\.function), equals: Array(repeating: Address(0x4000), count: 4))
        #expect(target.calls.allSatisfy { $0.arguments == [0x5000] })
        for (number, receipt) in receipts.enumerated() {
            try expect(isMapped(receipt.segments[0]), equals: (number >= 4), "code of patch \(number + 1)")
            #expect(try isMapped(receipt.segments[1]), "constants of patch \(number + 1)")
        }
        var state = try engine.state()
        expect(state.patches.map { $0.record.state == .reverted }, equals: (1...24).map { $0 <= 4 })
        #expect(try engine.disposeOfDeadCode().patches.isEmpty)
        // The others are gone back to, and then what the function was. The next code lies where the first did.
        for receipt in receipts[4...].reversed() { _ = try engine.revert([receipt.id]) }
        #expect(target.isOriginal("getppid"))
        try expect(engine.disposeOfDeadCode().patches, equals: Array(5...24))
        let again = try version(disposal)
        expect(again.segments[0], equals: receipts[0].segments[0])
        // A new edition of the ledger tells of what is left.
        for _ in 0..<20 { _ = try engine.revert([version().id]) }
        state = try engine.state()
        #expect((state.layout.segments.first?.edition ?? 0) > 0)
        expect(state.segments(of: again.id).count, equals: 2)
        #expect(!state.linkedOwners.contains { $0 <= 24 }, "\(state.segments)")
        expect(state.segments.count { $0.constantsSize > 0 && $0.owner == 0 }, equals: 1, "\(state.segments)")
        expect(state.disposal(of: again.id)?.disposal, equals: disposal)
    }

    /// What is recorded, read and mapped does not grow with the number of versions.
    @Test func versionAfterVersion() throws {
        // The most of each at the end of any round.
        var (early, late) = (Cost(), Cost())
        for number in 1...96 {
            let before = target.mappedBytesRead
            try version()
            let read = target.mappedBytesRead - before
            if number % 8 == 0 { _ = try engine.disposeOfDeadCode() }
            if number > 40, number <= 64 { continue }
            let cost = try Cost(engine.state(), read: read, target.processMap())
            if number <= 40 { early.rise(to: cost) } else { late.rise(to: cost) }
        }
        #expect(late.records <= early.records && late.mappings <= early.mappings + 4, "\(early), then \(late)")
        // Numbers of more digits take more bytes.
        #expect(late.bytes <= early.bytes * 21 / 20 && late.read <= early.read * 21 / 20, "\(early), then \(late)")
    }

    /// What an operation has to do with.
    private struct Cost {
        var (records, bytes, read, mappings) = (0, 0, 0, 0)

        init() {}

        /// - Parameter read: bytes of the ledger that an operation has read.
        init(_ state: LedgerState, read: Int, _ map: ProcessMap) {
            records = state.segments.count + state.sites.count + state.thunks.count + state.patches.count
            bytes = state.used
            self.read = read
            // Neighbours of a kind are one to the kernel.
            mappings = zip(map.regions, map.regions.dropFirst()).count { first, second in
                first.range.upperBound != second.range.lowerBound || first.permissions != second.permissions
            }
        }

        mutating func rise(to other: Cost) {
            records = max(records, other.records)
            bytes = max(bytes, other.bytes)
            read = max(read, other.read)
            mappings = max(mappings, other.mappings)
        }
    }

    /// What else lies on a version goes sooner or later, and does not make it old.
    @Test func underOtherPatches() throws {
        let receipt = try version()
        for _ in 0...LedgerState.versionsKept { _ = try engine.apply(try request("getppid", of: target)) }
        #expect(try engine.disposeOfDeadCode().patches.isEmpty)
        #expect(try isMapped(receipt.segments[0]))
        try expect(engine.state().patch(receipt.id)?.state, equals: .applied)
    }

    /// What is led into waits, and only that.
    @Test func whatIsLedIntoWaits() throws {
        let receipts = try (0..<3).map { _ in try version() }
        _ = try engine.revert(receipts.map(\.id))
        target.reached = [receipts[1].segments[0].lowerBound]
        let disposed = try engine.disposeOfDeadCode()
        #expect(disposed.patches == [1, 3] && disposed.obstacle == "a word")
        #expect(try isMapped(receipts[1].segments[0]))
        try expect(engine.state().deadCode.map(\.owner), equals: [2])
        target.reached = []
        try expect(engine.disposeOfDeadCode().patches, equals: [2])
        #expect(try engine.state().deadCode.isEmpty)
    }

    /// Data that leads to the code counts as the code does; and of what has an obstacle, or is not known, nothing is searched for.
    @Test func whatIsSearchedFor() throws {
        let code = try version()
        let both = try version(Disposal(isReachedByData: true))
        let others = [try version(Disposal(obstacle: "a type")), try version(nil)]
        _ = try engine.revert([code.id, both.id] + others.map(\.id))
        try expect(engine.disposeOfDeadCode().patches, equals: [code.id, both.id])
        expect(target.searched.map(\.ranges), equals: [[code.segments[0]], both.segments])
        expect(target.searched.map(\.ignored), equals: [code.segments, both.segments])
        for other in others { #expect(try isMapped(other.segments[0])) }
    }

    /// What is taken away depends on the commit, and on what the unwinder can forget.
    @Test func whatIsReleased() throws {
        let receipts = try [Address(0x5000), Address(0x6000)].map {
            try version(Disposal(deregister: Address(0x4000), tables: $0))
        }
        _ = try engine.revert(receipts.map(\.id))
        target.commitFailure = .rolledBack(address: .null, code: 5)
        #expect(throws: PatchError.self) { try engine.disposeOfDeadCode() }
        #expect(target.calls.isEmpty)
        for receipt in receipts { #expect(try isMapped(receipt.segments[0])) }
        target.commitFailure = nil
        target.answer = { if $0.arguments == [0x5000] { throw FakeTarget.Death() } else { return 0 } }
        let disposed = try engine.disposeOfDeadCode()
        #expect(disposed.patches == [2] && disposed.bytes == target.pageSize)
        expect(disposed.obstacle?.hasPrefix("__deregister_frame could not be run"), equals: true)
        #expect(try isMapped(receipts[0].segments[0]) && !isMapped(receipts[1].segments[0]))
    }

    /// What changes while it is read is read again, as by any other operation.
    @Test func whatIsReadIsWhole() throws {
        let receipt = try version()
        _ = try engine.revert([receipt.id])
        let ledger = try #require(engine.state().layout.segments.first).address
        let major = target.peek(at: ledger + 8)
        // A header that is being written, until the next look.
        target.poke(0xffff, at: ledger + 8)
        target.whileWaiting = { (target, _) in target.poke(major, at: ledger + 8) }
        try expect(engine.disposeOfDeadCode().patches, equals: [receipt.id])
    }

    /// Whenever the patcher dies, nothing leads into what is gone.
    @Test func deathWhileDisposing() throws {
        for _ in 0..<LedgerState.versionsKept { try version() }
        for writes in 0..<6 {
            // One is dead now.
            try version()
            let dead = try #require(engine.state().deadCode.last)
            target.writesToDeath = writes
            _ = try? engine.disposeOfDeadCode()
            target.writesToDeath = nil
            #expect(try isMapped(dead.code[0]), "after \(writes) writes")
        }
        _ = try engine.revert { (_, _) in true }
        #expect(target.isOriginal("getppid"))
        try version()
    }

    /// Who has begun the ledger, and does not know of disposals, would take what is not recorded for damage.
    @Test func aLedgerOfTheMinorVersionBefore() throws {
        _ = try engine.apply(try request("getppid", of: target))
        let ledger = try #require(engine.state().layout.segments.first)
        target.write([0, 0], at: ledger.address + 10)
        let receipt = try version()
        let state = try engine.state()
        #expect(state.layout.minor == 0 && state.disposal(of: receipt.id) == nil && state.patches.count == 2)
        _ = try engine.revert([receipt.id])
        #expect(try engine.disposeOfDeadCode().patches.isEmpty)
    }

    /// A process that cannot be searched keeps it all.
    @Test func whatCannotBeSearched() throws {
        target.searchesMemory = false
        let receipt = try version()
        _ = try engine.revert([receipt.id])
        #expect(try engine.disposeOfDeadCode().patches.isEmpty)
        #expect(try isMapped(receipt.segments[0]))
    }
}
