import Glibc
import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import Testing

@testable import HotpatchEngine

/// What a plan prints, beside what is then done.
@Suite struct DryRunTests {
    private let target: FakeTarget
    private let engine: PatchEngine
    /// A page that is there before the target's mappings are read.
    private static let page = Address(
        mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!)

    init() throws {
        _ = Self.page
        target = try FakeTarget()
        target.givesMemoryBack = true
        engine = PatchEngine(target: target, program: "")
        engine.now = { 1_700_000_000_000_000_000 }
    }

    /// Every byte that changes is printed, as what it becomes, and no other: also those of the ledger, of its next edition, and of what a
    /// revert does.
    @Test func everyByteIsPrinted() throws {
        let data = Self.page
        var editions: Set<UInt32> = []
        for round in 0..<40 where editions.count < 3 {
            var wanted = try request(round % 3 == 0 ? "getppid" : "getuid", of: target)
            let near = wanted.replacements[0].function.address
            if round % 4 == 1 {
                wanted.replacements[0].context = .init(
                    size: 32 + 16 * round, allocator: .init(allocate: Address(0x1000), deallocate: Address(0x2000)))
            }
            if round % 4 == 2 {
                wanted.segments = [
                    SegmentRequest(kind: .text, size: 100, near: near),
                    SegmentRequest(kind: .constant, size: 100, near: near),
                ]
                wanted.link = { _ in
                    var linked = PatchRequest.Linked()
                    linked.contents = [[0xc3, 0x06, 7], [UInt8](1...40)]
                    linked.identities = [("added", Address(0x4000))]
                    return linked
                }
                let (before, after) = (engine.word(target.peek(at: data)), engine.word(UInt64(round)))
                wanted.stores = [DataStore(address: data, expected: before, bytes: after, name: "number")]
                wanted.replacements[0].originalPointer = data + 8
            }
            let planned = try engine.plan(wanted)
            var id: UInt32 = 0
            try check(planned.description) { id = try engine.apply(wanted).id }
            expect(planned.id, equals: id)
            editions.insert(try engine.state().layout.segments[0].edition)
            // Some stay for a while.
            let ids = round % 5 == 4 ? try engine.state().patches.filter(\.isInForce).map(\.record.id) : []
            if !ids.isEmpty {
                try check(try engine.plan(reverting: ids).description) { _ = try engine.revert(ids) }
            }
        }
        expect(editions.count, equals: 3)
    }

    /// - Parameter description: a plan in words.
    private func check(
        _ description: String, sourceLocation: SourceLocation = #_sourceLocation, _ change: () throws -> Void
    ) throws {
        target.forgetChanges()
        try change()
        let printed = Printed(description)
        func byte(_ address: Address) throws -> UInt8 { try target.memory.bytes(at: address, count: 1)[0] }
        let unsaid = try target.changes.filter { try byte($0.key) != $0.value && printed.bytes[$0.key] == nil }
        let otherwise = try printed.bytes.filter { try byte($0.key) != $0.value }
        #expect(!target.changes.isEmpty && unsaid.isEmpty, "\(description)", sourceLocation: sourceLocation)
        #expect(otherwise.isEmpty, "\(description)", sourceLocation: sourceLocation)
    }

    /// A dry run changes nothing, and two of them say the same.
    @Test func aDryRunChangesNothing() throws {
        let wanted = try request("getppid", of: target)
        let first = try engine.plan(wanted).description
        try expect(engine.plan(wanted).description, equals: first)
        #expect(target.changes.isEmpty && target.mapsMade == 0 && target.ledgerCount == 0 && target.commits == 0)
        let id = try engine.apply(wanted).id
        target.forgetChanges()
        let revert = try engine.plan(reverting: [id])
        #expect(revert.patches.map(\.id) == [id] && revert.functions.map(\.site.name).count == 1)
        #expect(revert.functions[0].next == nil)
        #expect(try engine.planRevert { (_, _) in false } == nil)
        #expect(throws: PatchError.self) { try engine.plan(reverting: [id + 1]) }
        #expect(target.changes.isEmpty && target.commits == 1)
        try expect(engine.state().patch(id)?.state, equals: .applied)
    }

    /// What remains of a stack is told by its number and name.
    @Test func whatRunsAfterARevert() throws {
        var ids: [UInt32] = []
        for name in ["first", "second", "third"] {
            var wanted = try request("getppid", of: target)
            wanted.replacements[0].name = name
            ids.append(try engine.apply(wanted).id)
        }
        func next(_ reverted: [UInt32]) throws -> String? {
            let functions = try engine.plan(reverting: reverted).functions
            expect(functions.count, equals: 1)
            return functions.first?.next.map { "\($0.name) \($0.patch)" }
        }
        try expect(next([ids[2]]), equals: "second \(ids[1])")
        try expect(next([ids[1]]), equals: "third \(ids[2])")
        try expect(next([ids[1], ids[2]]), equals: "first \(ids[0])")
        try expect(next(ids), equals: nil)
    }

    /// The order of everything, in words without addresses and numbers.
    @Test func headings() throws {
        func headings(_ description: String) -> [String] {
            description.split(separator: "\n").dropFirst().filter { !$0.hasPrefix(" ") }.map { line in
                line.split { $0 == " " || $0 == "," }.filter { word in
                    word != "bytes" && !word.contains { $0.isNumber }
                }.joined(separator: " ")
            }.filter { !$0.hasPrefix("move") && !$0.hasPrefix("keep clear") }
        }
        var wanted = try request("getppid", of: target)
        wanted.callsBefore = [Call(Address(0x1000), name: "agree")]
        wanted.callsAfter = [Call(Address(0x2000), name: "tell")]
        expect(
            headings(try engine.plan(wanted).description),
            equals: [
                "segment text", "segment data", "call before: agree at with ()", "ledger mapping stays",
                "stub slot original", "slot", "ledger", "ledger", "data generation", "data committer", "text entry",
                "data state", "call after: tell at with ()",
            ])
        let id = try engine.apply(wanted).id
        expect(
            headings(try engine.plan(reverting: [id]).description),
            equals: [
                "data generation", "data committer", "data publication", "data slot", "text entry", "data state",
            ])
    }
}

extension LedgerState.Entry {
    fileprivate var isInForce: Bool { record.state == .applied }
}

/// What a plan in words says that memory is to hold in the end.
private struct Printed {
    private(set) var bytes: [Address: UInt8] = [:]

    init(_ description: String) {
        var head = Address.null
        for line in description.split(separator: "\n") {
            let words = line.split(separator: " ")
            if !line.hasPrefix(" ") {
                head = words.dropFirst().lazy.compactMap(Self.address).first ?? .null
            } else if words[0] == "+" {
                add(words.dropFirst(), at: head)
            } else if let place = Self.address(words[0]) {
                add(words.dropFirst(), at: place)
            }
        }
    }

    /// - Parameter words: bytes, and what they mean.
    private mutating func add(_ words: ArraySlice<Substring>, at address: Address) {
        for (offset, word) in words.prefix(while: { $0.count == 2 }).enumerated() {
            guard let byte = UInt8(word, radix: 16) else { return }
            bytes[address + offset] = byte
        }
    }

    private static func address(_ word: Substring) -> Address? {
        guard word.hasPrefix("0x") else { return nil }
        return UInt64(word.dropFirst(2).prefix { $0.isHexDigit }, radix: 16).map { Address($0) }
    }
}
