/// A Swift type that signatures are made of, and the source that makes and describes its values.
///
/// Each becomes two functions of the target module, `m7(_ n: Int) -> T` and `d7(_ x: T) -> String`.
final class ValueType {
    enum Form {
        case plain
        case closure(Closure)
        case optional(ValueType)
        case tuple([ValueType])
        /// The metatype of a struct or enum: there is only one value.
        case thinMetatype
    }

    let id: Int
    /// How source spells it, as the type of a variable.
    let spelling: String
    let form: Form
    /// Statements that return a value made from `n`.
    let make: String
    /// Statements that return a text of `x`.
    let describe: String
    /// What those and the type are made of.
    let parts: [ValueType]
    /// Whether a value can be moved as bytes, which what has a weak reference cannot.
    let isTakable: Bool
    /// Bytes of the largest vector that it is made of.
    let vectorSize: Int
    /// A type of the target module, without its closing brace.
    var declaration: String?

    init(
        id: Int, _ spelling: String, form: Form = .plain, make: String, describe: String, parts: [ValueType] = [],
        isTakable: Bool = true, vectorSize: Int = 0, declaration: String? = nil
    ) {
        self.id = id
        self.spelling = spelling
        self.form = form
        self.make = make
        self.describe = describe
        self.parts = parts
        self.isTakable = isTakable
        self.vectorSize = parts.map(\.vectorSize).reduce(vectorSize, max)
        self.declaration = declaration
    }

    /// An expression that makes a value.
    func made(_ n: String) -> String { "m\(id)(\(n))" }
    /// An expression that describes one.
    func described(_ x: String) -> String { "\(closure?.isAsync == true ? "await " : "")d\(id)(\(x))" }

    var closure: Closure? { if case .closure(let closure) = form { closure } else { nil } }

    /// Both functions. What closures are passed to describes them without keeping them.
    var source: String {
        """
        @inline(never) public func m\(id)(_ n: Int) -> \(spelling) { \(make) }
        @inline(never) public func d\(id)(_ x: \(spelling)) \(closure?.isAsync == true ? "async " : "")-> String { \(describe) }

        """
    }
}

/// The type of a closure that is passed, returned or stored.
struct Closure {
    struct Parameter {
        let type: ValueType
        let isInout: Bool
    }

    let parameters: [Parameter]
    let result: ValueType
    let isThrowing: Bool
    var isAsync = false

    private var effects: String { (isAsync ? "async " : "") + (isThrowing ? "throws " : "") }

    var spelling: String {
        let list = parameters.map { ($0.isInout ? "inout " : "") + $0.type.spelling }.joined(separator: ", ")
        return "(\(list)) \(effects)-> \(result.spelling)"
    }

    var parts: [ValueType] { parameters.map(\.type) + [result] }

    /// A closure that says what it is passed, and that holds an object.
    /// - Parameter n: an expression.
    func literal(_ n: String) -> String {
        let list = parameters.enumerated().map { index, parameter in
            "c\(index): \(parameter.isInout ? "inout " : "")\(parameter.type.spelling)"
        }
        let said = parameters.enumerated().map { ", " + $1.type.described("c\($0)") }.joined()
        let changed = parameters.enumerated().filter { $1.isInout }.map { index, parameter in
            "c\(index) = " + parameter.type.made("held.id &+ \(index + 2)") + "; "
        }
        return """
            { [held = Token(\(n))] (\(list.joined(separator: ", "))) \(effects)-> \(result.spelling) in \
            note(join("closure", held.text\(said))); \(isAsync ? "await suspend(held.id); " : "")\(changed.joined())\
            \(isThrowing ? "if failing { throw Failure(held.id) }; " : "")return \(result.made("held.id &+ 1")) }
            """
    }

    /// Statements that call `x` and return a text of all that comes back.
    var description: String {
        var arguments: [String] = []
        var variables = ""
        var said = ""
        for (index, parameter) in parameters.enumerated() {
            let value = parameter.type.made("\(index + 40)")
            if parameter.isInout {
                variables += "var c\(index) = \(value); "
                said += ", " + parameter.type.described("c\(index)")
                arguments.append("&c\(index)")
            } else {
                arguments.append(value)
            }
        }
        let call = "\(isAsync ? "await " : "")x(\(arguments.joined(separator: ", ")))"
        let text = "return join(\(result.described("r"))\(said))"
        guard isThrowing else { return "\(variables)let r = \(call); \(text)" }
        return "\(variables)do { let r = try \(call); \(text) } catch { return join(describe(error)\(said)) }"
    }
}
