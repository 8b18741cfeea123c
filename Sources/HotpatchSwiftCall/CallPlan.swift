/// Where a function of some type finds its arguments and leaves its results, in both of its conventions.
///
/// *Natural* is how the function's symbol is called. *Abstract* is how a value of the function type is called that was passed as
/// a generic `F`: a pointer for every parameter, and one for the result (swift/docs/ABI/CallingConvention.rst).
///
/// A plan is a value, computed from metadata alone; it changes nothing.
public struct CallPlan: Sendable {
    package let architecture: CallArchitecture
    package let shape: CallShape
    package let isAsync: Bool
    let isThrowing: Bool
    let arguments: [Argument]
    let result: Result
    /// Bytes of stack that arguments take, each way.
    let naturalStackSize: Int
    let abstractStackSize: Int

    /// One parameter of the function type.
    struct Argument: Sendable {
        let type: TypeMetadata
        /// Where a pointer to it is passed.
        let abstract: Place
        /// Its parts, which are passed one by one: a tuple has several.
        let leaves: [Leaf]
        /// Whether the function takes it over.
        let isOwned: Bool
        /// Whether a closure of that type takes it over.
        let isAbstractlyOwned: Bool
    }

    struct Leaf: Sendable {
        let type: TypeMetadata
        /// Within the parameter.
        let offset: Int
        let passing: Passing
    }

    struct Component: Hashable, Sendable {
        /// Bytes of the value.
        let range: Lowering.Range
        let place: Place
    }

    enum Passing: Sendable {
        case nothing
        /// The metatype of a struct or an enum: there is only one.
        case thinMetatype
        case direct([Component])
        /// A pointer to the value.
        case pointer(Place)
        case `inout`(Place)
        /// What an existential holds: a pointer to the value, or the object, as self; its type and its witness table.
        case opened(type: Place, witnesses: Place, isObject: Bool)
        /// A closure, natural too, and its plan.
        indirect case closure(code: Place, context: Place, isEscaping: Bool, CallPlan)
    }

    struct Result: Sendable {
        let type: TypeMetadata
        let leaves: [ResultLeaf]
        let form: Form
        /// Where the pointer to the abstract result is passed.
        let abstract: Place
        /// Bytes of the direct leaves, one after the other.
        let imageSize: Int

        enum Form: Hashable, Sendable {
            /// The direct leaves, in registers.
            case registers([Component])
            /// The direct leaves, in memory that the caller provides.
            case memory(Place)
            /// The only leaf, in memory that the caller provides.
            case indirect(Place)
        }
    }

    struct ResultLeaf: Sendable {
        let type: TypeMetadata
        /// Within the result.
        let offset: Int
        /// Within the image of the direct leaves.
        let imageOffset: Int
        let passing: ResultPassing
    }

    enum ResultPassing: Sendable {
        case nothing
        case direct
        /// To where this pointer leads.
        case pointer(Place)
        /// As the only leaf.
        case whole
        indirect case closure(CallPlan)
    }

    /// - Throws: where no adapter can be made for the type.
    public init(
        _ type: Any.Type, shape: CallShape = .function, architecture: CallArchitecture = .current
    ) throws(CallRefusal) {
        try self.init(TypeMetadata(type), shape: shape, architecture: architecture)
    }

    init(_ metadata: TypeMetadata, shape: CallShape, architecture: CallArchitecture) throws(CallRefusal) {
        let type = try FunctionType(metadata)
        try Self.checkSelf(of: type, shape: shape)
        var natural = PlaceAllocator(architecture)
        var abstract = PlaceAllocator(architecture)

        // An async function has nowhere else to be told where its result goes: it is the first argument.
        let abstractResult = type.isAsync ? abstract.place() : .indirectResult
        result = try Self.planResult(type, abstract: abstractResult, &natural)

        let abstractPlaces = type.parameters.map { _ in abstract.place() }
        var arguments: [Argument?] = Array(repeating: nil, count: type.parameters.count)
        let hasSelf = shape.selfConvention != .none
        // self comes last.
        let order = hasSelf ? Array(type.parameters.indices.dropFirst()) + [0] : Array(type.parameters.indices)
        for index in order {
            let isSelf = hasSelf && index == 0
            arguments[index] = try Self.planArgument(
                type.parameters[index], of: type, abstract: abstractPlaces[index],
                convention: isSelf ? shape.selfConvention : .none, isOwned: shape.owns(index), &natural)
        }
        self.arguments = arguments.compactMap { $0 }
        naturalStackSize = natural.stackSize
        abstractStackSize = abstract.stackSize
        if type.isAsync, !natural.popsWhatIsPut { throw .asyncStackVector("\(metadata)") }

        self.architecture = architecture
        self.shape = shape
        isAsync = type.isAsync
        isThrowing = type.isThrowing
    }

