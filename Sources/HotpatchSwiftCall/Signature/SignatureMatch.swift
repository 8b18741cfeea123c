/// What a symbol's name leaves out, as far as it is known.
public struct FunctionFacts: Hashable, Sendable {
    /// What a method does with `self`. Of a class's it need not be known: then it is taken not to be `consuming`.
    public enum SelfUse: Hashable, Sendable {
        /// Neither `mutating` nor `consuming`.
        case borrowed
        /// `mutating`.
        case mutated
        /// `consuming`.
        case consumed
    }
    /// From DWARF, or the caller's word. Nil: unknown.
    package var selfUse: SelfUse?
    /// Whether a getter throws, from DWARF or by the caller's word. Nil: unknown.
    package var throwsError: Bool?
    /// Whether a getter is async: whether the image defines the symbol with `Tu` behind it.
    package var isAsync: Bool?
    /// Whether the function's compilation unit is optimised, from DWARF. Nil: unknown.
    package var isOptimised: Bool?
    /// `LOCAL DEFAULT` in `.symtab`: private code, of which LLVM may change the convention. `LOCAL HIDDEN` and `GLOBAL` keep it.
    package var isFileLocal: Bool

    package init(
        selfUse: SelfUse? = nil, throwsError: Bool? = nil, isAsync: Bool? = nil, isOptimised: Bool? = nil,
        isFileLocal: Bool = false
    ) {
        self.selfUse = selfUse
        self.throwsError = throwsError
        self.isAsync = isAsync
        self.isOptimised = isOptimised
        self.isFileLocal = isFileLocal
    }
}

/// That a closure's type is a function's, and what the type does not say about how the function is called.
///
/// The closure's parameters, in order:
///
/// - **Method**: `Self`, then the parameters. `inout Self` where it is mutating.
/// - **Getter**: `Self`, then the indices of a subscript. **Setter**: `Self`, the new value, the indices. Of a global or a free
///   function there is no `Self`.
/// - **Static member**, and **initialiser**: `Self.Type`, then the parameters. Of a struct or enum nothing is passed for
///   `Self.Type`, and a closure may leave it out, which then has the type that `Shop.Cart.make` has as a value. Of a class it
///   tells which subclass is meant, and must be there.
/// - **Method in a protocol extension**: `any P`, then the parameters.
///
/// The function itself takes its parameters in this order with `self` last (Swift's ABI, CallingConvention.rst).
package struct SignatureMatch: Hashable, Sendable {
    package enum SelfParameter: Hashable, Sendable {
        /// A free function, or a global's accessor.
        case none
        /// A static member or initialiser of a struct or enum, in a closure without `Self.Type`: nothing is passed either.
        case leftOut
        /// The closure's first parameter is `Self.Type`: passed by a class, and by no struct or enum.
        case metatype
        /// The closure's first parameter is a struct, enum or `inout` one.
        case value
        /// The closure's first parameter is an object.
        case object
        /// The closure's first parameter is `any P`; the function takes a value, its type and its witness table.
        case existential
    }

    /// How the function itself takes a parameter, whatever the closure's type says.
    package enum Ownership: Hashable, Sendable {
        /// The caller keeps it (`@guaranteed`).
        case borrowed
        /// The function ends its life (`@owned`): `consuming`, and all parameters of initialisers and setters.
        case owned
        case `inout`
    }

    package var signature: SwiftSignature
    package var selfParameter: SelfParameter
    /// For each parameter of the closure, `Self` included.
    package var ownership: [Ownership]
    package var isAsync: Bool
    package var throwsError: Bool
    /// Whether the function may throw although the closure does not: a getter of which nothing tells. Its callers find no error
    /// then; but it cannot be called as one that does not throw.
    package var mayThrow: Bool

    /// Why the function cannot be called as the closure's type says, while the closure can replace it.
    package var originalRefusal: SymbolRefusal? {
        mayThrow ? SymbolRefusal(reason: .unknownThrows, function: signature.text) : nil
    }

    /// Whether the function may take a hidden actor before its parameters: an async one that is `nonisolated(nonsending)`, as all
    /// nonisolated ones are in a module built with NonisolatedNonsendingByDefault (SE-0461). Neither the symbol nor DWARF says
    /// so. True of every async function without an `isolated` parameter: one that is isolated to an actor in another way takes
    /// no such parameter, but that cannot be seen either.
    package var mayTakeHiddenActor: Bool {
        isAsync && !signature.function.parameters.contains { $0.isIsolated }
    }
}

