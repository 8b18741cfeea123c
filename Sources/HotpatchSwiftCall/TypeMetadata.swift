/// The metadata record of a type, as the runtime lays it out (swift/docs/ABI/TypeMetadata.rst).
///
/// It is the process's own: what the runtime made is trusted.
struct TypeMetadata: Hashable, @unchecked Sendable {
    let address: UnsafeRawPointer

    init(_ address: UnsafeRawPointer) { self.address = address }
    init(_ type: Any.Type) { address = unsafeBitCast(type, to: UnsafeRawPointer.self) }

    var type: Any.Type { unsafeBitCast(address, to: Any.Type.self) }

    func word(_ index: Int) -> UInt { address.load(fromByteOffset: 8 * index, as: UInt.self) }

    /// The metadata that a word of the record points to.
    func metadata(_ index: Int) -> TypeMetadata {
        TypeMetadata(address.load(fromByteOffset: 8 * index, as: UnsafeRawPointer.self))
    }

    // MARK: Kind

    /// swift/include/swift/ABI/MetadataKind.def.
    enum Kind: UInt {
        case `class` = 0
        case `struct` = 0x200
        case `enum` = 0x201
        case optional = 0x202
        case foreignClass = 0x203
        case foreignReference = 0x204
        case opaque = 0x300
        case tuple = 0x301
        case function = 0x302
        case existential = 0x303
        case metatype = 0x304
        case objectiveCClassWrapper = 0x305
        case existentialMetatype = 0x306
        case extendedExistential = 0x307
        case fixedArray = 0x308
    }

    /// `nil` for a kind that is newer than this code. The first word of a class is a pointer, or 0.
    var kind: Kind? {
        let first = word(0)
        return first > 0x7ff ? .class : Kind(rawValue: first)
    }

    // MARK: Value witnesses

    /// The table before the record: eight functions, then size, stride, flags.
    private var valueWitnesses: UnsafeRawPointer {
        address.load(fromByteOffset: -8, as: UnsafeRawPointer.self)
    }

    var size: Int { valueWitnesses.load(fromByteOffset: 64, as: Int.self) }
    var stride: Int { valueWitnesses.load(fromByteOffset: 72, as: Int.self) }
    private var flags: UInt32 { valueWitnesses.load(fromByteOffset: 80, as: UInt32.self) }

    var alignment: Int { Int(flags & 0xff) + 1 }
    /// Whether a value may just be forgotten.
    var isTrivial: Bool { flags & 0x10000 == 0 }
    var isBitwiseTakable: Bool { flags & 0x100000 == 0 }
    var isCopyable: Bool { flags & 0x800000 == 0 }

    // MARK: Tuples

    var elementCount: Int { Int(word(1)) }
    func elementType(_ index: Int) -> TypeMetadata { metadata(3 + 2 * index) }
    func elementOffset(_ index: Int) -> Int { Int(truncatingIfNeeded: UInt32(truncatingIfNeeded: word(4 + 2 * index))) }

    // MARK: Existentials

    /// Whether an existential with one witness table holds an object, rather than any value. Nil for any other type, and for
    /// `any Error`, whose layout is its own (swift/include/swift/ABI/MetadataValues.h, ExistentialTypeFlags).
    var isClassExistential: Bool? {
        guard kind == .existential else { return nil }
        let flags = word(1)
        guard flags & 0xff_ffff == 1, flags >> 24 & 0x3f == 0, flags & 0x4000_0000 == 0 else { return nil }
        return flags & 0x8000_0000 == 0
    }

    // MARK: Others

    /// The type that a metatype is of, or an optional's payload.
    var instanceType: TypeMetadata { metadata(1) }
    var wrappedType: TypeMetadata { metadata(2) }

    /// A metatype that a function takes nothing for: there is only one value of it.
    var isThinMetatype: Bool {
        guard kind == .metatype else { return false }
        switch instanceType.kind {
        case .class, .foreignClass, .foreignReference: return false
        default: return true
        }
    }
}

extension TypeMetadata: CustomStringConvertible {
    var description: String { "\(type)" }
}
