import Glibc

/// Bytes of a process, a file or a buffer, by address.
public protocol MemoryReader: Sendable {
    /// Reads exactly `buffer.count` bytes.
    /// - Throws: `MemoryError` where any of them cannot be read.
    func read(at address: Address, into buffer: UnsafeMutableRawBufferPointer) throws(MemoryError)
}

extension MemoryReader {
    /// Reads so many bytes.
    /// - Parameter count: not negative.
    /// - Throws: `MemoryError` where any of them cannot be read.
    public func bytes(at address: Address, count: Int) throws(MemoryError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var failure: MemoryError?
        bytes.withUnsafeMutableBytes { buffer in
            do throws(MemoryError) { try read(at: address, into: buffer) } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Lends bytes that nobody keeps: few of them cost no allocation.
    @inlinable
    package func withBytes<Result>(
        at address: Address, count: Int, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(MemoryError) -> Result {
        let result = withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) {
            buffer -> Swift.Result<Result, MemoryError> in
            do throws(MemoryError) { try read(at: address, into: buffer) } catch { return .failure(error) }
            return .success(body(UnsafeRawBufferPointer(buffer)))
        }
        return try result.get()
    }

    /// A trivial value (an integer, or a struct of integers), as it lies in memory.
    public func value<T: BitwiseCopyable>(_ type: T.Type, at address: Address) throws(MemoryError) -> T {
        try bytes(at: address, count: MemoryLayout<T>.size)
            .withUnsafeBytes { $0.loadUnaligned(as: T.self) }
    }
}

/// Memory that could not be read or written.
public struct MemoryError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The first byte that could not be read or written; null where the memory could not even be opened.
    public var address: Address
    /// How many bytes were wanted from there on.
    public var count: Int
    /// errno, or 0 where the memory just ends.
    public var code: Int32

    /// Makes the error.
    /// - Parameters:
    ///   - address: of the first byte that could not be read or written.
    ///   - count: how many bytes were wanted from there on.
    ///   - code: errno, or 0 where the memory just ends.
    public init(address: Address, count: Int, code: Int32) {
        self.address = address
        self.count = count
        self.code = code
    }

    /// How many bytes at which address, and why.
    public var description: String {
        let why = code == 0 ? "the memory ends" : errorText(code)
        return "\(count) bytes at \(address) cannot be accessed (\(why))"
    }
}
