import Glibc
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols
import Synchronization

@testable import HotpatchEngine

/// One function of this process, replaced by another, as the command would.
func request(_ name: String, of target: FakeTarget) throws -> PatchRequest {
    let function = try target.function(name)
    return PatchRequest(
        replacements: [
            Replacement(
                function: function, extent: target.index.extent(of: function),
                address: try target.function("getpid").address,
                // A long name, another each time: a new edition is due soon.
                name: String(repeating: "getpid ", count: 200) + "\(target.commits)")
        ], origin: .init(fromOutside: true, pid: 1234, uid: 0))
}

/// This process's memory with what was written laid over it: whatever moment a patcher dies at, and whoever else patches, can be had at will.
final class FakeTarget: Target {
    let pid = getpid()
    let architecture = Architecture.current
    let pageSize = 4096
    let hasShadowStack = false
    let index: SymbolIndex
    /// The symbols of this process, read once.
    private static let ownIndex = Result {
        try SymbolIndex(map: ProcessMap(pid: getpid()), memory: LocalMemory(), root: "")
    }
    var memory: any MemoryReader { overlay }

    var committer: UInt64 = 0
    var threads: Set<UInt64> = []
    /// Looks at the clock until an operation's time is over.
    var turns = 1000
    private var turn = 0
    /// Each time that it is looked at the clock.
    var whileWaiting: (FakeTarget, _ turn: Int) -> Void = { _, _ in }
    /// Before each commit, with the number of commits so far.
    var beforeCommit: (FakeTarget) -> Void = { _ in }
    var commits = 0
    /// What each commit fails with, before it writes.
    var commitFailure: PatchError?
    private(set) var mapsMade = 0
    /// What was called, and what that returns.
    private(set) var calls: [Call] = []
    var answer: (Call) throws -> UInt64 = { _ in 0 }
    /// Writes that a commit makes before its patcher dies.
    var writesToDeath: Int?
    /// For each commit, the words that were set.
    private(set) var announced: [[Address]] = []

    private let overlay = Overlay()
    private let regions: [Region]
    private var mapped: [Region] = []
    /// Whether the mappings are shown as those that the index has read: of the devices that they are on, and of the same files.
    var showsDevices = false
    var inodeShift: UInt64 = 0
    var ledgerCount: Int { mapped.filter { $0.path.hasPrefix(Ledger.mappingName) }.count }

    /// Mappings for stubs: two of each pool.
    var poolCount: Int { mapped.count - ledgerCount }

    init() throws {
        let map = try ProcessMap(pid: getpid())
        regions = map.regions.filter { !$0.path.hasPrefix(Ledger.mappingName) }
        index = try Self.ownIndex.get()
    }

    func function(_ name: String) throws -> FunctionSymbol { try index.function(named: name, in: "libc.so.6") }

    func isOriginal(_ name: String) -> Bool {
        guard let address = try? function(name).address else { return false }
        return (try? overlay.bytes(at: address, count: 16)) == (try? LocalMemory().bytes(at: address, count: 16))
    }

    /// What stood where something was changed since `forgetChanges`, by a commit or around it.
    private(set) var changes: [Address: UInt8] = [:]

    func forgetChanges() { changes = [:] }

    private func change(_ bytes: [UInt8], at address: Address) {
        let before = (try? overlay.bytes(at: address, count: bytes.count)) ?? []
        for (offset, byte) in before.enumerated() where changes[address + offset] == nil {
            changes[address + offset] = byte
        }
        overlay.write(bytes, at: address)
    }

    /// What cannot be read.
    var unreadable: Range<Address>? {
        get { overlay.unreadable }
        set { overlay.unreadable = newValue }
    }

    func poke(_ word: UInt64, at address: Address) {
        overlay.write(withUnsafeBytes(of: word.littleEndian) { Array($0) }, at: address)
    }
    func write(_ bytes: [UInt8], at address: Address) { overlay.write(bytes, at: address) }
    func peek(at address: Address) -> UInt64 { (try? overlay.value(UInt64.self, at: address)) ?? .max }

