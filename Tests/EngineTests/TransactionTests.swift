import Glibc
import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols
import HotpatchTestSupport
import Synchronization
import Testing

@testable import HotpatchEngine

/// The engine against a process that is this one's memory with what was written laid over it: whatever moment a patcher dies at, and
/// whoever else patches, can be had at will.
@Suite struct TransactionTests {
    /// Patches that are reverted cost nothing: neither bytes nor time grow with what was.
    @Test func whatIsRevertedIsForgotten() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let other = try engine.apply(try request("getuid", of: target))
        var ids: [UInt32] = []
        var most = 0
        for _ in 0..<60 {
            let receipt = try engine.apply(try request("getppid", of: target))
            ids.append(receipt.id)
            _ = try engine.revert([receipt.id])
            let state = try engine.state()
            most = max(most, state.layout.segments.reduce(0) { $0 + $1.used })
            expect(state.sites.count, equals: 2)
        }
        #expect(most < 2 * Ledger.tolerated, "\(most) bytes")
        #expect(Set(ids).count == ids.count && ids.sorted() == ids, "a number was used twice")
        expect(target.ledgerCount, equals: 2, "\(target.ledgerCount) mappings")
        // A handle to what was forgotten says so, and cannot revert another patch.
        for id in [ids[0], ids[ids.count - 1]] {
            let error = failure { _ = try engine.revert([id]) }
            #expect("\(error)".contains("it is reverted"), "\(error)")
        }
        let error = failure { _ = try engine.revert([1_000_000]) }
        #expect("\(error)".contains("has no patch 1000000"), "\(error)")
        try expect(engine.state().patch(other.id)?.state, equals: .applied)
    }

    /// The newest patch takes turns with the one before, so that something in force always lies behind what is not.
    @Test func patchesThatRollAreForgotten() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        var last = try engine.apply(try request("getppid", of: target)).id
        var most = 0
        for _ in 0..<60 {
            let next = try engine.apply(try request("getppid", of: target)).id
            _ = try engine.revert([last])
            last = next
            most = max(most, try engine.state().layout.segments.reduce(0) { $0 + $1.used })
        }
        #expect(most < 2 * Ledger.tolerated, "\(most) bytes")
        try expect(engine.state().patches.filter { $0.record.state == .applied }.map(\.record.id), equals: [last])
    }

    /// A task may return through a thunk at any time: it is there for good, and serves again where it would be made again.
    @Test func thunksStay() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        var thunks: [AsyncThunk] = []
        for round in 0..<40 {
            var wanted = try request("getppid", of: target)
            wanted.replacements[0].context = .init(
                size: 32 + round % 4 * 16, allocator: .init(allocate: Address(0x1000), deallocate: Address(0x2000)))
            let planned = try engine.plan(wanted).plan.thunks
            expect(planned.count, equals: (round < 4 ? 1 : 0), "round \(round)")
            thunks += planned
            let id = try engine.apply(wanted).id
            let state = try engine.state()
            expect(state.layer(of: 1)?.replacement, equals: thunks[round % 4].address)
            try expect(
                state.replacement(for: target.function("getppid").address)?.address,
                equals: target.function("getpid").address)
            // A stub that is placed later lies beside it.
            if round == 20 { _ = try engine.apply(try request("getuid", of: target)) }
            for thunk in thunks {
                try expect(target.memory.bytes(at: thunk.address, count: thunk.bytes.count), equals: thunk.bytes)
            }
            _ = try engine.revert([id])
        }
        #expect(try engine.state().layout.segments[0].edition > 0)
        #expect(Set(thunks.map(\.address)).count == 4 && thunks.allSatisfy { $0.address.rawValue % 16 == 0 })
        #expect(target.isOriginal("getppid"))
    }

    /// Whichever write is a patcher's last, among those that make a new edition too: what was in force is, and the next patcher goes
    /// on from there.
    @Test func aPatcherMayDieAtAnyWrite() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let kept = try engine.apply(try request("getuid", of: target)).id
        var moments = 0
        var editions: Set<UInt32> = []
        while editions.count < 3 {
            let isDue = try engine.state().isDueForNewEdition
            for moment in 0..<(isDue ? 20 : 0) {
                target.writesToDeath = moment
                _ = failure { _ = try engine.apply(try request("getppid", of: target)) }
                let died = target.writesToDeath == 0
                target.writesToDeath = nil
                if !died { break }
                moments += 1
                let state = try engine.state()
                expect(state.patch(kept)?.state, equals: .applied, "moment \(moment)")
                expect(state.sites.count, equals: 2, "moment \(moment)")
                for entry in state.patches where entry.record.id != kept && entry.record.state != .reverted {
                    _ = try engine.revert([entry.record.id])
                }
                #expect(target.isOriginal("getppid") && !target.isOriginal("getuid"), "moment \(moment)")
                while try !engine.state().isDueForNewEdition {
                    _ = try engine.revert([engine.apply(try request("getppid", of: target)).id])
                }
            }
            _ = try engine.revert([engine.apply(try request("getppid", of: target)).id])
            editions.insert(try engine.state().layout.segments[0].edition)
        }
        #expect(moments >= 10, "only \(moments) moments")
    }

    /// While a thread of the process commits from inside, a commit from outside changes nothing; it waits, and then says who it is.
    @Test func aCommitFromInsideIsNotInterrupted() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let id = try engine.apply(try request("getppid", of: target)).id
        let word = try #require(engine.state().layout.segments.first).address + Ledger.committerOffset
        target.threads = [7]
        target.poke(7, at: word)
        target.turns = 5
        for error in [
            failure { _ = try engine.apply(try request("getuid", of: target)) },
            failure { _ = try engine.revert([id]) },
        ] { #expect("\(error)".contains("thread 7 is committing a patch itself"), "\(error)") }
        try expect(engine.state().patch(id)?.state, equals: .applied)

        // Begun between plan and commit.
        target.poke(0, at: word)
        target.beforeCommit = { $0.poke(7, at: word) }
        let error = failure { _ = try engine.apply(try request("getuid", of: target)) }
        #expect("\(error)".contains("thread 7 is committing a patch itself"), "\(error)")
        #expect(target.isOriginal("getuid"))

        // Over in time.
        target.beforeCommit = { _ in }
        target.poke(7, at: word)
        target.whileWaiting = { if $1 == 3 { $0.poke(0, at: word) } }
        _ = try engine.apply(try request("getuid", of: target))
        #expect(!target.isOriginal("getuid"))

        // A thread that is not there: the process is a copy, made by a fork meanwhile.
        target.threads = []
        target.poke(7, at: word)
        _ = try engine.revert([id])
        expect(target.peek(at: word), equals: 0)
    }

    /// From inside, the word is set before anything is checked, in a new edition too, and cleared at the end.
    @Test func aCommitFromInsideSaysSo() throws {
        let target = try FakeTarget()
        target.committer = 42
        let engine = PatchEngine(target: target, program: "")
        for _ in 0..<20 { _ = try engine.revert([engine.apply(try request("getppid", of: target)).id]) }
        #expect(try engine.state().layout.segments[0].edition > 0)
        try expect(engine.state().committer, equals: 0)
        #expect(target.announced.allSatisfy { !$0.isEmpty })
        // What another thread has left there is over: inside there is one commit at a time.
        let word = try #require(engine.state().layout.segments.first).address + Ledger.committerOffset
        target.poke(7, at: word)
        _ = try engine.apply(try request("getppid", of: target))
    }

    /// Who is overtaken plans anew, for as long as there is time, and then says by whom.
    @Test func whoIsOvertakenPlansAnew() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let first = try engine.apply(try request("getppid", of: target))
        func overtake(_ target: FakeTarget) {
            do {
                let layout = try engine.state().layout
                let ledger = try #require(layout.segments.first).address
                target.poke(layout.generation + 1, at: ledger + Ledger.generationOffset)
            } catch { Issue.record(error) }
        }
        target.beforeCommit = { target in
            if target.commits <= 20 { overtake(target) }
        }
        target.commits = 0
        _ = try engine.apply(try request("getuid", of: target))
        target.beforeCommit = overtake
        target.turns = 30
        let error = failure { _ = try engine.revert([first.id]) }
        #expect("\(error)".contains("last by patch 2 of process 1234"), "\(error)")
    }

    /// A function whose bytes change all the while between plan and commit is named, though no ledger tells of it yet.
    @Test func aFirstPatchNamesWhatHasChanged() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let site = try #require(try engine.plan(try request("getppid", of: target)).sites.first)
        // The number of the system call that it loads: code as good as before.
        target.beforeCommit = { $0.poke($0.peek(at: site.patchAddress) ^ 0x100, at: site.patchAddress) }
        let error = failure { _ = try engine.apply(try request("getppid", of: target)) }
        #expect(error.hasPrefix("cannot touch \(site.name): the bytes at \(site.patchAddress) are "), "\(error)")
        #expect(site.name.hasSuffix("getppid"))
        #expect(target.commits > 1)
        target.beforeCommit = { _ in }
        _ = try engine.apply(try request("getppid", of: target))
    }

    /// Whoever writes into an entry between plan and commit is a conflict too, of another kind: it is looked for in the ledger some times,
    /// and then told of. The overtaken ledger is known by its place, whatever the function is called.
    @Test func anotherPatchersJumpIsNoOvertaking() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let first = try engine.apply(try request("getppid", of: target))
        let entry = first.sites[0].patchAddress
        target.turns = 30
        target.commits = 0
        target.beforeCommit = { $0.poke(0xCCCC_CCCC_CCCC_CCCC, at: entry) }
        do {
            _ = try engine.revert([first.id])
            Issue.record("reverted")
        } catch {
            guard error.code == .entryChanged, error.address == entry else { throw error }
            let bytes = Array(repeating: "cc", count: first.sites[0].detour.count).joined(separator: " ")
            #expect(error.message.contains(" are \(bytes), not "), "\(error)")
        }
        expect(target.commits, equals: 1, "planned anew, it is seen before a commit")
        try expect(engine.state().patch(first.id)?.state, equals: .applied)
    }

    /// What was mapped for a patch goes with it, unless the commit may have made it reachable.
    @Test func whatWasStagedIsReleased() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let wanted = try request("getppid", of: target)
        target.commitFailure = .rolledBack(address: .null, code: EIO)
        #expect(failure { _ = try engine.apply(wanted) }.contains("undone"))
        expect(target.poolCount, equals: 0)
        // Each time that it is planned anew, too.
        target.commitFailure = .addressTaken(.null)
        target.turns = 5
        #expect(failure { _ = try engine.apply(wanted) }.contains("in time"))
        #expect(target.commits == 7 && target.poolCount == 0, "\(target.commits) commits, \(target.poolCount) mappings")
        target.commitFailure = .inconsistent(address: .null, code: EIO)
        #expect(failure { _ = try engine.apply(wanted) }.contains("undoing it failed too"))
        expect(target.poolCount, equals: 2)
        target.commitFailure = nil
        _ = try engine.apply(wanted)
        expect(target.poolCount, equals: 4)
    }

    /// What was staged is used again where the commit is retried: mapped, filled, linked and called once, whatever the plan is then.
    @Test func whatWasStagedIsUsedAgain() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        var wanted = try request("getppid", of: target)
        let near = wanted.replacements[0].function.address
        wanted.segments = [
            SegmentRequest(kind: .text, size: 100, near: near), SegmentRequest(kind: .data, size: 5000, near: near),
        ]
        let links = Mutex(0)
        let (register, unregister) = (Address(0x1111_0000), Address(0x2222_0000))
        wanted.link = { segments in
            links.withLock { $0 += 1 }
            var linked = PatchRequest.Linked()
            linked.contents = [[1, 2, 3], [4]]
            linked.callsBefore = [
                Call(
                    register, [segments[0].lowerBound.rawValue, 3], name: "register",
                    answer: .stored(at: segments[1].lowerBound + 8), undo: .call(Call(unregister, name: "unregister")))
            ]
            return linked
        }
        target.answer = { _ in 0x1234 }
        // Before two commits somebody else patches: the ledger, and the pool to be used, are not what they were.
        let other = PatchEngine(target: target, program: "")
        var isOther = false
        let another = try request("getuid", of: target)
        target.beforeCommit = { target in
            guard !isOther, target.commits <= 3 else { return }
            isOther = true
            defer { isOther = false }
            do { _ = try other.apply(another) } catch { Issue.record(error) }
        }
        let receipt = try engine.apply(wanted)
        target.beforeCommit = { _ in }
        expect(target.commits, equals: 5, "\(target.commits) commits")
        expect(links.withLock { $0 }, equals: 1)
        expect(target.calls.map(\.name), equals: ["register"])
        expect(receipt.segments.map { $0.upperBound - $0.lowerBound }, equals: [4096, 8192])
        for (segment, bytes) in zip(receipt.segments, [[1, 2, 3, 0], [4, 0, 0, 0]] as [[UInt8]]) {
            try expect(target.memory.bytes(at: segment.lowerBound, count: 4), equals: bytes)
        }
        expect(target.peek(at: receipt.segments[1].lowerBound + 8), equals: 0x1234)
        // The other's pool, of two mappings; two segments. What was mapped for a plan that was overtaken is gone.
        expect(target.poolCount, equals: 4, "\(target.poolCount) mappings")
        try expect(engine.state().pools.count, equals: 1)

        // Where it comes to nothing, it is taken back: the calls first.
        target.commitFailure = .rolledBack(address: .null, code: EIO)
        _ = failure { _ = try engine.apply(wanted) }
        expect(target.calls.map(\.name), equals: ["register", "register", "unregister"])
        expect(target.poolCount, equals: 4, "\(target.poolCount) mappings")
        // What a function may have kept, and will not give back, stays.
        wanted.callsBefore = [Call(register, name: "keep", undo: .impossible)]
        _ = failure { _ = try engine.apply(wanted) }
        expect(target.poolCount, equals: 6, "\(target.poolCount) mappings")
        // A function that refuses: what was called before it is undone, and nothing is committed.
        target.commitFailure = nil
        target.commits = 0
        wanted.callsBefore = [
            Call(register, name: "first", undo: .call(Call(unregister, name: "undo first"))),
            Call(register, name: "second", answer: .zero, undo: .call(Call(unregister, name: "undo second"))),
        ]
        let refusal = failure { _ = try engine.apply(wanted) }
        #expect(refusal.contains("second returned 4660, which refuses the patch"), "\(refusal)")
        expect(target.calls.suffix(3).map(\.name), equals: ["first", "second", "undo first"])
        #expect(target.commits == 0 && target.poolCount == 6, "\(target.poolCount) mappings")
        // A failure afterwards is told, and undoes nothing.
        wanted.callsBefore = []
        wanted.callsAfter = [Call(register, name: "late")]
        target.answer = { if $0.name == "late" { throw FakeTarget.Death() } else { return 0 } }
        let late = try engine.apply(wanted)
        #expect(late.problems.count == 1 && late.problems[0].hasPrefix("late could not be run"), "\(late.problems)")
        try expect(engine.state().patch(late.id)?.state, equals: .applied)
    }

    /// A pool that was mapped for a plan that was overtaken serves the next.
    @Test func aPoolIsMappedOnce() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        target.beforeCommit = { $0.commitFailure = $0.commits <= 3 ? .overtaken(pid: 1) : nil }
        _ = try engine.apply(try request("getppid", of: target))
        #expect(target.commits == 4 && target.mapsMade == 2, "\(target.commits) commits, \(target.mapsMade) mappings")
        expect(target.poolCount, equals: 2)
        try expect(engine.state().pools.count, equals: 1)
    }

    /// A function that cannot be patched is left out where the request allows it, and nothing of it remains.
    @Test func whatIsRefusedMayBeLeftOut() throws {
        let target = try FakeTarget()
        let own = try target.function("getuid").address
        let engine = PatchEngine(target: target, program: "") { $0.address == own }
        var wanted = try request("getppid", of: target)
        wanted.replacements.insert(contentsOf: try request("getuid", of: target).replacements, at: 0)
        wanted.replacements += try request("getgid", of: target).replacements
        #expect(failure { _ = try engine.apply(wanted) }.contains("belongs to the patching engine"))
        expect(target.poolCount, equals: 0)
        wanted.leavesOutRefused = true
        // It takes a thunk first.
        wanted.replacements[0].context = .init(
            size: 32, allocator: .init(allocate: Address(0x1000), deallocate: Address(0x2000)))
        let receipt = try engine.apply(wanted)
        #expect(receipt.refused.map(\.index) == [0] && receipt.refused[0].function.address == own)
        #expect("\(receipt.refused[0].error)".contains("belongs to the patching engine"))
        expect(receipt.sites.map(\.name), equals: ["getppid", "getgid"])
        #expect(target.isOriginal("getuid") && !target.isOriginal("getppid") && !target.isOriginal("getgid"))
        try expect(engine.state().sites.count, equals: 2)
        _ = try engine.revert([receipt.id])
        // With nothing left, the refusal is the answer.
        wanted.replacements.removeSubrange(1...)
        #expect(failure { _ = try engine.apply(wanted) }.contains("belongs to the patching engine"))
    }

    /// Code that cannot be read, or searched, is a reason not to patch the functions of its image, and no others.
    @Test func anImageThatCannotBeReadIsLeftOut() throws {
        let target = try FakeTarget()
        let other = try target.index.function(named: "elf_begin", in: "libelf.so.1")
        let code = try #require(other.image.executableMappings.first).lowerBound
        target.unreadable = code..<code + 64
        let engine = PatchEngine(target: target, program: "")
        var wanted = try request("getppid", of: target)
        wanted.replacements.insert(
            Replacement(
                function: other, extent: target.index.extent(of: other), address: wanted.replacements[0].address,
                name: "getpid"), at: 0)
        let error = #expect(throws: PatchError.self) { try engine.apply(wanted) }
        expect(error?.code, equals: .memory)
        expect(target.commits, equals: 0)
        wanted.leavesOutRefused = true
        let receipt = try engine.apply(wanted)
        expect(receipt.refused.map(\.index), equals: [0])
        expect(receipt.refused.map(\.error.code), equals: [.memory])
        #expect(!target.isOriginal("getppid"))
        expect(receipt.sites.map(\.name), equals: ["getppid"])
    }

    /// What is known of functions when they are asked for is a reason of its own, whatever it is.
    @Test func aKnownReasonLeavesAFunctionOut() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        var wanted = try request("getppid", of: target)
        wanted.replacements += try request("getgid", of: target).replacements
        wanted.refusals = [1: .target("its runtime is another one")]
        #expect(failure { _ = try engine.apply(wanted) }.contains("its runtime is another one"))
        wanted.leavesOutRefused = true
        let receipt = try engine.apply(wanted)
        #expect(receipt.refused.map(\.index) == [1] && target.isOriginal("getgid") && !target.isOriginal("getppid"))
    }

    /// What was found of an entry holds for as long as its image lies there: then nothing but the entry is looked at again.
    @Test func aFunctionPatchedAgainIsNotSearchedAgain() throws {
        let target = try FakeTarget()
        target.showsDevices = true
        let engine = PatchEngine(target: target, program: "")
        let first = try engine.apply(try request("getppid", of: target))
        _ = try engine.revert([first.id])
        func bytesRead() throws -> Int {
            let before = target.mappedBytesRead
            let planned = try engine.plan(try request("getppid", of: target))
            expect(planned.sites, equals: first.sites)
            return target.mappedBytesRead - before
        }
        let known = try bytesRead()
        // Another file lies there now.
        target.inodeShift = 1
        let unknown = try bytesRead()
        #expect(unknown > known, "\(unknown) bytes of ledger and stub, and \(known)")
    }

    /// Words of data and of constants, by the protection that their page has.
    @Test func dataIsChangedByItsKind() throws {
        let pages = UnsafeMutableRawPointer(
            mmap(nil, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))!
        let shared = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)!
        defer {
            munmap(pages, 3 * 4096)
            munmap(shared, 4096)
        }
        mprotect(pages + 4096, 4096, PROT_READ)
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let (data, constant) = (Address(pages), Address(pages + 4096))
        func request(_ stores: [DataStore]) -> PatchRequest {
            var request = PatchRequest(replacements: [], origin: .init(fromOutside: true, pid: 1, uid: 0))
            request.stores = stores
            return request
        }
        func store(_ address: Address, _ count: Int = 8, from old: UInt8 = 0) -> DataStore {
            let (before, after) = ([UInt8](repeating: old, count: count), [UInt8](repeating: 7, count: count))
            return DataStore(address: address, expected: before, bytes: after, name: "table")
        }
        let planned = try engine.plan(request([store(data), store(constant, 3000)])).plan
        expect(planned[.data].map(\.kind), equals: [.data, .constant])
        expect(planned[.data].map(\.address), equals: [data, constant])
        for (bad, why) in [
            (store(Address(shared)), "Others share the memory"), (store(Address(0x10)), "Nothing is mapped there"),
            (store(try target.function("getppid").address), "code"),
            (store(data + 4092), "lie on two pages"), (store(data, from: 1), "the bytes at"),
            (DataStore(address: data, expected: [0], bytes: [], name: "table"), "0 bytes instead of 1"),
        ] {
            let error = failure { _ = try engine.apply(request([bad])) }
            #expect(error.contains(why) && error.contains("table"), "\(error)")
        }
        let twice = failure { _ = try engine.plan(request([store(data), store(data + 4)])) }
        #expect(twice.contains("is changed twice"), "\(twice)")
        expect(target.commits, equals: 0)
        // Somebody else is faster: told by its name, and what differs.
        target.beforeCommit = { $0.poke(1, at: data + 2000) }
        let raced = failure { _ = try engine.apply(request([store(data, 3000)])) }
        #expect(raced.contains("cannot touch table: the bytes at \(data + 2000) are"), "\(raced)")
    }

    /// Several names of one code are one function, where what replaces them is one, too: constructors of complete and of base objects.
    @Test func namesOfOneCode() throws {
        let target = try FakeTarget()
        let engine = PatchEngine(target: target, program: "")
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: 2)
        defer { words.deallocate() }
        words.initialize(repeating: 0, count: 2)
        let pointers = (0..<2).map { Address(UnsafeRawPointer(words + $0)) }
        func request(_ names: [(old: String, new: String)]) throws -> PatchRequest {
            let replacements = try names.enumerated().map { number, names in
                let function = try target.index.function(named: names.old)
                let other = try target.index.function(named: names.new)
                return Replacement(
                    function: function, extent: target.index.extent(of: function), address: other.address,
                    name: other.name, originalPointer: pointers[number])
            }
            return PatchRequest(replacements: replacements, origin: .init(fromOutside: false, pid: 1, uid: 0))
        }
        let (old, new) = ("_ZNSt11logic_error", "_ZNSt13runtime_error")
        for (first, second) in [("C1EPKc", "C2EPKc"), ("C2EPKc", "C1EPKc")] {
            let both = try request([(old + first, new + first), (old + second, new + second)])
            expect(both.replacements[0].function.address, equals: both.replacements[1].function.address)
            let receipt = try engine.apply(both)
            #expect(receipt.sites.count == 2 && receipt.sites[0] == receipt.sites[1])
            let patch = try #require(engine.state().patch(receipt.id))
            #expect(patch.members.count == 1 && patch.members[0].replacement == both.replacements[0].address)
            // Each name may have its own pointer to the original.
            for pointer in pointers {
                expect(target.peek(at: pointer), equals: receipt.sites[0].originalAddress.rawValue)
            }
            _ = try engine.revert([receipt.id])
        }
        // By other names of other texts, only where it is the same code.
        _ = try engine.revert([
            engine.apply(try request([("read", "getppid"), ("__read", "getppid")])).id
        ])
        let error = failure { _ = try engine.apply(try request([("read", "getppid"), ("__read", "getuid")])) }
        #expect(error.contains("cannot replace __read and read by different functions"), "\(error)")
        let alike = failure {
            _ = try engine.apply(try request([(old + "C1EPKc", new + "C1EPKc"), (old + "C2EPKc", "getuid")]))
        }
        #expect(alike.contains("C1EPKc)") && alike.contains("C2EPKc)"), "\(alike)")
        let twice = failure { _ = try engine.apply(try request([("getppid", "getuid"), ("getppid", "getuid")])) }
        #expect(twice.contains("is replaced twice"), "\(twice)")
        // Closures of one type are not one.
        var closures = try request([(old + "C1EPKc", "getppid"), (old + "C2EPKc", "getuid")])
        for number in 0..<2 { closures.replacements[number].name = "closure () -> Int" }
        let different = failure { _ = try engine.apply(closures) }
        #expect(different.contains("by different functions"), "\(different)")
        #expect(target.isOriginal("getppid") && target.isOriginal("read"))
    }
}

/// The words of the error that is thrown; empty where none is.
private func failure(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return ""
}
