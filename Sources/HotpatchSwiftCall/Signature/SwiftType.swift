/// A type as the demangler writes it. Sugar is gone: `[T]`, `[K : V]` and `T?` are `Array`, `Dictionary` and `Optional`.
package indirect enum SwiftType: Hashable, Sendable {
    /// A struct, enum, class, protocol or imported type, with its module first: `Swift.Int`, `Shop.Box<Swift.Int>.Line`. Also
    /// what has no module: `Any`, `Self`, `some`, and the generic parameters `A`, `B1`.
    case nominal(Nominal)
    /// `()` is the tuple of nothing.
    case tuple([Element])
    case function(Function)
    /// `P & Q`.
    case composition([SwiftType])
    /// `T.Type`: of a protocol, the metatype of what conforms to it.
    case metatype(SwiftType)
    /// `P.Protocol`: the type of the protocol itself.
    case protocolMetatype(SwiftType)
    /// `Self.P.Element == Int`, an argument of a constrained existential.
    case sameType(SwiftType, SwiftType)
    /// A generic argument that is a number: `InlineArray<4, Int>`.
    case number(String)

    package struct Nominal: Hashable, Sendable {
        /// The module of the extension that the type is declared in, if that is not its own: `(extension in Shop):Swift.String.Line`.
        package var extensionModule: String?
        package var components: [Component]
    }

    package struct Component: Hashable, Sendable {
        package var name: String
        /// The hash of the file of a private type; the address that the runtime gives instead, for a function type's.
        package var discriminator: String?
        package var arguments: [SwiftType] = []
    }

    package struct Element: Hashable, Sendable {
        package var label: String?
        package var type: SwiftType
    }

    package struct Function: Hashable, Sendable {
        /// Without `@`: `Sendable`, `Swift.MainActor`, `convention(c)`; and `nonisolated(nonsending)`.
        package var attributes: [String] = []
        package var parameters: [Parameter]
        package var isAsync = false
        package var thrown: Thrown = .nothing
        package var sendsResult = false
        package var result: SwiftType
    }

    package enum Thrown: Hashable, Sendable {
        case nothing
        /// `throws`.
        case anyError
        /// `throws(E)`.
        case typed(SwiftType)
    }

    package struct Parameter: Hashable, Sendable {
        package enum Ownership: String, Hashable, Sendable {
            case byConvention = ""
            case `inout` = "inout "
            case owned = "__owned "
            case shared = "__shared "
        }

        package var label: String?
        package var ownership = Ownership.byConvention
        package var isIsolated = false
        package var isSending = false
        /// `T...`; the type is the `T`.
        package var isVariadic = false
        package var type: SwiftType
    }

    package static func swift(_ name: String, _ arguments: [SwiftType] = []) -> SwiftType {
        .nominal(Nominal(components: [Component(name: "Swift"), Component(name: name, arguments: arguments)]))
    }

    package static let any = SwiftType.nominal(Nominal(components: [Component(name: "Any")]))
    package static let void = SwiftType.tuple([])

    /// `Any`, `Self`, `some`, `A1`: what has no module.
    package var bareName: String? {
        guard case .nominal(let nominal) = self, nominal.components.count == 1 else { return nil }
        return nominal.components[0].name
    }
}

