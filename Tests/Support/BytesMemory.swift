import HotpatchMemory

/// A buffer that stands for memory at an address.
public struct BytesMemory: MemoryReader {
    public var base: Address
    public var contents: [UInt8]

    public init(base: Address, contents: [UInt8]) {
        self.base = base
        self.contents = contents
    }

    public func read(
        at address: Address, into buffer: UnsafeMutableRawBufferPointer
    ) throws(MemoryError) {
        let offset = address - base
        guard offset >= 0, offset <= contents.count, buffer.count <= contents.count - offset else {
            throw MemoryError(address: address, count: buffer.count, code: 0)
        }
        buffer.copyBytes(from: contents[offset..<offset + buffer.count])
    }
}