/// That a closure's type is not a function's.
package struct SignatureMismatch: Error, Hashable, Sendable {
    /// The function, `Shop.price(of: String) -> Int`.
    package var function: String
    /// The type that a closure must have, `(String) -> Int`.
    package var expected: String
    /// The type that it has.
    package var closure: String
    /// What of `closure` differs first, in characters.
    package var range: Range<Int>
    /// Each difference, `result: Int, the closure has Int32`.
    package var differences: [String]
}

extension SignatureMismatch: CustomStringConvertible {
    package var description: String {
        let caret = String(repeating: " ", count: range.lowerBound) + String(repeating: "^", count: max(1, range.count))
        return """
            the closure's type is not that of \(function):
              function  \(expected)
              closure   \(closure)
                        \(caret)
            \(differences.map { "  " + $0 }.joined(separator: "\n"))
            """
    }
}

/// Why a closure cannot stand for a function.
package enum SignatureError: Error, Hashable, Sendable {
    /// No closure can.
    case refused(SymbolRefusal)
    /// Another could.
    case mismatch(SignatureMismatch)
    /// The value's type is not a function type that has a closure's convention; `why` is a sentence.
    case unsuitable(type: String, why: String)
}

extension SignatureError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .refused(let refusal): refusal.description
        case .mismatch(let mismatch): mismatch.description
        case .unsuitable(let type, let why): "a value of type \(type) cannot replace a Swift function: \(why)"
        }
    }
}

extension SwiftSignature {
    /// Compares the function with a closure's type.
    ///
    /// Both are normalised first: `@Sendable`, `@autoclosure`, `@escaping`, marker protocols and the order of an existential's
    /// members do not count; a variadic parameter is an array; `sending` and `isolated` parameters, and the actor of the closure
    /// itself, are not compared, as symbols leave them out. A parameter that the function consumes may be an ordinary one of the
    /// closure.
    ///
    /// - Parameters:
    ///   - closure: the demangled text of `"$s" + _mangledTypeName(F.self)! + "D"`.
    ///   - isConcreteContext: whether the type that the function is a member of is known not to be generic, which no text says.
    ///     Only then may a closure leave out `Self.Type`.
    package func match(
        closure text: String, _ facts: FunctionFacts, isConcreteContext: Bool = false
    ) throws(SignatureError) -> SignatureMatch {
        func refused(_ reason: SymbolRefusal.Reason) -> SignatureError {
            .refused(SymbolRefusal(reason: reason, function: self.text))
        }
        if facts.isFileLocal, facts.isOptimised != false {
            throw refused(.privateCode(isKnownOptimised: facts.isOptimised == true))
        }
        if kind == .allocatingInitialiser, facts.isOptimised != false {
            throw refused(.allocatingInitialiser(isKnownOptimised: facts.isOptimised == true))
        }
        let closure = try Self.closureType(text)
        if let first = closure.parameters.first, let context,
            context.type.isUnbound(first.type) || context.type.isPartlyBound(first.type)
        {
            throw refused(.genericContext(first.type.description))
        }
        let (expected, selfParameter) = try expectedType(facts, closure, isConcreteContext)
        let differences = Comparison(expected, closure)
        guard differences.isEmpty else { throw .mismatch(mismatch(expected, closure, differences)) }
        return SignatureMatch(
            signature: self, selfParameter: selfParameter, ownership: expected.parameters.map(\.natural),
            isAsync: expected.type.isAsync, throwsError: expected.type.thrown != .nothing,
            mayThrow: isGetter && facts.throwsError == nil)
    }

    private var isGetter: Bool { kind == .getter || kind == .subscriptGetter }

    // MARK: The closure's side

    private static func closureType(_ text: String) throws(SignatureError) -> SwiftType.Function {
        var parser = SignatureParser(text)
        var function: SwiftType.Function
        do {
            function = try parser.function()
            guard parser.isAtEnd else { throw parser.failure }
        } catch {
            throw .unsuitable(type: text, why: "it is not a function type that can be read. Pass a closure.")
        }
        func unsuitable(_ why: String) -> SignatureError {
            .unsuitable(type: TypeSpelling.full.text(function), why: why)
        }
        for attribute in function.attributes {
            switch attribute {
            case "Sendable", "escaping", "autoclosure": break
            case let actor where !actor.contains("("): break
            case "convention(c)":
                throw unsuitable("it is a C function. Pass a closure, or replace a C function.")
            case "nonisolated(nonsending)":
                throw unsuitable(
                    "a function that is so takes an actor that no closure's type shows. Replace it by another such function:"
                        + " Patch.replace(symbol:withSymbol:).")
            default:
                throw unsuitable(
                    "\(attribute) changes how it is called. Pass a closure without it.")
            }
        }
        if case .typed(let error) = function.thrown {
            throw unsuitable(
                "it throws a typed error. Pass a closure that throws any Error, if the function does: not \(error).")
        }
        function.attributes = []
        function.sendsResult = false
        let types = function.parameters.map(\.type) + [function.result]
        let hasPrivate = types.contains { type in
            type.contains { type in
                if case .nominal(let nominal) = type {
                    nominal.components.contains { $0.discriminator != nil }
                } else {
                    false
                }
            }
        }
        if hasPrivate {
            throw unsuitable(
                "it names a type that is private to a file or local to a function, which cannot be compared with a symbol's."
                    + " Make the type internal, or replace the function by symbol: Patch.replace(symbol:withSymbol:).")
        }
        return function
    }

