import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import HotpatchTestSupport
import Testing

@testable import HotpatchEngine

/// What an engine inside the process knows of the ledger from the operation before is what it would read of it now.
@Suite struct KnownLedgerTests {
    private static let names = ["getppid", "getuid", "geteuid", "getgid", "getegid", "getpgrp"]

    /// As from inside.
    private func target() throws -> FakeTarget {
        let target = try FakeTarget()
        target.committer = 77
        return target
    }

    /// What a state says, in words.
    private func words(_ state: LedgerState) -> [String] {
        var words = state.patches.map { "\($0)" }
        words += state.sites.map { site in
            "\(site) \(String(describing: state.layer(of: site.id))) \(String(describing: state.site(entry: site.entry)?.id))"
                + " \(state.isJump(site.detour, of: site)) \(String(describing: state.replacement(for: site.entry)))"
        }
        words += state.data.map {
            "\($0) \(String(describing: state.layer(ofData: $0.id))) \(String(describing: state.dataInForce(overlapping: $0.range)))"
        }
        words += state.segments.map { "\($0) \(String(describing: state.disposal(of: $0.owner)))" }
        words += state.deadCode.map { "\($0.code) of \($0.owner) is dead" }
        words += state.pools.map { "\($0) \(state.end(of: $0))" }
        words += state.texts + state.sitesByAddress.map { "\(state.site($0).patchAddress)" }
        words.append("\(state.layout.segments) \(state.nextPatch) \(state.nextSite) \(state.nextData)")
        words.append("\(state.used) \(state.forgettable) \(state.mentions) \(state.isDueForNewEdition)")
        for name in ["Price", "Cart", "Of all"] { words.append("\(name) \(String(describing: state.identity(name)))") }
        return words
    }

    /// What `engine` knows, beside what somebody reads who has not read it before.
    private func expectKnown(
        by engine: PatchEngine, of target: FakeTarget, _ when: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let known = words(try engine.state())
        let read = words(try PatchEngine(target: target, program: "").state())
        for (known, read) in zip(known, read) where known != read {
            Issue.record("\(when): \(known) is known where \(read) stands", sourceLocation: sourceLocation)
        }
        expect(known.count, equals: read.count, "\(when)", sourceLocation: sourceLocation)
    }

    /// Has a patch place a function, whose code can be disposed of.
    private func placeFunction(by request: inout PatchRequest) {
        let function = request.replacements.removeLast()
        request.segments = [SegmentRequest(kind: .text, size: 100, near: function.function.address)]
        request.link = { segments in
            var linked = PatchRequest.Linked()
            linked.contents = [[1]]
            var replacement = function
            replacement.address = segments[0].lowerBound
            linked.replacements = [replacement]
            linked.disposal = Disposal()
            return linked
        }
    }

    /// Has a patch place things of these names.
    private func place(_ names: [String], at offset: Int, by request: inout PatchRequest) {
        request.segments = [
            SegmentRequest(kind: .data, size: 100, near: request.replacements[0].function.address)
        ]
        request.link = { segments in
            var linked = PatchRequest.Linked()
            linked.contents = [[1]]
            linked.identities = names.map { ($0, segments[0].lowerBound + offset) }
            return linked
        }
    }

    /// A new edition has in one record what several patches have placed: whose it is, each says for itself.
    @Test func identitiesOfSeveralPatches() throws {
        let target = try target()
        let engine = PatchEngine(target: target, program: "")
        let receipts = try (0..<3).map { number in
            var wanted = try request(Self.names[number], of: target)
            place(["Price", "Of \(number)"], at: 8 * number, by: &wanted)
            return try engine.apply(wanted)
        }
        for _ in 0..<20 { _ = try engine.revert([engine.apply(try request("getpgrp", of: target)).id]) }
        #expect((try engine.state().layout.segments.first?.edition ?? 0) > 0)
        for number in [2, 0, 1] {
            _ = try engine.revert([receipts[number].id])
            try expectKnown(by: engine, of: target, "without \(number)")
            let expected = number == 1 ? nil : receipts[1].segments[0].lowerBound + 8
            try expect(engine.state().identity("Price"), equals: expected)
        }
    }