    /// Operations are part of others, whose time they have.
    private var operations = 0
    func beginOperation() {
        if operations == 0 { turn = 0 }
        operations += 1
    }
    func endOperation() { operations -= 1 }
    var isOutOfTime: Bool {
        turn += 1
        whileWaiting(self, turn)
        return turn > turns
    }
    func hasThread(_ id: UInt64) -> Bool { threads.contains(id) }

    func processMap() throws -> ProcessMap {
        let lines = (regions + mapped).sorted { $0.range.lowerBound < $1.range.lowerBound }.map { region in
            let hex = { (value: UInt64) in String(value, radix: 16) }
            let permissions =
                (region.permissions.contains(.read) ? "r" : "-") + (region.permissions.contains(.write) ? "w" : "-")
                + (region.permissions.contains(.execute) ? "x" : "-")
                + (region.permissions.contains(.shared) ? "s" : "p")
            return "\(hex(region.range.lowerBound.rawValue))-\(hex(region.range.upperBound.rawValue)) \(permissions) "
                + "\(hex(region.fileOffset)) \(device(region)) \(region.inode + inodeShift)   \(region.path)\n"
        }
        return try ProcessMap(parsing: lines.joined(), pid: pid)
    }

    private func device(_ region: Region) -> String {
        let numbers = showsDevices ? [region.deviceMajor, region.deviceMinor] : [0, 1]
        return numbers.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }

    private func map(_ range: Range<Address>, _ permissions: Region.Permissions, _ path: String) throws {
        guard (regions + mapped).allSatisfy({ !$0.range.overlaps(range) }) else {
            throw PatchError.addressTaken(range.lowerBound)
        }
        mapped.append(Region(range: range, permissions: permissions, inode: path.isEmpty ? 0 : 7, path: path))
        overlay.map(range)
    }

    func map(_ range: Range<Address>, _ kind: MemoryKind) throws {
        mapsMade += 1
        try map(range, kind == .text ? [.read, .execute] : kind == .data ? [.read, .write] : [.read], "")
    }

    func fill(_ bytes: [UInt8], at address: Address, _ kind: MemoryKind) throws {
        guard mapped.contains(where: { $0.range.contains(address) }) else { throw Death() }
        change(bytes, at: address)
    }

    func call(_ call: Call, isCleanup: Bool) throws -> UInt64 {
        calls.append(call)
        return try answer(call)
    }

    /// Whether it does so, as a process that is patched from inside.
    var givesMemoryBack = false
    private(set) var givenBack: [Range<Address>] = []

    /// How much was read of what was mapped: of the ledger, and of stubs.
    var mappedBytesRead: Int { overlay.mappedBytesRead }

    func giveBack(_ range: Range<Address>, then word: UInt64) {
        givenBack.append(range)
        let rest = range.lowerBound + pageSize
        overlay.write([UInt8](repeating: 0, count: range.upperBound - rest), at: rest)
        change(withUnsafeBytes(of: word.littleEndian) { Array($0) }, at: range.lowerBound)
    }

    func mapLedger(_ range: Range<Address>) throws {
        try map(range, [.read, .write], Ledger.mappingName + " (deleted)")
    }

    func unmap(_ range: Range<Address>) {
        // A patcher that is dead does not.
        if writesToDeath == nil { mapped.removeAll { range.contains($0.range.lowerBound) } }
    }

    struct Death: Error {}

    /// Whether it can be searched for what leads into code.
    var searchesMemory = false
    /// What leads into code that lies at these addresses.
    var reached: Set<Address> = []
    private(set) var searched: [SearchedCode] = []

    func commit(_ block: CommitBlock, unlessReached code: [SearchedCode]) throws -> CommitSummary {
        searched = code
        let found = code.enumerated().filter { $0.element.ranges.contains { reached.contains($0.lowerBound) } }
        if !found.isEmpty {
            throw CodeIsReached(Dictionary(uniqueKeysWithValues: found.map { ($0.offset, "a word") }))
        }
        return try commit(block)
    }