    private static func checkSelf(of type: FunctionType, shape: CallShape) throws(CallRefusal) {
        guard shape.selfConvention != .none else { return }
        guard let first = type.parameters.first else { throw .noSelf("\(type.metadata)") }
        let isInout = first.ownership == .inout
        switch shape.selfConvention {
        case .inout where !isInout: throw .selfIsNotInout("\(type.metadata)")
        case .borrowed where isInout, .consuming where isInout, .opened where isInout:
            throw .selfIsInout("\(type.metadata)")
        case .metatype where first.type.kind != .metatype && first.type.kind != .existentialMetatype:
            throw .selfIsNotMetatype("\(type.metadata)")
        default: break
        }
    }

    // MARK: Arguments

    private static func planArgument(
        _ parameter: FunctionType.Parameter, of type: FunctionType, abstract: Place,
        convention: CallShape.SelfConvention, isOwned: Bool, _ natural: inout PlaceAllocator
    ) throws(CallRefusal) -> Argument {
        let isSelf = convention != .none
        guard parameter.type.alignment <= 16 else {
            throw .overAligned("\(parameter.type)", parameter.type.alignment)
        }
        var leaves: [Leaf] = []
        if convention == .opened {
            leaves = [Leaf(type: parameter.type, offset: 0, passing: try planOpened(parameter, of: type, &natural))]
        } else if parameter.ownership == .inout {
            try checkInout(parameter.type, of: type)
            leaves = [
                Leaf(type: parameter.type, offset: 0, passing: .inout(isSelf ? .context : natural.place()))
            ]
        } else {
            try appendLeaves(of: parameter.type, at: 0, isSelf: isSelf, to: &leaves, &natural)
            if leaves.count > 1 {
                for leaf in leaves where !leaf.type.isBitwiseTakable {
                    throw .tupleMember("\(leaf.type)", of: "\(parameter.type)")
                }
            }
        }
        return Argument(
            type: parameter.type, abstract: abstract, leaves: leaves,
            isOwned: parameter.ownership == .owned || (parameter.ownership != .inout && isOwned),
            isAbstractlyOwned: parameter.ownership == .owned)
    }

    /// What a generic function is passed for its only parameter Self, which is also its self (swift/docs/ABI/CallingConvention.rst,
    /// "Generics").
    private static func planOpened(
        _ parameter: FunctionType.Parameter, of type: FunctionType, _ natural: inout PlaceAllocator
    ) throws(CallRefusal) -> Passing {
        guard let isObject = parameter.type.isClassExistential, parameter.ownership != .owned else {
            throw .existentialSelf("\(type.metadata)")
        }
        return .opened(type: natural.place(), witnesses: natural.place(), isObject: isObject)
    }

    /// Closures and thin metatypes are in another form at the other side: they would have to be converted and converted back.
    private static func checkInout(_ type: TypeMetadata, of function: FunctionType) throws(CallRefusal) {
        if contains(type, where: { isClosure($0) || $0.isThinMetatype }) {
            throw .inoutClosure("\(function.metadata)")
        }
    }

    /// A tuple is passed as its elements, each lowered alone.
    private static func appendLeaves(
        of type: TypeMetadata, at offset: Int, isSelf: Bool, to leaves: inout [Leaf], _ natural: inout PlaceAllocator
    ) throws(CallRefusal) {
        guard type.kind != .tuple else {
            for index in 0..<type.elementCount {
                try appendLeaves(
                    of: type.elementType(index), at: offset + type.elementOffset(index), isSelf: false, to: &leaves,
                    &natural)
            }
            return
        }
        let passing = try plan(type, isSelf: isSelf, &natural)
        leaves.append(Leaf(type: type, offset: offset, passing: passing))
    }

    private static func plan(
        _ type: TypeMetadata, isSelf: Bool, _ natural: inout PlaceAllocator
    ) throws(CallRefusal) -> Passing {
        if type.isThinMetatype { return .thinMetatype }
        if let closure = try closure(in: type) {
            let plan = try CallPlan(closure, shape: .function, architecture: natural.architecture)
            let isEscaping = try FunctionType(closure).isEscaping || type.kind == .optional
            return .closure(code: natural.place(), context: natural.place(), isEscaping: isEscaping, plan)
        }
        let lowering = try Lowering(of: type, on: natural.architecture)
        guard !lowering.isAddressOnly, let components = try lowering.components(of: type) else {
            return .pointer(isSelf ? .context : natural.place())
        }
        if components.isEmpty { return .nothing }
        // IRGen's isSelfContextParameter: objects, and metatypes that are not thin.
        if isSelf, type.kind == .class || type.kind == .metatype {
            return .direct(components.map { Component(range: $0, place: .context) })
        }
        var placed: [Component] = []
        for range in components { placed.append(Component(range: range, place: natural.place(range.kind))) }
        return .direct(placed)
    }