extension SwiftType {
    /// The type, with what one side of a comparison cannot say, or what does not change how a value is passed, taken out:
    ///
    /// - marker protocols leave an existential: a symbol has `any P & Sendable`, metadata `any P`;
    /// - members of an existential are in one order;
    /// - `@Sendable`, `@autoclosure` and `@escaping` leave function types;
    /// - a variadic parameter is an array;
    /// - an associated type has no protocol: of a protocol extension's, a symbol has `any P<Self.Item == Int>`, elsewhere and in
    ///   metadata it is `Self.Shop.P.Item`.
    ///
    /// - Parameter replacingSelf: what stands for the dynamic `Self` of a class.
    func normalised(replacingSelf own: SwiftType? = nil) -> SwiftType {
        func inner(_ type: SwiftType) -> SwiftType { type.normalised(replacingSelf: own) }
        switch self {
        case .nominal(var nominal):
            if let own, bareName == "Self" { return own }
            if Self.markers.contains(self) { return .any }
            for index in nominal.components.indices {
                nominal.components[index].arguments = nominal.components[index].arguments.map(inner)
            }
            return .nominal(nominal)
        case .tuple(let elements):
            return .tuple(elements.map { Element(label: $0.label, type: inner($0.type)) })
        case .function(let function): return .function(function.normalised(replacingSelf: own))
        case .composition(let members):
            let kept = members.filter { !Self.markers.contains($0) }.map(inner)
            if kept.count < 2 { return kept.first ?? .any }
            return .composition(kept.sorted { $0.description < $1.description })
        case .metatype(let type): return .metatype(inner(type))
        case .protocolMetatype(let type): return .protocolMetatype(inner(type))
        case .sameType(.nominal(var left), let right):
            left.components = left.components.suffix(1)
            return .sameType(.nominal(left), inner(right))
        case .sameType(let left, let right): return .sameType(inner(left), inner(right))
        case .number: return self
        }
    }

    /// Protocols without a witness table (`@_marker` in the standard library).
    private static let markers: Set<SwiftType> = [
        .swift("Sendable"), .swift("Copyable"), .swift("Escapable"), .swift("BitwiseCopyable"),
        .swift("SendableMetatype"),
    ]

    /// Whether another type, or the type whose metatype it is, is this one with generic arguments.
    func isUnbound(_ other: SwiftType) -> Bool {
        switch (self, other) {
        case (_, .metatype(let type)): return isUnbound(type)
        case (.nominal(let own), .nominal(let other)):
            var bare = other
            for index in bare.components.indices { bare.components[index].arguments = [] }
            return bare != other && bare == own
        default: return false
        }
    }

    /// Whether another type, or the type whose metatype it is, is this one with more generic arguments: an extension has told only
    /// some.
    func isPartlyBound(_ other: SwiftType) -> Bool {
        switch (self, other) {
        case (_, .metatype(let type)): return isPartlyBound(type)
        case (.nominal(let own), .nominal(let other)):
            guard own.components.count == other.components.count, let count = own.components.last?.arguments.count,
                count > 0, own.components.map(\.name) == other.components.map(\.name)
            else { return false }
            return other.components.last?.arguments.count != count
        default: return false
        }
    }

    /// Whether a type inside it fulfils a condition, or the type itself.
    func contains(where condition: (SwiftType) -> Bool) -> Bool {
        if condition(self) { return true }
        switch self {
        case .nominal(let nominal):
            return nominal.components.contains { $0.arguments.contains { $0.contains(where: condition) } }
        case .tuple(let elements): return elements.contains { $0.type.contains(where: condition) }
        case .function(let function):
            return function.result.contains(where: condition)
                || function.parameters.contains { $0.type.contains(where: condition) }
        case .composition(let members): return members.contains { $0.contains(where: condition) }
        case .metatype(let type), .protocolMetatype(let type): return type.contains(where: condition)
        case .sameType(let left, let right): return left.contains(where: condition) || right.contains(where: condition)
        case .number: return false
        }
    }
}

extension SwiftType.Function {
    func normalised(replacingSelf own: SwiftType? = nil) -> Self {
        var function = self
        function.attributes.removeAll { ["Sendable", "autoclosure", "escaping"].contains($0) }
        function.attributes.sort()
        function.parameters = parameters.map { $0.normalised(replacingSelf: own) }
        function.result = result.normalised(replacingSelf: own)
        if case .typed(let error) = thrown { function.thrown = .typed(error.normalised(replacingSelf: own)) }
        return function
    }
}

extension SwiftType.Parameter {
    func normalised(replacingSelf own: SwiftType? = nil) -> Self {
        var parameter = self
        parameter.type = type.normalised(replacingSelf: own)
        if isVariadic {
            parameter.isVariadic = false
            parameter.type = .swift("Array", [parameter.type])
        }
        return parameter
    }
}
