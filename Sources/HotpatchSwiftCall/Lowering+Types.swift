import Synchronization

/// Lowerings that were computed before: types do not change, and most functions use few of them.
private let known = Mutex<[Known: Lowering]>([:])

private struct Known: Hashable {
    let type: TypeMetadata
    let architecture: CallArchitecture
}

extension Lowering {
    init(of type: TypeMetadata, on architecture: CallArchitecture) throws(CallRefusal) {
        let key = Known(type: type, architecture: architecture)
        if let lowering = known.withLock({ $0[key] }) {
            self = lowering
            return
        }
        let lowering = try Self.compute(type, on: architecture)
        known.withLock { $0[key] = lowering }
        self = lowering
    }

    private static let word = 8

    private static func compute(
        _ type: TypeMetadata, on architecture: CallArchitecture
    ) throws(CallRefusal) -> Lowering {
        var lowering = Lowering(on: architecture)
        guard type.isCopyable else { throw .noncopyable("\(type)") }
        guard type.isBitwiseTakable else {
            lowering.isAddressOnly = true
            return lowering
        }
        switch type.kind {
        case .class, .foreignClass, .foreignReference:
            try lowering.add(.integer, 0, word)
        case .struct:
            let path = NominalType(type).descriptor.path
            if isResilient(path) {
                lowering.isAddressOnly = true
            } else {
                try lowering.addFields(of: type)
                if path.first != "Swift" { lowering.assume(type) }
            }
        case .enum:
            if isResilient(NominalType(type).descriptor.path) {
                lowering.isAddressOnly = true
            } else {
                try lowering.addCases(of: type)
            }
        case .optional:
            try lowering.addOptional(type)
        case .tuple:
            for index in 0..<type.elementCount {
                try lowering.addMember(type.elementType(index), of: type, at: type.elementOffset(index))
            }
        case .function:
            try lowering.addWords(of: type, upTo: type.size)
        case .existential:
            // Flags: the number of witness tables, whether the value may be other than an object, and which protocols have a
            // layout of their own: 1 is Error, a single pointer.
            let flags = type.word(1)
            if flags >> 24 & 0x3f != 1, flags & 0x8000_0000 != 0 {
                lowering.isAddressOnly = true
            } else {
                try lowering.addWords(of: type, upTo: type.size)
            }
        case .extendedExistential:
            // The shape's first byte: 0 is a value of any type, 1 an object, 2 a metatype.
            let shape = type.metadata(1).address.load(as: UInt32.self) & 0xff
            guard shape <= 2 else { throw .unknownKind("\(type)") }
            if shape == 0 {
                lowering.isAddressOnly = true
            } else {
                try lowering.addWords(of: type, upTo: type.size)
            }
        case .metatype:
            guard !type.isThinMetatype else { throw .metatypeInside("\(type)") }
            try lowering.add(.integer, 0, word)
        case .existentialMetatype:
            try lowering.addWords(of: type, upTo: type.size)
        case .fixedArray:
            let element = TypeMetadata(type.metadata(2).address)
            for index in 0..<Int(type.word(1)) where !lowering.isDecided {
                try lowering.add(Lowering(of: element, on: architecture), at: index * element.stride)
            }
        case .opaque, .objectiveCClassWrapper, nil:
            throw .unknownKind("\(type)")
        }
        return lowering
    }

    private mutating func addWords(of type: TypeMetadata, upTo size: Int) throws(CallRefusal) {
        for offset in stride(from: 0, to: size, by: Self.word) { try add(.integer, offset, offset + Self.word) }
    }

    private mutating func addMember(
        _ member: TypeMetadata, of type: TypeMetadata, at offset: Int
    ) throws(CallRefusal) {
        guard !member.isThinMetatype else { throw .metatypeInside("\(type)") }
        try add(Lowering(of: member, on: architecture), at: offset)
    }

    // MARK: Structs

    private mutating func addFields(of type: TypeMetadata) throws(CallRefusal) {
        let nominal = NominalType(type)
        let fields = try nominal.fields()
        // C's structs come with those fields that Swift could import.
        guard fields.count == nominal.fieldCount, !fields.isEmpty || type.size == 0 else { throw .cType("\(type)") }
        var end = 0
        var hasGap = false
        for (index, field) in fields.enumerated() where !isDecided {
            guard let name = field.name else { throw .cType("\(type)") }
            let offset = nominal.fieldOffset(index)
            if offset > end { hasGap = true }
            defer { end = ranges.last?.end ?? offset }
            if name.hasSuffix("X", "w") {
                isAddressOnly = true
            } else if name.hasSuffix("X", "o") || name.hasSuffix("X", "u") {
                // unowned and unowned(unsafe)
                try add(.integer, offset, offset + Self.word)
            } else if try !addBuiltin(name, of: type, at: offset) {
                try addMember(nominal.type(of: name), of: type, at: offset)
            }
        }
        if hasGap || end < type.size, nominal.isFromC { hidesFields = type }
    }