    func commit(_ block: CommitBlock) throws -> CommitSummary {
        commits += 1
        beforeCommit(self)
        if let commitFailure { throw commitFailure }
        if committer != 0 {
            announced.append(block.underway)
            for word in block.underway { poke(committer, at: word) }
        }
        defer { if committer != 0 { for word in block.underway { poke(0, at: word) } } }
        for write in block.comparedWrites {
            let found = try overlay.bytes(at: write.address, count: write.bytes.count)
            if let expected = write.expected, found != expected {
                throw CommitMismatch(write: write.address, expected: expected, found: found)
            }
        }
        for copy in block.copies { change(copy.bytes, at: copy.address) }
        for write in block.comparedWrites {
            if writesToDeath == 0 { throw Death() }
            writesToDeath = writesToDeath.map { $0 - 1 }
            change(write.bytes, at: write.address)
        }
        return CommitSummary()
    }
}

extension CommitBlock {
    fileprivate var comparedWrites: [Write] {
        withUnsafeBlock { block in
            UnsafeBufferPointer(start: block.pointee.writes, count: block.pointee.write_count).map { write in
                let count = Int(write.length)
                return Write(
                    address: Address(write.address), kind: MemoryKind(rawValue: write.kind)!,
                    expected: write.compared == 0
                        ? nil : Array(UnsafeBufferPointer(start: write.expected, count: count)),
                    bytes: Array(UnsafeBufferPointer(start: write.bytes, count: count)))
            }
        }
    }

    fileprivate var copies: [(address: Address, bytes: [UInt8])] {
        withUnsafeBlock { block in
            UnsafeBufferPointer(start: block.pointee.copies, count: block.pointee.copy_count).map { copy in
                (Address(copy.address), Array(UnsafeBufferPointer(start: copy.bytes, count: copy.length)))
            }
        }
    }
}

/// This process's memory, with what was mapped and written laid over it.
private final class Overlay: MemoryReader {
    private struct State {
        var mapped: [Range<Address>: [UInt8]] = [:]
        var bytes: [Address: UInt8] = [:]
        var mappedBytesRead = 0
        var unreadable: Range<Address>?
    }
    private let state = Mutex(State())

    var unreadable: Range<Address>? {
        get { state.withLock(\.unreadable) }
        set { state.withLock { $0.unreadable = newValue } }
    }

    var mappedBytesRead: Int { state.withLock(\.mappedBytesRead) }

    func map(_ range: Range<Address>) {
        state.withLock { $0.mapped[range] = [UInt8](repeating: 0, count: range.upperBound - range.lowerBound) }
    }

    func write(_ bytes: [UInt8], at address: Address) {
        state.withLock { state in
            if let range = state.mapped.keys.first(where: { $0.contains(address) }) {
                let start = address - range.lowerBound
                state.mapped[range]!.replaceSubrange(start..<start + bytes.count, with: bytes)
            } else {
                for (offset, byte) in bytes.enumerated() { state.bytes[address + offset] = byte }
            }
        }
    }

    func read(at address: Address, into buffer: UnsafeMutableRawBufferPointer) throws(MemoryError) {
        let isDone = state.withLock { state in
            guard let (range, bytes) = state.mapped.first(where: { $0.key.contains(address) }) else { return false }
            let start = address - range.lowerBound
            buffer.copyBytes(from: bytes[start..<start + buffer.count])
            state.mappedBytesRead += buffer.count
            return true
        }
        if isDone { return }
        if unreadable?.overlaps(address..<address + buffer.count) == true {
            throw MemoryError(address: address, count: buffer.count, code: EIO)
        }
        try LocalMemory().read(at: address, into: buffer)
        let end = address + buffer.count
        state.withLock { state in
            for (place, byte) in state.bytes where place >= address && place < end { buffer[place - address] = byte }
        }
    }
}