    // MARK: The function's side

    struct Expected {
        struct Parameter {
            var name: String
            var type: SwiftType.Parameter
            var natural: SignatureMatch.Ownership
        }
        var parameters: [Parameter]
        /// Effects and result; its own parameters are not used.
        var type: SwiftType.Function

        var function: SwiftType.Function {
            var function = type
            function.parameters = parameters.map(\.type)
            return function
        }
    }

    private func expectedType(
        _ facts: FunctionFacts, _ closure: SwiftType.Function, _ isConcreteContext: Bool
    ) throws(SignatureError) -> (Expected, SignatureMatch.SelfParameter) {
        func refused(_ reason: SymbolRefusal.Reason) -> SignatureError {
            .refused(SymbolRefusal(reason: reason, function: text))
        }
        var type = function
        // Only a property that cannot be set may throw or be async (SE-0310).
        if isGetter {
            guard let isAsync = facts.isAsync else { throw refused(.unknownAsync) }
            // Callers clear the error's register before a call, and only an error is ever put there; of an async function it is written
            // as the call returns.
            guard facts.throwsError != nil || !isAsync && closure.thrown == .nothing else {
                throw refused(.unknownThrows)
            }
            type.isAsync = isAsync
            type.thrown = facts.throwsError == true ? .anyError : .nothing
        }
        let takesOwnership = [.initialiser, .allocatingInitialiser, .setter, .subscriptSetter].contains(kind)
        let parameters = function.parameters.enumerated().map { index, parameter in
            let natural: SignatureMatch.Ownership =
                switch parameter.ownership {
                case .inout: .inout
                case .owned: .owned
                case .shared: .borrowed
                case .byConvention: takesOwnership ? .owned : .borrowed
                }
            return Expected.Parameter(name: "parameter \(index + 1)", type: parameter, natural: natural)
        }
        guard let context else { return (Expected(parameters: parameters, type: type), .none) }

        let isType = isStatic || kind == .initialiser || kind == .allocatingInitialiser
        if isType {
            let isValue = context.kind == .structure || context.kind == .enumeration
            if isValue, isConcreteContext, closure.parameters.count == parameters.count {
                return (Expected(parameters: parameters, type: type), .leftOut)
            }
            let own = Expected.Parameter(
                name: "Self", type: SwiftType.Parameter(type: .metatype(context.type)), natural: .borrowed)
            return (Expected(parameters: [own] + parameters, type: type), .metatype)
        }
        var own = Expected.Parameter(name: "self", type: SwiftType.Parameter(type: context.type), natural: .borrowed)
        if context.kind == .classType {
            // An object is rarely consumed by its methods: where nothing tells, they borrow it.
            if facts.selfUse == .consumed { own.natural = .owned }
            return (Expected(parameters: [own] + parameters, type: type), .object)
        }
        guard let use = facts.selfUse else { throw refused(.unknownMutating) }
        switch use {
        case .borrowed: break
        case .mutated where context.kind == .protocolType, .consumed where context.kind == .protocolType:
            throw refused(.genericContext("extension of the protocol \(context.type)"))
        case .mutated:
            own.type.ownership = .inout
            own.natural = .inout
        case .consumed: own.natural = .owned
        }
        return (
            Expected(parameters: [own] + parameters, type: type), context.kind == .protocolType ? .existential : .value
        )
    }

    // MARK: Comparing

    private struct Comparison {
        var count: (Int, Int)?
        var parameters: [Int] = []
        var effects = false
        var result = false
        var isEmpty: Bool { count == nil && parameters.isEmpty && !effects && !result }

