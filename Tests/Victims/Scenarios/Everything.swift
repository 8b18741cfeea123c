import Glibc
import Hotpatch
import HotpatchEngine
import HotpatchLocalTarget
import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// One request of everything that a plan can say: segments of each kind are filled, a function is called before anything is reachable,
/// words are stored in data and in what is read-only since it was relocated, a function is redirected into a segment. Each page has the
/// protection afterwards that it had, or was mapped for; and all of it is taken back.
func requestOfEverything() throws {
    let target = LocalTarget(options: Patch.options)
    let index = try SymbolIndex(map: target.processMap(), memory: target.memory, root: "")
    let program = index.images.first { $0.isMainProgram }?.path ?? ""
    let engine = PatchEngine(target: target, program: program)
    let function = try index.function(named: "getppid", in: "libc.so.6")
    let called = try index.function(named: "getpid", in: "libc.so.6").address
    let extent = index.extent(of: function)
    let parent = getppid()

    guard let page = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), page != MAP_FAILED
    else { throw Unexpected(description: "no memory") }
    let data = Address(page + 100)
    let constant = try readOnlyZeros(24, of: program, target)
    func kind(_ address: Address) throws -> Region.Permissions? {
        try target.processMap().region(containing: address)?.permissions
    }
    try expect(try kind(constant) == .read, "\(constant) is not read-only")

    var request = PatchRequest(replacements: [], origin: .init(fromOutside: false, pid: getpid(), uid: getuid()))
    request.segments = [(MemoryKind.text, 64), (.constant, 5000), (.data, 16)].map {
        SegmentRequest(kind: $0.0, size: $0.1, near: function.address)
    }
    // A function that returns 42.
    #if arch(arm64)
        let code: [UInt8] = [0x40, 0x05, 0x80, 0x52, 0xC0, 0x03, 0x5F, 0xD6]
    #else
        let code: [UInt8] = [0xB8, 0x2A, 0x00, 0x00, 0x00, 0xC3]
    #endif
    request.link = { segments in
        var linked = PatchRequest.Linked()
        linked.contents = [code, [UInt8](repeating: 7, count: 5000), []]
        linked.replacements = [
            Replacement(function: function, extent: extent, address: segments[0].lowerBound, name: "linked")
        ]
        linked.callsBefore = [Call(called, name: "getpid", answer: .stored(at: segments[2].lowerBound + 8))]
        return linked
    }
    request.stores = [(data, 3000), (constant, 24)].map { address, count in
        DataStore(
            address: address, expected: [UInt8](repeating: 0, count: count),
            bytes: (0..<count).map { UInt8(truncatingIfNeeded: $0 + 1) }, name: "a table")
    }
    func isStored() throws -> [Bool] {
        try request.stores.map { try target.memory.bytes(at: $0.address, count: $0.bytes.count) == $0.bytes }
    }

    for round in 1...3 {
        let receipt = try engine.apply(request)
        try expect(getppid() == 42, "round \(round): getppid is not redirected")
        try expect(try isStored() == [true, true], "round \(round): a table is not changed")
        let segments = receipt.segments.map(\.lowerBound)
        try expect(
            try segments.map(kind) == [[.read, .execute], .read, [.read, .write]], "the kinds of \(receipt.segments)")
        try expect(try kind(constant) == .read && kind(data) == [.read, .write], "a page is open")
        try expect(try target.memory.bytes(at: segments[1] + 4999, count: 2) == [7, 0], "the constants")
        let answer = try target.memory.value(UInt64.self, at: segments[2] + 8)
        try expect(answer == UInt64(getpid()), "the call has returned \(answer)")
        // Another patch of the same words refuses to be built on what is not there any more.
        do {
            _ = try engine.apply(request)
            throw Unexpected(description: "changed twice")
        } catch let error as PatchError { try expect("\(error)".contains("a table"), "\(error)") }
        _ = try engine.revert([receipt.id])
        try expect(getppid() == parent, "round \(round): getppid is not put back")
        try expect(try isStored() == [false, false], "round \(round): a table is not put back")
        for store in request.stores {
            let found = try target.memory.bytes(at: store.address, count: store.bytes.count)
            try expect(found == store.expected, "round \(round): \(store.address) is not put back")
        }
        try expect(try kind(constant) == .read && kind(data) == [.read, .write], "a page is open")
    }
}

/// Bytes that nobody uses, in what the program's loader has made read-only behind itself.
private func readOnlyZeros(_ count: Int, of program: String, _ target: LocalTarget) throws -> Address {
    let regions = try target.processMap().regions
    for (region, next) in zip(regions, regions.dropFirst())
    where region.path == program && region.permissions == .read && next.path == program
        && next.permissions.contains(.write)
    {
        let bytes = try target.memory.bytes(at: region.range.lowerBound, count: region.count)
        for start in stride(from: bytes.count - count, through: 0, by: -8)
        where bytes[start..<start + count].allSatisfy({ $0 == 0 })
            && (start % 4096) + count <= 4096
        {
            return region.range.lowerBound + start
        }
    }
    throw Unexpected(description: "\(program) has nothing that is read-only since it was relocated")
}
