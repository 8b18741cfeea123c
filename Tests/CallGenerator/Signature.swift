/// One random function: what it is, what it takes and returns.
struct Signature {
    enum Shape {
        case function
        /// An operator, of a struct or enum.
        case `operator`
        case method(SelfUse)
        case staticMethod
        case initialiser
        case getter
        case setter(isMutating: Bool)
        case subscriptGetter
        case subscriptSetter
    }

    enum SelfUse: String {
        case borrowed = ""
        case mutated = "mutating "
        case consumed = "consuming "
    }

    struct Parameter {
        enum Passing: String {
            case standard = ""
            case `inout` = "inout "
            case consuming = "consuming "
            case borrowing = "borrowing "
            case owned = "__owned "
            case shared = "__shared "
            case sending = "sending "
            case autoclosure = "@autoclosure "
            case variadic = "..."
        }

        let label: String?
        let type: ValueType
        /// The type that the function sees: an array where it is variadic.
        let formal: ValueType
        let passing: Passing
        let isEscaping: Bool
        /// Whether its argument is written as a closure where it is passed.
        let isLiteral: Bool
        /// Whether the closure that stands for the function declares it as the function does.
        let keepsOwnership: Bool
    }

    let index: Int
    let shape: Shape
    /// What it is a member of.
    let host: ValueType?
    let parameters: [Parameter]
    let result: ValueType
    let isThrowing: Bool
    let isAsync: Bool
    /// The attribute of the global actor that it runs on, with a space.
    let actor: String
    /// Whether the optimiser may look at the function.
    let isOptimised: Bool
    /// Whether it is declared in an extension of the host.
    let isInExtension: Bool
    /// Whether it is an accessor of a static property or subscript.
    let isStaticAccessor: Bool
    /// Whether its type has no `Self.Type`.
    let leavesOutSelf: Bool
    /// The parameter that it returns, if it does not return a value of its own.
    let returned: Int?
    let operatorName: String

    var isObject: Bool { host?.declaration?.contains("class ") ?? (hostName == "Vault") }
    /// As an extension spells it.
    var hostName: String? {
        host.map { $0.spelling.hasPrefix("any ") ? String($0.spelling.dropFirst(4)) : $0.spelling }
    }
    private static func isFixed(_ host: ValueType?) -> Bool { host != nil && host!.declaration == nil }
}

extension Signature {
    /// - Parameter table: gets the types that are new.
    init(index: Int, seed: UInt64, table: TypeTable, asyncPercent: Int) {
        var dice = Dice(seed: seed, index + 1)
        self.index = index
        let wanted = dice.weighted([
            (10, Shape.function), (2, .operator), (4, .method(.borrowed)), (3, .method(.mutated)),
            (1, .method(.consumed)), (2, .staticMethod), (2, .initialiser), (2, .getter),
            (2, .setter(isMutating: true)),
            (1, .setter(isMutating: false)), (1, .subscriptGetter), (2, .subscriptSetter),
        ])
        var kind: TypeTable.NominalKind?
        switch wanted {
        case .operator, .initialiser, .method(.mutated), .method(.consumed):
            kind = dice.percent(60) ? .structure : .enumeration
        default: break
        }
        var host: ValueType?
        var isAsync =
            switch wanted {
            case .setter, .subscriptSetter: false
            default: dice.percent(asyncPercent)
            }
        switch wanted {
        case .function: break
        case .method(.borrowed) where isAsync && dice.percent(40): host = table.vault
        case .method(.borrowed) where dice.percent(30), .getter where dice.percent(30):
            host = dice.percent(65) ? table.anyP : table.anyCP
        default: host = table.nominal(&dice, named: "H\(index)", kind: kind)
        }
        // The compiler (6.3) gives those other places in the frames of async functions than it reads them from.
        let vectorSize = isAsync ? 16 : .max
        if host.map({ $0.vectorSize > vectorSize }) == true { isAsync = false }
        self.isAsync = isAsync
        self.host = host
        shape = wanted
        let isObject = host?.declaration?.contains("class ") ?? false
        actor =
            switch wanted {
            case .function, .method, .staticMethod:
                isAsync && !Self.isFixed(host) ? dice.weighted([(6, ""), (1, "@MainActor "), (1, "@Racer ")]) : ""
            default: ""
            }

        var types: [ValueType] = []
        switch wanted {
        case .getter: types = []
        case .setter: types = [Self.parameterType(&dice, table, vectorSize)]
        case .operator: types = [host!, Self.parameterType(&dice, table, vectorSize)]
        default:
            let count =
                isAsync
                ? dice.weighted([(2, 0), (6, 1), (6, 2), (3, 3)])
                : dice.weighted([(2, 0), (5, 1), (7, 2), (6, 3), (4, 4), (2, 5), (2, 7), (1, 9), (1, 14), (1, 23)])
            types = (0..<count).map { _ in
                isAsync && dice.percent(20)
                    ? table.closure(&dice, depth: 0, isAsync: true) : Self.parameterType(&dice, table, vectorSize)
            }
            if case .subscriptSetter = wanted {
                types = [Self.parameterType(&dice, table, vectorSize)] + types.prefix(3)
            }
            if types.isEmpty, case .subscriptGetter = wanted { types = [table.int] }
            if types.count == 1, case .subscriptSetter = wanted { types.append(table.int) }
            if types.isEmpty, case .initialiser = wanted { types = [table.int] }
        }
        var parameters: [Parameter] = []
        for (position, type) in types.enumerated() {
            parameters.append(
                Self.parameter(
                    &dice, table, type, position, of: wanted, isLast: position == types.count - 1))
        }
        self.parameters = parameters

        switch wanted {
        case .initialiser: result = host!
        case .setter, .subscriptSetter: result = table.void
        default: result = dice.percent(12) ? table.void : Self.resultType(&dice, table, vectorSize)
        }
        switch wanted {
        case .setter, .subscriptSetter, .subscriptGetter: isThrowing = false
        case .getter: isThrowing = dice.percent(25)
        default: isThrowing = dice.percent(35)
        }
        isOptimised = dice.percent(40)
        isInExtension = Self.isFixed(host) || (!isObject && dice.percent(40))
        isStaticAccessor =
            switch wanted {
            case .getter, .setter, .subscriptGetter, .subscriptSetter: !Self.isFixed(host) && dice.percent(30)
            default: false
            }
        leavesOutSelf = dice.percent(50)
        let result = result
        let same = parameters.indices.filter {
            let one = parameters[$0]
            guard one.type === result, one.type.closure?.isAsync != true, one.type.closure == nil || one.isEscaping
            else { return false }
            return one.passing != .variadic && one.passing != .autoclosure && one.passing != .inout
        }
        if case .initialiser = wanted {
            returned = nil
        } else {
            returned = same.isEmpty || dice.percent(30) ? nil : dice.pick(same)
        }
        operatorName = "+-" + String(index, radix: 7).map { String(Array("+-*%&|^")[Int(String($0))!]) }.joined() + "^"
    }

