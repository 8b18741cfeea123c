import HotpatchExpectations
import HotpatchMemory
import HotpatchTestSupport
import Testing

@testable import HotpatchEngine

/// Where things lie that patches have placed, for code that is placed later.
@Suite struct IdentityTests {
    /// A patch of a function that places something of a name.
    private func placing(_ name: String, of target: FakeTarget) throws -> PatchRequest {
        var wanted = try request("getppid", of: target)
        wanted.segments = [
            SegmentRequest(kind: .data, size: 100, near: wanted.replacements[0].function.address)
        ]
        wanted.link = { segments in
            var linked = PatchRequest.Linked()
            linked.contents = [[1]]
            linked.identities = [(name, segments[0].lowerBound + 8), ("Of all", segments[0].lowerBound + 16)]
            return linked
        }
        return wanted
    }

    /// The newest patch in force says where something lies.
    @Test func theNewestInForceCounts() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let first = try engine.apply(try placing("Price", of: target))
        try expect(engine.state().identity("Price"), equals: first.segments[0].lowerBound + 8)
        let second = try engine.apply(try placing("Cart", of: target))
        var state = try engine.state()
        expect(state.identity("Price"), equals: first.segments[0].lowerBound + 8)
        expect(state.identity("Cart"), equals: second.segments[0].lowerBound + 8)
        expect(state.identity("Of all"), equals: second.segments[0].lowerBound + 16)
        _ = try engine.revert([second.id])
        state = try engine.state()
        expect(state.identity("Cart"), equals: nil)
        expect(state.identity("Of all"), equals: first.segments[0].lowerBound + 16)
        _ = try engine.revert([first.id])
        try expect(engine.state().identity("Of all"), equals: nil)
    }

    /// What a patch has placed that is reverted is found, for as long as the code of a later one may refer to it.
    @Test func whatALaterPatchMayReferTo() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let first = try engine.apply(try placing("Price", of: target))
        let second = try engine.apply(try placing("Cart", of: target))
        _ = try engine.revert([first.id])
        var state = try engine.state()
        expect(state.identity("Price"), equals: first.segments[0].lowerBound + 8)
        expect(state.identity("Of all"), equals: second.segments[0].lowerBound + 16)
        // In a new edition, too.
        for _ in 0..<20 {
            let patch = try engine.apply(try placing("Cart", of: target))
            _ = try engine.revert([patch.id])
        }
        state = try engine.state()
        #expect((state.layout.segments.first?.edition ?? 0) > 0)
        expect(state.identity("Price"), equals: first.segments[0].lowerBound + 8)
        expect(state.identity("Cart"), equals: second.segments[0].lowerBound + 8)
        _ = try engine.revert([second.id])
        try expect(engine.state().identity("Price"), equals: nil)
    }

    /// A new edition of the ledger is with those of patches in force, and without the others.
    @Test func aNewEditionKeepsThoseInForce() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let kept = try engine.apply(try placing("Price", of: target))
        for _ in 0..<20 {
            let patch = try engine.apply(try placing("Cart", of: target))
            _ = try engine.revert([patch.id])
        }
        let state = try engine.state()
        #expect((state.layout.segments.first?.edition ?? 0) > 0)
        #expect(state.identities.count < 20, "\(state.identities.count) are kept")
        expect(state.identity("Price"), equals: kept.segments[0].lowerBound + 8)
        expect(state.identity("Of all"), equals: kept.segments[0].lowerBound + 16)
        expect(state.identity("Cart"), equals: nil)
    }
}