        init(_ expected: Expected, _ closure: SwiftType.Function) {
            let own: SwiftType? =
                switch expected.parameters.first.map({ ($0.name, $0.type.type) }) {
                case ("self", let type)?: type
                case ("Self", .metatype(let type))?: type
                default: nil
                }
            let left = expected.function.normalised(replacingSelf: own)
            let right = closure.normalised()
            if left.parameters.count != right.parameters.count {
                count = (left.parameters.count, right.parameters.count)
            }
            for (index, pair) in zip(left.parameters, right.parameters).enumerated() {
                let isOwned = expected.parameters[index].natural == .owned
                let isSame =
                    switch pair.1.ownership {
                    case .inout: pair.0.ownership == .inout
                    case .owned: isOwned
                    case .shared, .byConvention: pair.0.ownership != .inout
                    }
                if pair.0.type != pair.1.type || !isSame { parameters.append(index) }
            }
            effects = left.isAsync != right.isAsync || left.thrown != right.thrown
            result = left.result != right.result
        }
    }

    private func mismatch(
        _ expected: Expected, _ closure: SwiftType.Function, _ comparison: Comparison
    ) -> SignatureMismatch {
        let wanted = expected.function
        let types = (wanted.parameters + closure.parameters).map(\.type) + [wanted.result, closure.result]
        let spelling = TypeSpelling(for: types + (context.map { [$0.type] } ?? []))
        var differences: [String] = []
        var first: TypeSpelling.Part.Role?
        if let (left, right) = comparison.count {
            let parameters = left == 1 ? "1 parameter" : "\(left) parameters"
            let selfText =
                switch expected.parameters.first?.name {
                case "self"?, "Self"?: ", the first being \(spelling.text(wanted.parameters[0]))"
                default: ""
                }
            differences.append("the function has \(parameters)\(selfText); the closure has \(right)")
            first = right > left ? .parameter(left) : .end
        }
        // Where one is missing, all that follow are shifted.
        for index in comparison.count == nil ? comparison.parameters : Array(comparison.parameters.prefix(1)) {
            differences.append(
                "\(expected.parameters[index].name): \(spelling.text(wanted.parameters[index])), the closure has"
                    + " \(spelling.text(closure.parameters[index]))")
            first = comparison.count == nil ? first ?? .parameter(index) : .parameter(index)
        }
        if comparison.effects {
            let words = [wanted, closure].map { function in
                let words = spelling.effects(function)
                return words.isEmpty ? "neither async nor throws" : String(words.dropFirst())
            }
            differences.append("effects: \(words[0]), the closure has \(words[1])")
            first = first ?? .effects
        }
        if comparison.result {
            differences.append("result: \(spelling.result(wanted)), the closure has \(spelling.result(closure))")
            first = first ?? .result
        }
        var start = 0
        var range: Range<Int>?
        let parts = spelling.parts(closure)
        for part in parts {
            if part.role == first, range == nil { range = start..<(start + part.text.count) }
            start += part.text.count
        }
        return SignatureMismatch(
            function: text(spelling), expected: spelling.text(wanted), closure: parts.map(\.text).joined(),
            range: range ?? 0..<start, differences: differences)
    }

    /// `Shop.Cart.count(of: String) -> Int`, with its module.
    private func text(_ spelling: TypeSpelling) -> String {
        let type = context.map { TypeSpelling(for: [$0.type]).text($0.type) + "." } ?? ""
        let owner = context == nil ? module + "." : contextModule + type
        let parameters = { (parameters: ArraySlice<SwiftType.Parameter>) in
            "(" + parameters.map { spelling.text($0, labelled: $0.label != nil) }.joined(separator: ", ") + ")"
        }
        let start = (isStatic ? "static " : "") + owner
        switch kind {
        case .function, .operator, .initialiser, .allocatingInitialiser:
            let name = kind == .allocatingInitialiser ? "init" : name
            let space = if case .operator = kind { " " } else { "" }
            return start + name + space + parameters(function.parameters[...]) + spelling.effects(function) + " -> "
                + spelling.result(function)
        case .getter: return start + name + ".getter: " + spelling.result(function)
        case .setter: return start + name + ".setter: " + spelling.text(function.parameters[0].type)
        case .subscriptGetter:
            return start + "subscript" + parameters(function.parameters[...]) + ".getter: " + spelling.result(function)
        case .subscriptSetter:
            return start + "subscript" + parameters(function.parameters.dropFirst()) + ".setter: "
                + spelling.text(function.parameters[0].type)
        }
    }

    /// The module of the context's type, with its dot.
    private var contextModule: String {
        guard case .nominal(let nominal)? = context?.type else { return "" }
        return nominal.components[0].name + "."
    }
}
