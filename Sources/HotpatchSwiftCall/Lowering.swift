/// What a value becomes in registers: Swift's aggregate lowering, which the compiler and clang share
/// (clang/lib/CodeGen/SwiftCallingConv.cpp, SwiftAggLowering; swift/docs/ABI/CallingConvention.rst, "Physical conventions").
struct Lowering: Sendable {
    enum Kind: Sendable {
        case opaque
        case integer
        /// A Bool. In a register only its lowest bit is defined.
        case bit
        case float
        /// A vector of 16 bytes.
        case vector
        /// A vector of 8 bytes.
        case shortVector

        var isVector: Bool { self == .float || self == .vector || self == .shortVector }
    }

    /// Bytes of the value.
    struct Range: Hashable, Sendable {
        var begin: Int
        var end: Int
        var kind: Kind

        var count: Int { end - begin }
        /// How many registers it takes.
        var registerCount: Int { kind.isVector ? 1 : (count + 7) / 8 }
    }

    static let maximumRegisterCount = 4
    /// More than this never fits into registers: even single bytes would be more than 32.
    private static let maximumRangeCount = 40

    let architecture: CallArchitecture
    /// In ascending order, as the fields are.
    private(set) var ranges: [Range] = []
    /// Passed by address whatever its size: it can only be moved by its own type, or its size is a secret of its module.
    var isAddressOnly = false
    private(set) var isTooLarge = false
    /// A C struct with bytes that belong to no field that Swift sees: a bit field may lie there, or one of a type that Swift lacks.
    var hidesFields: TypeMetadata?
    /// Structs, other than Swift's own, that are taken for what metadata shows of their fields.
    private(set) var structs: Set<TypeMetadata> = []

    init(on architecture: CallArchitecture) { self.architecture = architecture }

    /// Whether nothing needs to be looked at further.
    var isDecided: Bool { isAddressOnly || isTooLarge }

    /// Adds a field. One that no register can hold as it is becomes opaque bytes.
    mutating func add(_ kind: Kind, _ begin: Int, _ end: Int) throws(CallRefusal) {
        guard begin < end, !isTooLarge else { return }
        let size = end - begin
        let isUnusual = kind == .integer && ![1, 2, 4, 8].contains(size)
        let isUnaligned = begin % size.roundedUpToPowerOfTwo != 0
        if let last = ranges.last, last.end > begin { throw .cType("a type with overlapping fields") }
        guard ranges.count < Self.maximumRangeCount else {
            isTooLarge = true
            return
        }
        ranges.append(Range(begin: begin, end: end, kind: isUnusual || isUnaligned ? .opaque : kind))
    }

    mutating func add(_ other: Lowering, at offset: Int) throws(CallRefusal) {
        for range in other.ranges { try add(range.kind, range.begin + offset, range.end + offset) }
        if other.isAddressOnly { isAddressOnly = true }
        if other.isTooLarge { isTooLarge = true }
        if let type = other.hidesFields { hidesFields = type }
        assume(other)
    }

    mutating func assume(_ type: TypeMetadata) { structs.insert(type) }
    /// Takes over the structs of a payload, whose bytes are another's to add.
    mutating func assume(_ other: Lowering) { structs.formUnion(other.structs) }

    /// What goes into registers, each into one; `nil` where that is more than four.
    ///
    /// - Parameter type: whose lowering it is.
    func components(of type: TypeMetadata) throws(CallRefusal) -> [Range]? {
        if isTooLarge { return nil }
        let merged = mergedNeighbours()
        var components: [Range] = []
        var index = 0
        while index < merged.count {
            let range = merged[index]
            index += 1
            guard range.kind == .opaque else {
                components.append(range)
                continue
            }
            var end = range.end
            while index < merged.count, merged[index].kind == .opaque, merged[index].begin == end {
                end = merged[index].end
                index += 1
            }
            Self.append(opaque: range.begin, end, to: &components)
        }
        let count = components.reduce(0) { $0 + $1.registerCount }
        guard count <= Self.maximumRegisterCount else { return nil }
        // Hidden fields decide which registers are used.
        if let type = hidesFields { throw .cType("\(type)") }
        // The integer that holds three bytes behind a Float16 holds its bytes too. Swift 6.3 puts either's there, or neither's.
        for (left, right) in zip(components, components.dropFirst()) where left.end > right.begin {
            throw .overlappingRegisters("\(type)")
        }
        return components
    }

    /// Integers that share a chunk of eight bytes lose their shape, and the padding between them belongs to them.
    private func mergedNeighbours() -> [Range] {
        var ranges = ranges
        for index in ranges.indices.dropFirst() {
            let previous = ranges[index - 1]
            let sharesChunk = (previous.end - 1) / 8 == ranges[index].begin / 8
            guard sharesChunk, !previous.kind.isVector, !ranges[index].kind.isVector else { continue }
            ranges[index - 1].kind = .opaque
            ranges[index - 1].end = ranges[index].begin
            ranges[index].kind = .opaque
        }
        return ranges
    }

    /// Opaque bytes become, in each chunk of eight, the smallest integer that holds them.
    private static func append(opaque begin: Int, _ end: Int, to components: inout [Range]) {
        var begin = begin
        repeat {
            let chunkEnd = min(end, (begin & ~7) + 8)
            var unit = 1
            while (begin & -unit) + unit < chunkEnd { unit *= 2 }
            components.append(Range(begin: begin & -unit, end: (begin & -unit) + unit, kind: .integer))
            begin = chunkEnd
        } while begin != end
    }
}

extension Int {
    var roundedUpToPowerOfTwo: Int {
        var power = 1
        while power < self { power *= 2 }
        return power
    }

    func roundedUp(to alignment: Int) -> Int { (self + alignment - 1) & -alignment }
}
