/// What a struct's or an enum's metadata says of its fields: the context descriptor, the field descriptor with the mangled name
/// of each field's type, and the generic arguments to resolve it with (swift/include/swift/ABI/Metadata.h, RemoteInspection/Records.h).
struct NominalType {
    let metadata: TypeMetadata
    let descriptor: ContextDescriptor

    init(_ metadata: TypeMetadata) {
        self.metadata = metadata
        descriptor = ContextDescriptor(address: UnsafeRawPointer(bitPattern: metadata.word(1)) ?? metadata.address)
    }

    /// Imported by clang: such types are declared in a module of this name.
    var isFromC: Bool { descriptor.path.first == "__C" }

    /// A field record: flags, the mangled name of its type, its own name.
    struct Field {
        fileprivate let record: UnsafeRawPointer

        /// `nil` for the case of an enum that has no payload.
        var name: MangledName? { relativePointer(at: record + 4).map(MangledName.init) }
        var isIndirect: Bool { record.load(as: UInt32.self) & 1 != 0 }
        /// What it is called in the source.
        var label: String {
            relativePointer(at: record + 8).map { String(cString: $0.assumingMemoryBound(to: CChar.self)) } ?? ""
        }
    }

    /// - Throws: where the program was compiled without reflection metadata.
    func fields() throws(CallRefusal) -> [Field] {
        guard let record = descriptor.relative(at: 16) else { throw .noReflectionMetadata("\(metadata)") }
        let size = Int(record.load(fromByteOffset: 10, as: UInt16.self))
        let count = Int(record.load(fromByteOffset: 12, as: UInt32.self))
        return (0..<count).map { Field(record: record + 16 + $0 * size) }
    }

    func type(of name: MangledName) throws(CallRefusal) -> TypeMetadata {
        let type = _getTypeByMangledNameInContext(
            name.bytes, UInt(name.count), genericContext: descriptor.address, genericArguments: metadata.address + 16)
        guard let type else { throw .noReflectionMetadata("a field of \(metadata)") }
        return TypeMetadata(type)
    }

    // MARK: Structs

    var fieldCount: Int { Int(descriptor.address.load(fromByteOffset: 20, as: UInt32.self)) }

    func fieldOffset(_ index: Int) -> Int {
        let vector = Int(descriptor.address.load(fromByteOffset: 24, as: UInt32.self))
        return Int(metadata.address.load(fromByteOffset: 8 * vector + 4 * index, as: UInt32.self))
    }

    // MARK: Enums

    var payloadCaseCount: Int { Int(descriptor.address.load(fromByteOffset: 20, as: UInt32.self) & 0xff_ffff) }
    var emptyCaseCount: Int { Int(descriptor.address.load(fromByteOffset: 24, as: UInt32.self)) }
}

/// A mangled type name in a field record: bytes up to a 0, among them symbolic references, which hold any byte
/// (swift/docs/ABI/Mangling.rst, "Symbolic references").
struct MangledName {
    let bytes: UnsafePointer<UInt8>
    let count: Int

    init(_ start: UnsafeRawPointer) {
        bytes = start.assumingMemoryBound(to: UInt8.self)
        var end = bytes
        while end.pointee != 0 {
            switch end.pointee {
            case 0x01...0x17: end += 5
            case 0x18...0x1f: end += 9
            default: end += 1
            }
        }
        count = end - bytes
    }

    func hasSuffix(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Bool {
        count >= 2 && bytes[count - 2] == UInt8(ascii: first) && bytes[count - 1] == UInt8(ascii: second)
    }

    var isBuiltin: Bool { count >= 2 && bytes[0] == UInt8(ascii: "B") }

    /// The name of a builtin, which has no symbolic references.
    var text: String { String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self) }
}

/// What a type is declared in: a chain of types and extensions that ends at a module.
struct ContextDescriptor {
    let address: UnsafeRawPointer

    private enum Kind {
        static let module: UInt32 = 0
        static let `extension`: UInt32 = 1
        static let types: ClosedRange<UInt32> = 16...31
    }

    private var kind: UInt32 { address.load(as: UInt32.self) & 0x1f }

    func relative(at offset: Int) -> UnsafeRawPointer? { relativePointer(at: address + offset) }

    /// The names from the module down: `["Swift", "Unicode", "GeneralCategory"]`.
    var path: [String] {
        var path: [String] = []
        var context: ContextDescriptor? = self
        while let current = context {
            switch current.kind {
            case Kind.module, Kind.types:
                if let name = current.relative(at: 8) {
                    path.append(String(cString: name.assumingMemoryBound(to: CChar.self)))
                }
                if current.kind == Kind.module { return path.reversed() }
                context = current.parent
            case Kind.extension:
                // What is declared in an extension belongs to the extended type.
                context = current.extended ?? current.parent
            default:
                context = current.parent
            }
        }
        return path.reversed()
    }

    private var parent: ContextDescriptor? { indirectable(at: 4) }

    /// The extended type, where the extension's record names it by a symbolic reference to its descriptor.
    private var extended: ContextDescriptor? {
        guard let name = relative(at: 8) else { return nil }
        switch name.load(as: UInt8.self) {
        case 1: return relativePointer(at: name + 1).map(ContextDescriptor.init)
        case 2:
            return relativePointer(at: name + 1).map {
                ContextDescriptor(address: $0.load(as: UnsafeRawPointer.self))
            }
        default:
            let mangled = MangledName(name)
            let type = _getTypeByMangledNameInContext(
                mangled.bytes, UInt(mangled.count), genericContext: nil, genericArguments: nil)
            return type.map { NominalType(TypeMetadata($0)).descriptor }
        }
    }

    /// The descriptor at a relative pointer whose lowest bit says that it points to a pointer to it.
    private func indirectable(at offset: Int) -> ContextDescriptor? {
        let field = address + offset
        let distance = field.loadUnaligned(as: Int32.self)
        guard distance != 0 else { return nil }
        let target = field + Int(distance & ~1)
        return ContextDescriptor(address: distance & 1 == 0 ? target : target.load(as: UnsafeRawPointer.self))
    }
}

/// What a 32-bit distance, counted from where it lies, leads to; `nil` for 0.
private func relativePointer(at field: UnsafeRawPointer) -> UnsafeRawPointer? {
    let distance = field.loadUnaligned(as: Int32.self)
    return distance == 0 ? nil : field + Int(distance)
}
