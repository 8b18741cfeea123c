/// Writes types as Swift source does: `[String]?`, not `Swift.Optional<Swift.Array<Swift.String>>`.
struct TypeSpelling {
    /// Names, without their modules, that stand for more than one type: these keep the module.
    private var ambiguous: Set<String>
    private let dropsModules: Bool

    /// Writes every module.
    static let full = TypeSpelling(ambiguous: [], dropsModules: false)

    private init(ambiguous: Set<String>, dropsModules: Bool) {
        self.ambiguous = ambiguous
        self.dropsModules = dropsModules
    }

    /// Leaves out the modules, except where two of these types would then read alike.
    init(for types: [SwiftType]) {
        var owners: [String: Set<String>] = [:]
        for type in types {
            _ = type.contains { type in
                if case .nominal(let nominal) = type, nominal.components.count > 1 {
                    let name = nominal.components.dropFirst().map(\.name).joined(separator: ".")
                    let discriminators = nominal.components.compactMap(\.discriminator).joined()
                    owners[name, default: []].insert(
                        "\(nominal.extensionModule ?? "")/\(nominal.components[0].name)/\(discriminators)")
                }
                return false
            }
        }
        ambiguous = Set(owners.filter { $0.value.count > 1 }.keys)
        dropsModules = true
    }

    func text(_ type: SwiftType) -> String {
        switch type {
        case .nominal(let nominal): return text(nominal)
        case .tuple(let elements):
            return "("
                + elements.map { element in
                    (element.label.map { "\($0): " } ?? "") + text(element.type)
                }.joined(separator: ", ") + ")"
        case .function(let function): return text(function)
        case .composition(let members): return members.map(text).joined(separator: " & ")
        case .metatype(let type): return wrapped(type) + ".Type"
        case .protocolMetatype(let type): return "(any \(text(type))).Type"
        case .sameType(let left, let right): return "\(text(left)) == \(text(right))"
        case .number(let digits): return digits
        }
    }

    /// In parentheses where a suffix would bind to a part of it.
    private func wrapped(_ type: SwiftType) -> String {
        switch type {
        case .function, .composition: "(\(text(type)))"
        default: text(type)
        }
    }

    private func text(_ nominal: SwiftType.Nominal) -> String {
        if nominal.components.count == 2, nominal.components[0].name == "Swift", nominal.extensionModule == nil {
            let arguments = nominal.components[1].arguments
            switch (nominal.components[1].name, arguments.count) {
            case ("Optional", 1): return wrapped(arguments[0]) + "?"
            case ("Array", 1): return "[\(text(arguments[0]))]"
            case ("Dictionary", 2): return "[\(text(arguments[0])): \(text(arguments[1]))]"
            default: break
            }
        }
        let name = nominal.components.dropFirst().map(\.name).joined(separator: ".")
        let isShort = dropsModules && nominal.components.count > 1 && !ambiguous.contains(name)
        let path = nominal.components.dropFirst(isShort ? 1 : 0).map { component in
            let name =
                component.discriminator.map { isShort ? component.name : "(\(component.name) in \($0))" }
                ?? component.name
            if component.arguments.isEmpty { return name }
            return name + "<" + component.arguments.map(text).joined(separator: ", ") + ">"
        }.joined(separator: ".")
        return (isShort ? "" : nominal.extensionModule.map { "(extension in \($0)):" } ?? "") + path
    }

    func text(_ function: SwiftType.Function) -> String { parts(function).map(\.text).joined() }

    func text(_ parameter: SwiftType.Parameter, labelled: Bool = false) -> String {
        let ownership =
            switch parameter.ownership {
            case .byConvention: ""
            case .inout: "inout "
            case .owned: "consuming "
            case .shared: "borrowing "
            }
        return (labelled ? "\(parameter.label ?? "_"): " : "") + (parameter.isIsolated ? "isolated " : "")
            + (parameter.isSending ? "sending " : "") + ownership + text(parameter.type)
            + (parameter.isVariadic ? "..." : "")
    }

    func effects(_ function: SwiftType.Function) -> String {
        let thrown =
            switch function.thrown {
            case .nothing: ""
            case .anyError: " throws"
            case .typed(let error): " throws(\(text(error)))"
            }
        return (function.isAsync ? " async" : "") + thrown
    }

    func result(_ function: SwiftType.Function) -> String {
        (function.sendsResult ? "sending " : "") + (function.result == .void ? "Void" : text(function.result))
    }

    /// A piece of a function type's text.
    struct Part {
        enum Role: Hashable {
            case punctuation
            case parameter(Int)
            case effects, result, end
        }
        var role: Role
        var text: String
    }

    /// The pieces, in order: what a difference is shown at.
    func parts(_ function: SwiftType.Function) -> [Part] {
        let attributes = function.attributes.map { $0.hasPrefix("nonisolated") ? "\($0) " : "@\(short($0)) " }.joined()
        var result = [Part(role: .punctuation, text: attributes + "(")]
        for (index, parameter) in function.parameters.enumerated() {
            if index > 0 { result.append(Part(role: .punctuation, text: ", ")) }
            result.append(Part(role: .parameter(index), text: text(parameter)))
        }
        result.append(Part(role: .end, text: ")"))
        result.append(Part(role: .effects, text: effects(function)))
        result.append(Part(role: .punctuation, text: " -> "))
        result.append(Part(role: .result, text: self.result(function)))
        return result
    }

    private func short(_ attribute: String) -> String {
        guard dropsModules, !attribute.contains("("), let dot = attribute.lastIndex(of: ".") else { return attribute }
        return String(attribute[attribute.index(after: dot)...])
    }
}

extension SwiftType: CustomStringConvertible {
    /// With every module: `Swift.Int`.
    package var description: String { TypeSpelling.full.text(self) }
}
