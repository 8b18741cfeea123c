import HotpatchExpectations
import HotpatchMemory
import HotpatchProcFS
import Testing
import HotpatchTestSupport

@testable import HotpatchEngine

/// Reading a ledger that others write to meanwhile.
struct LedgerReadingTests {
    private let base = Address(0x7f00_0000_0000)
    private let size = 4096

    /// A ledger of one patch, whose records are damaged or not.
    private func contents(edition: UInt32, generation: UInt64, isDamaged: Bool) -> [UInt8] {
        let records: [LedgerRecord] = [
            .patch(
                PatchRecord(
                    id: 1, state: .applied, origin: .init(fromOutside: true, pid: 1, uid: 0), time: 1, source: "",
                    digest: "", handle: 0, onRevert: Address(0), members: []))
        ]
        var body = LedgerEncoder(records).bytes
        if isDamaged { body = [UInt8](repeating: 0, count: body.count) }
        var bytes = Ledger.header(
            segment: 0, edition: edition, size: size, generation: generation, used: body.count)
        bytes += [UInt8](repeating: 0, count: Ledger.headerSize - bytes.count) + body
        return bytes + [UInt8](repeating: 0, count: size - bytes.count)
    }

    /// What a process holds at each look at its mappings: nil where its ledger is gone by the time that it is read.
    private final class Scene: MemoryReader, @unchecked Sendable {
        var moments: [[UInt8]?]
        let base: Address
        var looks = 0

        init(_ moments: [[UInt8]?], at base: Address) { (self.moments, self.base) = (moments, base) }

        func map() throws -> ProcessMap {
            looks += 1
            if moments.count > 1 { moments.removeFirst() }
            let (start, end) = (String(base.rawValue, radix: 16), String(base.rawValue + 4096, radix: 16))
            return try ProcessMap(
                parsing: "\(start)-\(end) rw-p 00000000 00:01 7   /memfd:hotpatch-ledger (deleted)\n", pid: 1)
        }

        func read(at address: Address, into buffer: UnsafeMutableRawBufferPointer) throws(MemoryError) {
            try BytesMemory(base: base, contents: moments[0] ?? []).read(at: address, into: buffer)
        }
    }

    private func read(_ scene: Scene, isOutOfTime: Bool = false) throws -> LedgerState {
        try LedgerState.read(of: scene.map, memory: scene, until: { isOutOfTime }).state
    }

    @Test func whatWasReadWhileItWasWrittenIsReadAgain() throws {
        let restless = (0..<40).map { contents(edition: 1, generation: UInt64($0), isDamaged: true) }
        let scene = Scene(restless + [contents(edition: 2, generation: 41, isDamaged: false)], at: base)
        try expect(read(scene).patches.count, equals: 1)
        #expect(scene.looks >= 20)
    }

    @Test func whatIsGoneWhenItIsReadIsLookedForAgain() throws {
        let there = contents(edition: 2, generation: 41, isDamaged: false)
        let scene = Scene([nil, nil, contents(edition: 1, generation: 1, isDamaged: true), nil, nil, there], at: base)
        try expect(read(scene).patches.count, equals: 1)
    }

    @Test func damageThatStaysIsDamage() throws {
        let scene = Scene([contents(edition: 1, generation: 1, isDamaged: true)], at: base)
        #expect(throws: LedgerError.self) { try read(scene) }
        #expect(scene.looks <= 10)
        let unreadable = Scene([nil], at: base)
        #expect(throws: MemoryError.self) { try read(unreadable) }
    }

    /// A process can change its ledger for ever.
    @Test func timeEndsTheReading() throws {
        let restless = (0..<40).map { contents(edition: 1, generation: UInt64($0), isDamaged: true) }
        let scene = Scene(restless, at: base)
        #expect(throws: LedgerError.self) { try read(scene, isOutOfTime: true) }
        #expect(scene.looks <= 2)
    }
}
