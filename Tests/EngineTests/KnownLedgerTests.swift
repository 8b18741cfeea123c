import HotpatchMemory
import HotpatchPlan
import HotpatchTestSupport
import Testing

@testable import HotpatchEngine

/// What an engine knows of the ledger from the operation before is what it would read of it now.
@Suite struct KnownLedgerTests {
    private static let names = ["getppid", "getuid", "geteuid", "getgid", "getegid", "getpgrp"]

    /// What a state says, in words.
    private func words(_ state: LedgerState) -> [String] {
        var words = state.patches.map { "\($0)" }
        words += state.sites.map { site in
            "\(site) \(String(describing: state.layer(of: site.id))) \(String(describing: state.site(entry: site.entry)?.id))"
                + " \(state.isJump(site.detour, of: site)) \(String(describing: state.replacement(for: site.entry)))"
        }
        words += state.data.map { "\($0) \(String(describing: state.layer(ofData: $0.id)))" }
        words += state.pools.map { "\($0) \(state.end(of: $0))" }
        words += state.texts + state.sitesByAddress.map { "\(state.site($0).patchAddress)" }
        words.append("\(state.layout.segments) \(state.isDueForNewEdition) \(state.nextPatch) \(state.nextSite)")
        words.append(String(describing: state.identity("Price")))
        return words
    }

    @Test func whatIsKnownIsWhatStandsThere() throws {
        let target = try FakeTarget()
        target.committer = 77
        let engine = PatchEngine(target: target, program: "")
        // Who has not read it before reads all of it.
        func check() throws {
            let known = words(try engine.state())
            let read = words(try PatchEngine(target: target, program: "").state())
            #expect(known == read)
        }
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        let other = PatchEngine(target: target, program: "")
        var inForce: [UInt32] = []
        for round in 0..<80 {
            // Now and then somebody else.
            let engine = Int.random(in: 0..<8, using: &random) == 0 ? other : engine
            if inForce.isEmpty || Int.random(in: 0..<5, using: &random) < 3 {
                var wanted = try request(Self.names.randomElement(using: &random)!, of: target)
                let near = wanted.replacements[0].function.address
                if round % 3 == 0 {
                    wanted.segments = [SegmentRequest(kind: .data, size: 100, near: near)]
                    wanted.link = { segments in
                        var linked = PatchRequest.Linked()
                        linked.contents = [[1]]
                        linked.identities = [("Price", segments[0].lowerBound + round)]
                        return linked
                    }
                }
                inForce.append(try engine.apply(wanted).id)
            } else {
                let id = inForce.remove(at: Int.random(in: 0..<inForce.count, using: &random))
                _ = try engine.revert([id])
            }
            if round % 2 == 0 { try check() }
        }
        try check()
    }

    /// A commit that did not get through leaves nothing that is believed.
    @Test func aFailedCommitIsNotBelieved() throws {
        let target = try FakeTarget()
        target.committer = 77
        let engine = PatchEngine(target: target, program: "")
        let first = try engine.apply(try request("getppid", of: target))
        target.writesToDeath = 3
        #expect(throws: PatchError.self) { _ = try engine.apply(try request("getuid", of: target)) }
        target.writesToDeath = nil
        let known = words(try engine.state())
        #expect(known == words(try PatchEngine(target: target, program: "").state()))
        _ = try engine.revert([first.id])
        #expect(try engine.state().patch(first.id)?.state != .applied)
        #expect(words(try engine.state()) == words(try PatchEngine(target: target, program: "").state()))
    }
}
