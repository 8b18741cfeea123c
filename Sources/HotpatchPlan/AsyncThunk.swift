import CPatchCore
import HotpatchMemory

/// Code through which an async Swift function is entered that needs a larger context than callers allocate for the function that it
/// replaces: it allocates one, and frees it when the function returns.
public struct AsyncThunk: Hashable, Sendable {
    /// Where it is, 16-byte aligned.
    public var address: Address
    public var bytes: [UInt8]
    public var replacement: Address
    /// In bytes.
    public var contextSize: Int

    /// - Parameters:
    ///   - allocate: `swift_task_alloc` of the process, and
    ///   - deallocate: `swift_task_dealloc`.
    public init(
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

    /// The most bytes one takes.
    public static let capacity = Int(HP_ASYNC_THUNK_CAPACITY)

    /// The addresses it occupies.
    public var range: Range<Address> { address..<address + bytes.count }

    /// Without the words that the code reads.
    var code: [UInt8] { bytes.dropLast(Int(HP_ASYNC_THUNK_DATA)) }
}