    @Test func whatIsKnownIsWhatStandsThere() throws {
        let target = try target()
        let engines = (0..<2).map { _ in PatchEngine(target: target, program: "") }
        let data = Address(0x5000_0000_0000)
        try target.map(data..<data + 4096, .data)
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        var inForce: [UInt32] = []
        var disposed = 0
        for round in 0..<80 {
            // Now and then somebody else.
            let engine = engines[Int.random(in: 0..<8, using: &random) == 0 ? 1 : 0]
            if inForce.isEmpty || Int.random(in: 0..<5, using: &random) < 3 {
                var wanted = try request(Self.names.randomElement(using: &random)!, of: target)
                if round % 3 == 1 { placeFunction(by: &wanted) }
                if round % 3 == 0 { place([["Price", "Cart"][round % 2], "Of all"], at: round, by: &wanted) }
                if round % 4 == 0 {
                    let address = data + 8 * Int.random(in: 0..<4, using: &random)
                    let bytes = try target.memory.bytes(at: address, count: 8)
                    wanted.stores = [
                        DataStore(
                            address: address, expected: bytes, bytes: [UInt8](repeating: UInt8(round + 1), count: 8),
                            name: "word")
                    ]
                }
                inForce.append(try engine.apply(wanted).id)
            } else {
                let id = inForce.remove(at: Int.random(in: 0..<inForce.count, using: &random))
                _ = try engine.revert([id])
            }
            if round % 5 == 0 {
                // From outside, as it may be at any time, and then perhaps by who knows the ledger.
                let outside = round % 10 == 0
                target.searchesMemory = true
                target.committer = outside ? 0 : 77
                disposed += try (outside ? PatchEngine(target: target, program: "") : engine).disposeOfDeadCode()
                    .patches
                    .count
                (target.searchesMemory, target.committer) = (false, 77)
            }
            if round % 2 == 0 { try expectKnown(by: engines[0], of: target, "round \(round), seed \(seed)") }
        }
        try expectKnown(by: engines[0], of: target, "at the end, seed \(seed)")
        #expect(disposed > 0, "seed \(seed)")
    }

    /// An operation reads what the one before has added, not all that there is.
    @Test func onlyWhatIsAddedIsRead() throws {
        let target = try target()
        let engine = PatchEngine(target: target, program: "")
        func read(_ body: () throws -> Void) rethrows -> Int {
            let before = target.mappedBytesRead
            try body()
            return target.mappedBytesRead - before
        }
        var ids = try (0..<4).map { _ in try engine.apply(try request("getppid", of: target)).id }
        let early = try read { ids.append(try engine.apply(try request("getppid", of: target)).id) }
        for _ in 0..<40 { ids.append(try engine.apply(try request("getppid", of: target)).id) }
        let late = try read { ids.append(try engine.apply(try request("getppid", of: target)).id) }
        #expect(late <= early + 64, "\(early) bytes, then \(late)")
        let revert = try read { _ = try engine.revert([ids[20]]) }
        let after = try read { _ = try engine.revert([ids[21]]) }
        #expect(max(revert, after) <= early + 64, "\(early) bytes, of reverts \(revert) and \(after)")
        // From outside all of it: it may have been read while another patcher changed it.
        target.committer = 0
        let outside = try read { _ = try engine.state() }
        #expect(outside > 20 * early, "\(early) bytes, from outside \(outside)")
    }

    /// What somebody else has done meanwhile is seen: from inside, from outside, and by halves.
    @Test func whatOthersDoIsSeen() throws {
        let target = try target()
        let engine = PatchEngine(target: target, program: "")
        let others = PatchEngine(target: target, program: "")
        var last = try engine.apply(try request("getppid", of: target)).id
        func outside(_ body: () throws -> Void) rethrows {
            target.committer = 0
            defer { target.committer = 77 }
            try body()
        }
        for round in 0..<8 {
            let when = "round \(round)"
            switch round {
            case 0, 4: last = try others.apply(try request("getuid", of: target)).id
            case 1, 5: _ = try others.revert([last])
            case 2, 6: try outside { last = try others.apply(try request("getgid", of: target)).id }
            default:
                outside {
                    target.writesToDeath = round == 3 ? 4 : 2
                    #expect(throws: (any Error).self) { _ = try others.revert([last]) }
                    target.writesToDeath = nil
                }
            }
            try expectKnown(by: engine, of: target, when)
            last = try engine.apply(try request("getegid", of: target)).id
            try expectKnown(by: engine, of: target, when)
        }
    }

    /// A commit that did not get through leaves nothing that is believed.
    @Test(arguments: 0..<4) func aFailedCommitIsNotBelieved(writes: Int) throws {
        let target = try target()
        let engine = PatchEngine(target: target, program: "")
        let first = try engine.apply(try request("getppid", of: target))
        target.writesToDeath = writes
        #expect(throws: (any Error).self) { _ = try engine.apply(try request("getuid", of: target)) }
        target.writesToDeath = nil
        try expectKnown(by: engine, of: target, "after an apply")
        target.writesToDeath = writes
        #expect(throws: (any Error).self) { _ = try engine.revert([first.id]) }
        target.writesToDeath = nil
        try expectKnown(by: engine, of: target, "after a revert")
        _ = try engine.revert { _, _ in true }
        try expectKnown(by: engine, of: target, "at the end")
        #expect(target.isOriginal("getppid") && target.isOriginal("getuid"))
    }
}
