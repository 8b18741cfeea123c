import CPatchCore
import HotpatchMemory

/// Code through which an async Swift function is entered that needs a larger context than callers allocate for the function that it
/// replaces: it allocates one, and frees it when the function returns.
package struct AsyncThunk: Hashable, Sendable {
    /// Where it is, 16-byte aligned.
    package var address: Address
    package var bytes: [UInt8]
    package var replacement: Address
    /// In bytes.
    package var contextSize: Int

    /// - Parameters:
    ///   - allocate: `swift_task_alloc` of the process, and
    ///   - deallocate: `swift_task_dealloc`.
    package init(
        _ architecture: Architecture, at address: Address, replacement: Address, contextSize: Int, allocate: Address,
        deallocate: Address
    ) {
        var thunk = hp_async_thunk(
            replacement: replacement.rawValue, context_size: UInt64(contextSize), allocate: allocate.rawValue,
            deallocate: deallocate.rawValue)
        bytes = [UInt8](unsafeUninitializedCapacity: Self.capacity) { buffer, count in
            buffer.initialize(repeating: 0)
            count = hp_encode_async_thunk(architecture.core, &thunk, buffer.baseAddress)
        }
        self.address = address
        self.replacement = replacement
        self.contextSize = contextSize
    }

    /// Where what enters a thunk at an address gets to; nil where none is there.
    package static func replacement(
        at address: Address, _ architecture: Architecture, in memory: some MemoryReader
    ) -> Address? {
        let any = AsyncThunk(
            architecture, at: address, replacement: .null, contextSize: 0, allocate: .null, deallocate: .null)
        guard !any.code.isEmpty, let found = try? memory.bytes(at: address, count: any.code.count), found == any.code
        else { return nil }
        // The first of the words behind the code: `hp_async_thunk`.
        return (try? memory.value(UInt64.self, at: address + any.code.count)).map { Address($0) }
    }

    /// The most bytes one takes.
    package static let capacity = Int(HP_ASYNC_THUNK_CAPACITY)

    /// The addresses it occupies.
    package var range: Range<Address> { address..<address + bytes.count }

    /// Without the words that the code reads.
    var code: [UInt8] { bytes.dropLast(Int(HP_ASYNC_THUNK_DATA)) }
}
