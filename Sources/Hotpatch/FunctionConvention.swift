import HotpatchMemory

/// The C function at an address.
package func cFunction<F>(at address: Address, as type: F.Type) throws(PatchError) -> F {
    try requireC(type)
    return unsafeBitCast(UInt(address.rawValue), to: type)
}

/// Refuses every type but C functions: the one-word function pointers.
package func requireC<F>(_ type: F.Type) throws(PatchError) {
    guard FunctionConvention(type) == .c else {
        throw .type(
            "\(type) is neither a Swift nor a C function type. Only functions, closures, code addresses and other symbols can "
                + "replace a function. Write it as a closure, or use withSymbol:.")
    }
}

/// How values of a function type are called. Nil for any other type, and for other conventions.
///
/// Function type metadata is its kind, 0x302, then flags, whose bits 16–23 are the convention, and bit 29 says async (Swift ABI,
/// TypeMetadata.rst, "Function Metadata"; swift/include/swift/ABI/MetadataValues.h, FunctionTypeFlags).
package enum FunctionConvention: UInt {
    case swift = 0
    case c = 3

    package init?<F>(_ type: F.Type) {
        guard let flags = Self.flags(type) else { return nil }
        self.init(rawValue: flags >> 16 & 0xff)
    }

    static func isAsync<F>(_ type: F.Type) -> Bool { flags(type).map { $0 >> 29 & 1 != 0 } ?? false }

    /// Whether the result type of a function type is Never: the third word of its metadata.
    package static func neverReturns<F>(_ type: F.Type) -> Bool {
        guard flags(type) != nil else { return false }
        let metadata = unsafeBitCast(type as Any.Type, to: UnsafePointer<UInt>.self)
        return metadata[2] == unsafeBitCast(Never.self as Any.Type, to: UInt.self)
    }

    private static func flags<F>(_ type: F.Type) -> UInt? {
        let metadata = unsafeBitCast(type as Any.Type, to: UnsafePointer<UInt>.self)
        return metadata[0] == 0x302 ? metadata[1] : nil
    }
}