    /// The function type of a closure that a value of this type is, or is when it is not nil: such a closure is converted.
    /// Those inside other types stay as they are, but for optionals and tuples.
    private static func closure(in type: TypeMetadata) throws(CallRefusal) -> TypeMetadata? {
        if isClosure(type) { return type }
        guard type.kind == .optional else { return nil }
        if isClosure(type.wrappedType) { return type.wrappedType }
        if contains(type, where: isClosure) { throw .closureInside("\(type)") }
        if contains(type, where: \.isThinMetatype) { throw .metatypeInside("\(type)") }
        return nil
    }

    private static func isClosure(_ type: TypeMetadata) -> Bool {
        type.kind == .function && type.word(1) & 0xff_0000 == 0
    }

    /// Whether it is so of the type, or of one that it is an optional or a tuple of. What is in those is converted with them
    /// (swift/docs/ABI/CallingConvention.rst, "Abstraction patterns").
    private static func contains(_ type: TypeMetadata, where condition: (TypeMetadata) -> Bool) -> Bool {
        switch type.kind {
        case .optional: contains(type.wrappedType, where: condition)
        case .tuple: (0..<type.elementCount).contains { contains(type.elementType($0), where: condition) }
        default: condition(type)
        }
    }

    // MARK: The result

    private static func planResult(
        _ type: FunctionType, abstract: Place, _ natural: inout PlaceAllocator
    ) throws(CallRefusal) -> Result {
        guard type.result.alignment <= 16 else { throw .overAligned("\(type.result)", type.result.alignment) }
        var parts: [(type: TypeMetadata, offset: Int)] = []
        appendParts(of: type.result, at: 0, to: &parts)

        // The direct leaves are lowered together, as a tuple of their own.
        var image = Lowering(on: natural.architecture)
        var imageSize = 0
        var leaves: [ResultLeaf] = []
        var pointerCount = 0
        for part in parts {
            guard !part.type.isThinMetatype else { throw .metatypeResult("\(type.metadata)") }
            var passing = ResultPassing.nothing
            if let closure = try closure(in: part.type) {
                passing = .closure(try CallPlan(closure, shape: .function, architecture: natural.architecture))
            }
            let lowering = try Lowering(of: part.type, on: natural.architecture)
            if lowering.isAddressOnly {
                passing = .whole
                pointerCount += 1
            } else if !lowering.ranges.isEmpty || lowering.isTooLarge {
                if case .nothing = passing { passing = .direct }
                imageSize = imageSize.roundedUp(to: part.type.alignment)
                try image.add(lowering, at: imageSize)
            }
            leaves.append(
                ResultLeaf(type: part.type, offset: part.offset, imageOffset: imageSize, passing: passing))
            if case .direct = passing { imageSize += part.type.size }
            if case .closure = passing { imageSize += part.type.size }
        }
        if leaves.count > 1 {
            for leaf in leaves where !leaf.type.isBitwiseTakable {
                throw .tupleMember("\(leaf.type)", of: "\(type.result)")
            }
        }

        let form: Result.Form
        func indirectPlace() -> Place { type.isAsync ? natural.place() : .indirectResult }
        if pointerCount == 1, image.ranges.isEmpty {
            form = .indirect(indirectPlace())
        } else {
            if let components = try image.components(of: type.result) {
                form = .registers(placeResults(components, natural.architecture))
            } else {
                // With several results in memory beside it, an argument like theirs (IRGen's SignatureExpansion::expandResult).
                form = .memory(pointerCount > 1 ? natural.place() : indirectPlace())
            }
            // The other results are told where to go by the first arguments.
            leaves = leaves.map { leaf in
                guard case .whole = leaf.passing else { return leaf }
                return ResultLeaf(
                    type: leaf.type, offset: leaf.offset, imageOffset: leaf.imageOffset,
                    passing: .pointer(natural.place()))
            }
        }
        return Result(type: type.result, leaves: leaves, form: form, abstract: abstract, imageSize: imageSize)
    }

    private static func appendParts(
        of type: TypeMetadata, at offset: Int, to parts: inout [(type: TypeMetadata, offset: Int)]
    ) {
        guard type.kind == .tuple else {
            parts.append((type, offset))
            return
        }
        for index in 0..<type.elementCount {
            appendParts(of: type.elementType(index), at: offset + type.elementOffset(index), to: &parts)
        }
    }

    private static func placeResults(
        _ components: [Lowering.Range], _ architecture: CallArchitecture
    ) -> [Component] {
        var places = PlaceAllocator(architecture)
        var placed: [Component] = []
        for range in components { placed.append(Component(range: range, place: places.place(range.kind))) }
        return placed
    }
}
