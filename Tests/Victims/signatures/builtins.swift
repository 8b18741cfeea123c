// Built with -parse-stdlib: types that no source outside the standard library can declare.
import Swift

public struct OddVector {
    var elements: Builtin.Vec3xFPIEEE64
    init(_ elements: Builtin.Vec3xFPIEEE64) { self.elements = elements }
}

public struct BitVector {
    var bits: Builtin.Vec32xInt1
    init(_ bits: Builtin.Vec32xInt1) { self.bits = bits }
}

@_cdecl("odd_vector_function") public func oddVectorFunction() -> UnsafeRawPointer {
    unsafeBitCast(((OddVector) -> Int).self as Any.Type, to: UnsafeRawPointer.self)
}

@_cdecl("bit_vector_function") public func bitVectorFunction() -> UnsafeRawPointer {
    unsafeBitCast(((BitVector) -> Int).self as Any.Type, to: UnsafeRawPointer.self)
}