    private static func parameterType(_ dice: inout Dice, _ table: TypeTable, _ vectorSize: Int) -> ValueType {
        switch dice.weighted([(72, 0), (12, 1), (4, 2), (3, 3), (2, 4)]) {
        case 0: return table.value(&dice, depth: dice.weighted([(3, 0), (4, 1), (2, 2)]), vectorSize: vectorSize)
        case 1: return table.closure(&dice, depth: dice.below(2))
        case 2: return table.optional(table.closure(&dice, depth: 0))
        case 3: return table.tuple(of: [table.closure(&dice, depth: 0), table.int, table.string])
        default: return table.thinMetatype(&dice)
        }
    }

    private static func resultType(_ dice: inout Dice, _ table: TypeTable, _ vectorSize: Int) -> ValueType {
        switch dice.weighted([(80, 0), (8, 1), (4, 2), (3, 3)]) {
        case 0: table.value(&dice, depth: dice.weighted([(3, 0), (4, 1), (2, 2)]), vectorSize: vectorSize)
        case 1: table.closure(&dice, depth: dice.below(2))
        case 2: table.optional(table.closure(&dice, depth: 0))
        default: table.tuple(of: [table.int, table.closure(&dice, depth: 0)])
        }
    }

    private static func parameter(
        _ dice: inout Dice, _ table: TypeTable, _ type: ValueType, _ position: Int, of shape: Shape, isLast: Bool
    ) -> Parameter {
        var passing = Parameter.Passing.standard
        var isEscaping = type.closure == nil || dice.percent(50)
        var isLabelled = dice.percent(40)
        switch shape {
        case .getter, .setter, .subscriptGetter, .subscriptSetter:
            isEscaping = true
            isLabelled = false
        case .operator:
            isLabelled = false
            passing = type.closure == nil ? dice.weighted([(6, .standard), (1, .consuming)]) : .standard
        default:
            if type.closure != nil || type.holdsClosure || type.isThinMetatype {
                passing = isEscaping && dice.percent(10) ? .owned : .standard
                if type.isThinMetatype { passing = .standard }
            } else {
                passing = dice.weighted([
                    (60, .standard), (14, .inout), (6, .consuming), (4, .borrowing), (4, .owned), (3, .shared),
                    (2, .sending), (3, .autoclosure), (isLast ? 3 : 0, .variadic),
                ])
            }
        }
        // The compiler (6.3) ends where one of those is copied.
        if case .tuple = type.form, passing == .consuming || passing == .borrowing { passing = .standard }
        var isLiteral = type.closure != nil && dice.percent(70)
        switch shape {
        case .initialiser: if position == 0 { isLabelled = true }
        // What is assigned is evaluated last by Swift, and first in a call of a function value.
        case .setter, .subscriptSetter: isLiteral = false
        default: break
        }
        let formal =
            switch passing {
            case .variadic: table.array(of: type)
            case .autoclosure: table.closure(Closure(parameters: [], result: type, isThrowing: false))
            default: type
            }
        return Parameter(
            label: isLabelled ? "l\(position)" : nil, type: type, formal: formal, passing: passing,
            isEscaping: passing == .autoclosure ? false : isEscaping, isLiteral: isLiteral,
            keepsOwnership: dice.percent(50))
    }
}

extension ValueType {
    /// Whether it is, or is made of, a closure.
    var hasClosureInside: Bool { closure != nil || parts.contains(where: \.hasClosureInside) }

    var isThinMetatype: Bool { if case .thinMetatype = form { true } else { false } }

    /// Whether a closure in it is converted on its way.
    var holdsClosure: Bool {
        switch form {
        case .closure: true
        case .optional(let wrapped): wrapped.holdsClosure
        case .tuple(let elements): elements.contains(where: \.holdsClosure)
        default: false
        }
    }
}