    /// A field of one of the compiler's own types, which have no metadata: `Bi64_`, `Bf32_Bv4_`
    /// (swift/docs/ABI/Mangling.rst, "Types").
    /// - Returns: `false` for any other field.
    private mutating func addBuiltin(
        _ name: MangledName, of type: TypeMetadata, at offset: Int
    ) throws(CallRefusal) -> Bool {
        guard name.isBuiltin else { return false }
        let text = Array(name.text.utf8.dropFirst())
        let width = number(in: text.dropFirst())
        switch text[0] {
        case UInt8(ascii: "i"), UInt8(ascii: "f"):
            if let count = vectorCount(in: text) {
                try addVector(of: text[0], width: width, count: count, type: type, at: offset)
            } else if text[0] == UInt8(ascii: "f") {
                guard width <= 64 else { throw .wideFloat("\(type)") }
                try add(.float, offset, offset + width / 8)
            } else if width == 1 {
                try add(.bit, offset, offset + 1)
            } else {
                guard width <= 64 else { throw .wideInteger("\(type)") }
                try add(.integer, offset, offset + width / 8)
            }
        case UInt8(ascii: "V"):
            return false  // a fixed array has metadata
        case UInt8(ascii: "p"), UInt8(ascii: "o"), UInt8(ascii: "b"), UInt8(ascii: "O"), UInt8(ascii: "w"),
            UInt8(ascii: "j"), UInt8(ascii: "c"):
            try add(.integer, offset, offset + Self.word)
        case UInt8(ascii: "e"):
            // An executor: an object and a witness table.
            try add(.integer, offset, offset + Self.word)
            try add(.integer, offset + Self.word, offset + 2 * Self.word)
        default:
            // A generic argument can be a fixed array of something: "…BV".
            if name.hasSuffix("B", "V") { return false }
            throw .unknownKind("a field of \(type)")
        }
        return true
    }

    /// Vectors of 16 bytes are one register each, on arm64 those of 8 bytes too; smaller ones are their elements, larger ones are
    /// cut (clang's isLegalVectorType of SwiftABIInfo and AArch64SwiftABIInfo).
    private mutating func addVector(
        of element: UInt8, width: Int, count: Int, type: TypeMetadata, at offset: Int
    ) throws(CallRefusal) {
        guard width % 8 == 0, width <= 64, width > 0 else { throw .unusualVector("\(type)") }
        let size = width / 8 * count
        if size == 8, architecture == .arm64, count > 1 {
            try add(.shortVector, offset, offset + size)
        } else if size < 16 {
            let kind: Kind = element == UInt8(ascii: "f") ? .float : .integer
            for index in 0..<count { try add(kind, offset + index * width / 8, offset + (index + 1) * width / 8) }
        } else {
            guard size % 16 == 0 else { throw .unusualVector("\(type)") }
            for start in stride(from: 0, to: size, by: 16) { try add(.vector, offset + start, offset + start + 16) }
        }
    }

    // MARK: Enums

    private mutating func addOptional(_ type: TypeMetadata) throws(CallRefusal) {
        let payload = type.wrappedType
        guard !payload.isThinMetatype else { throw .metatypeInside("\(type)") }
        let lowering = try Lowering(of: payload, on: architecture)
        if lowering.isAddressOnly { isAddressOnly = true }
        assume(lowering)
        try addPayload(size: payload.size, of: type)
    }

    private mutating func addCases(of type: TypeMetadata) throws(CallRefusal) {
        let nominal = NominalType(type)
        // One that is closed (enum_extensibility) is the integer that it is in C, and has no records of its cases.
        if nominal.isFromC { return try add(.integer, 0, type.size) }
        let cases = try nominal.fields()
        guard nominal.payloadCaseCount + nominal.emptyCaseCount == cases.count else { throw .cType("\(type)") }
        if nominal.payloadCaseCount == 0 {
            if cases.count > 1 { try add(.integer, 0, type.size) }
            return
        }
        var payloadSize = 0
        for one in cases {
            if one.isIndirect {
                if cases.count == 1 { return try add(.integer, 0, Self.word) }
                payloadSize = max(payloadSize, Self.word)
                continue
            }
            guard let name = one.name else { continue }
            var payload = Lowering(on: architecture)
            var size = 0
            if try payload.addBuiltin(name, of: type, at: 0) {
                size = payload.ranges.last?.end ?? 0
            } else {
                let payloadType = try nominal.type(of: name)
                guard !payloadType.isThinMetatype else { throw .metatypeInside("\(type)") }
                payload = try Lowering(of: payloadType, on: architecture)
                size = payloadType.size
            }
            // An enum with one case is its payload.
            if cases.count == 1 {
                self = payload
                return
            }
            if payload.isAddressOnly {
                isAddressOnly = true
                return
            }
            assume(payload)
            payloadSize = max(payloadSize, size)
        }
        try addPayload(size: payloadSize, of: type)
    }

    /// Several cases share their bytes, which become integers, whatever they are; the tag follows.
    private mutating func addPayload(size: Int, of type: TypeMetadata) throws(CallRefusal) {
        var offset = 0
        while size - offset >= Self.word, !isTooLarge {
            try add(.integer, offset, offset + Self.word)
            offset += Self.word
        }
        try add(.integer, offset, size)
        try add(.opaque, size, type.size)
    }

    private static func isResilient(_ path: [String]) -> Bool {
        guard let module = path.first else { return false }
        return ResilientTypes.isResilient(module: module, name: path.dropFirst().joined(separator: "."))
    }
}

/// The decimal number at the start.
private func number(in text: ArraySlice<UInt8>) -> Int {
    var value = 0
    for digit in text {
        guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9"), value < 1 << 20 else { break }
        value = value * 10 + Int(digit - UInt8(ascii: "0"))
    }
    return value
}

/// How many elements a vector has: what follows `Bv`.
private func vectorCount(in text: [UInt8]) -> Int? {
    for index in text.indices.dropLast() where text[index] == UInt8(ascii: "B") && text[index + 1] == UInt8(ascii: "v")
    {
        return number(in: text[(index + 2)...])
    }
    return nil
}
