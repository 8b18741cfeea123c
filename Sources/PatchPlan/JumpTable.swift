import Memory

/// What a computed jump of a function chooses from, as far as it can be told by looking: a compiler's tables do not say how
/// long they are, so entries are read for as long as they lead into the function.
struct JumpTable {
    /// Where its entries lead.
    private(set) var targets: [Address] = []

    /// Whether anything there looks like a table of this function.
    var isReadable: Bool { !targets.isEmpty }

    /// More entries than any switch has that a compiler made a table of; also the end for a table that never ends.
    private static let limit = 8192
    private static let block = 512

    init(address: Address, function: Range<Address>, memory: any MemoryReader) {
        // Position-independent code stores 4-byte offsets from the table, other code 8-byte addresses.
        targets = Self.entries(at: address, function, memory) { (offset: Int32) in address + Int(offset) }
        targets += Self.entries(at: address, function, memory) { (target: UInt64) in Address(target) }
    }

    func target(where isWanted: (Address) -> Bool) -> Address? { targets.first(where: isWanted) }

    private static func entries<Entry: FixedWidthInteger & BitwiseCopyable>(
        at address: Address, _ function: Range<Address>, _ memory: any MemoryReader,
        _ target: (Entry) -> Address
    ) -> [Address] {
        let size = MemoryLayout<Entry>.size
        var found: [Address] = []
        var at = address
        while found.count < limit {
            // A table may end right before memory that cannot be read: then one entry at a time.
            guard let bytes = (try? memory.bytes(at: at, count: block)) ?? (try? memory.bytes(at: at, count: size))
            else { return found }
            for offset in stride(from: 0, through: bytes.count - size, by: size) {
                let entry = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Entry.self) }
                let address = target(entry)
                guard function.contains(address) else { return found }
                found.append(address)
            }
            at += bytes.count
        }
        return found
    }
}
