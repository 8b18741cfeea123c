import HotpatchMemory

/// What a computed jump of a function chooses from, as far as it can be told by looking. A compiler's tables do not say how long
/// they are: where the code makes sure of it, so many entries are read, otherwise as many as lead into the function.
struct JumpTable {
    /// Where its entries lead in the function.
    private(set) var targets: [Address] = []

    /// Whether anything there looks like a table of this function.
    private(set) var isReadable = false

    /// More entries than any switch has that a compiler made a table of; also the end for a table that never ends.
    private static let limit = 8192
    private static let block = 512

    /// - Parameter count: entries that the jump chooses from; nil where that is not known.
    init(address: Address, count: Int?, function: Range<Address>, memory: any MemoryReader) {
        // Position-independent code stores 4-byte offsets from the table, other code 8-byte addresses.
        read(address, count, function, memory) { (offset: Int32) in address + Int(offset) }
        read(address, count, function, memory) { (target: UInt64) in Address(target) }
    }

    func target(where isWanted: (Address) -> Bool) -> Address? { targets.first(where: isWanted) }

    private mutating func read<Entry: FixedWidthInteger & BitwiseCopyable>(
        _ address: Address, _ count: Int?, _ function: Range<Address>, _ memory: any MemoryReader,
        _ target: (Entry) -> Address
    ) {
        let size = MemoryLayout<Entry>.size
        let end = address + min(count ?? Self.limit, Self.limit) * size
        var at = address
        while at < end {
            // A table may end right before memory that cannot be read: then one entry at a time.
            guard
                let bytes = (try? memory.bytes(at: at, count: min(Self.block, end - at)))
                    ?? (try? memory.bytes(at: at, count: size))
            else { return }
            for offset in stride(from: 0, through: bytes.count - size, by: size) {
                let entry = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Entry.self) }
                let address = target(entry)
                if function.contains(address) {
                    isReadable = true
                    targets.append(address)
                } else if count == nil {
                    return
                }
                // Entries of a table whose length is known may lead to parts of the function that lie elsewhere.
            }
            at += bytes.count
        }
    }
}
