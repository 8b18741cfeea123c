/// A function type, read from its metadata (swift/include/swift/ABI/MetadataValues.h, FunctionTypeFlags).
struct FunctionType {
    enum Ownership: UInt32 {
        /// Borrowed, except where the function's kind says otherwise (`CallShape.ownedParameters`).
        case standard = 0
        case `inout` = 1
        case shared = 2
        case owned = 3
    }

    struct Parameter {
        let type: TypeMetadata
        let ownership: Ownership
    }

    static let maximumParameterCount = 24

    let metadata: TypeMetadata
    let parameters: [Parameter]
    let result: TypeMetadata
    let isThrowing: Bool
    let isAsync: Bool
    let isEscaping: Bool

    private enum Flag {
        static let convention: UInt = 0xff_0000
        static let throwing: UInt = 1 << 24
        static let parameterFlags: UInt = 1 << 25
        static let escaping: UInt = 1 << 26
        static let differentiable: UInt = 1 << 27
        static let globalActor: UInt = 1 << 28
        static let async: UInt = 1 << 29
        static let extended: UInt = 1 << 31
    }

    private enum ExtendedFlag {
        static let typedThrows: UInt32 = 1
        static let isolation: UInt32 = 0xe
        static let isolatedAny: UInt32 = 2
        static let sendingResult: UInt32 = 0x10
    }

    /// - Throws: what no adapter is made for, whatever the parameters are.
    init(_ metadata: TypeMetadata) throws(CallRefusal) {
        guard metadata.kind == .function else { throw .notAFunction("\(metadata)") }
        let flags = metadata.word(1)
        guard flags & Flag.convention == 0 else { throw .convention("\(metadata)") }
        guard flags & Flag.differentiable == 0 else { throw .differentiable("\(metadata)") }
        let count = Int(flags & 0xffff)
        guard count <= Self.maximumParameterCount else { throw .tooManyParameters("\(metadata)", count) }

        // kind, flags, result, parameters, their flags, global actor, extended flags.
        let hasFlags = flags & Flag.parameterFlags != 0
        let afterParameters = 8 * (3 + count)
        if flags & Flag.extended != 0 {
            var offset = afterParameters + (hasFlags ? (4 * count + 7) & ~7 : 0)
            if flags & Flag.globalActor != 0 { offset += 8 }
            try Self.check(metadata.address.load(fromByteOffset: offset, as: UInt32.self), of: metadata)
        }

        var parameters: [Parameter] = []
        parameters.reserveCapacity(count)
        for index in 0..<count {
            var ownership = Ownership.standard
            if hasFlags {
                let flags = metadata.address.load(fromByteOffset: afterParameters + 4 * index, as: UInt32.self)
                guard let known = Ownership(rawValue: flags & 0x7f) else { throw .unknownFlags("\(metadata)") }
                // A sending parameter is handed over.
                ownership = flags & 0x800 != 0 && known != .inout ? .owned : known
            }
            parameters.append(Parameter(type: metadata.metadata(3 + index), ownership: ownership))
        }
        self.metadata = metadata
        self.parameters = parameters
        result = metadata.metadata(2)
        isThrowing = flags & Flag.throwing != 0
        isAsync = flags & Flag.async != 0
        isEscaping = flags & Flag.escaping != 0
    }

    private static func check(_ extended: UInt32, of metadata: TypeMetadata) throws(CallRefusal) {
        if extended & ExtendedFlag.typedThrows != 0 { throw .typedThrows("\(metadata)") }
        if extended & ExtendedFlag.isolation == ExtendedFlag.isolatedAny { throw .isolatedAny("\(metadata)") }
        if extended & ExtendedFlag.isolation != 0 { throw .nonsending("\(metadata)") }
        if extended & ExtendedFlag.sendingResult != 0 { throw .sendingResult("\(metadata)") }
        if extended != 0 { throw .unknownFlags("\(metadata)") }
    }
}
