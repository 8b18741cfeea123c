// The source of one signature: the function and its caller for the target module, and for the test program another caller, the
// closures, and a caller of function values.

extension Signature {
    /// For which the target module needs functions.
    var usedTypes: [ValueType] {
        parameters.flatMap { [$0.type, $0.formal] } + [result] + (host.map { [$0] } ?? [])
    }

    // MARK: The function

    private var attributes: String { actor + "@inline(never)" + (isOptimised ? "" : " @_optimize(none)") }
    private var effects: String { (isAsync ? "async " : "") + (isThrowing ? "throws " : "") }

    private func declared(_ parameters: ArraySlice<Parameter>) -> String {
        parameters.enumerated().map { offset, parameter in
            let index = offset + parameters.startIndex
            let type: String
            switch parameter.passing {
            case .autoclosure: type = "@autoclosure () -> \(parameter.type.spelling)"
            case .variadic: type = "\(parameter.type.spelling)..."
            default:
                type =
                    parameter.passing.rawValue
                    + (parameter.type.closure != nil && parameter.isEscaping ? "@escaping " : "")
                    + parameter.type.spelling
            }
            return "\(parameter.label ?? "_") a\(index): \(type)"
        }.joined(separator: ", ")
    }

    /// What runs: says all that it sees, changes what it may, throws or returns.
    private func body(_ name: String, own: String?, salt: Int, isInitialiser: Bool = false) -> String {
        var text = "note(\"\(name)\"); \(isAsync ? "await suspend(\(salt)); " : "")"
        // An optimised caller passes nothing for what a function leaves unused.
        if isStatic, isObject { text += "note(\"\\(\(name == "target" ? "self" : "s"))\"); " }
        if let own { text += "note(\(host!.described(own))); " }
        for (index, parameter) in parameters.enumerated() {
            text += "note(\(parameter.formal.described(copied(index)))); "
        }
        for (index, parameter) in parameters.enumerated() where parameter.passing == .inout {
            text += "a\(index) = \(parameter.type.made("\(salt + index)")); "
        }
        if let own, mutatesSelf { text += "\(own) = \(host!.made("\(salt + 30)")); " }
        if isAsync { text += "await suspend(\(salt + 1)); " }
        if isThrowing { text += "if failing { throw Failure(\(salt)) }; " }
        if isInitialiser { return text + "self = \(host!.made("\(salt + 31)"))" }
        guard let returned else { return text + "return \(result.made("\(salt + 32)"))" }
        return text + "return \(copied(returned))"
    }

    /// A parameter, where it is not the last time that it is used.
    private func copied(_ index: Int) -> String {
        ([.consuming, .borrowing].contains(parameters[index].passing) ? "copy " : "") + "a\(index)"
    }

    var mutatesSelf: Bool {
        guard !isObject, !isStatic else { return false }
        return switch shape {
        case .method(.mutated), .setter(true), .subscriptSetter: true
        default: false
        }
    }

    private var hasSelf: Bool {
        switch shape {
        case .function, .operator, .staticMethod, .initialiser: false
        default: !isStatic
        }
    }

    private var isStatic: Bool { if case .staticMethod = shape { true } else { isStaticAccessor } }
    private var staticKeyword: String { isStatic ? "static " : "" }

    private var functionBody: String { body("target", own: hasSelf ? "self" : nil, salt: index * 100 + 1) }

    private var declaration: String {
        let list = declared(parameters[...])
        let result = result.spelling
        switch shape {
        case .function:
            return "\(attributes) public func f\(index)(\(list)) \(effects)-> \(result) { \(functionBody) }\n"
        case .operator:
            return
                "\(attributes) public static func \(operatorName)(\(list)) \(effects)-> \(result) { \(functionBody) }\n"
        case .method(let use):
            let keyword = isObject ? "" : use.rawValue
            return "\(attributes) public \(keyword)func f\(index)(\(list)) \(effects)-> \(result) { \(functionBody) }\n"
        case .staticMethod:
            return "\(attributes) public static func f\(index)(\(list)) \(effects)-> \(result) { \(functionBody) }\n"
        case .initialiser:
            let body = body("target", own: nil, salt: index * 100 + 1, isInitialiser: true)
            return "\(attributes) public init(\(list)) \(effects){ \(body) }\n"
        case .getter:
            let getter = "\(attributes) get \(effects){ \(functionBody) }"
            return "public \(staticKeyword)var f\(index): \(result) { \(getter) }\n"
        case .setter(let isMutating):
            let type = parameters[0].type
            return """
                public \(staticKeyword)var f\(index): \(type.spelling) { get { \(type.made("1")) } \
                \(attributes) \(isMutating || isObject || isStatic ? "" : "nonmutating ")set(a0) { \(functionBody) } }

                """
        case .subscriptGetter:
            let getter = "\(attributes) get \(effects){ \(functionBody) }"
            return "public \(staticKeyword)subscript(\(list)) -> \(result) { \(getter) }\n"
        case .subscriptSetter:
            let type = parameters[0].type
            return """
                public \(staticKeyword)subscript(\(declared(parameters[1...]))) -> \(type.spelling) { get { \(type.made("1")) } \
                \(attributes) set(a0) { \(functionBody) } }

                """
        }
    }

    /// Whether the module has a caller of its own. One of a function that the optimiser may look at would call a copy; and so would
    /// one that passes a known closure, whatever the function's attributes say. Where the result has a closure, LLVM knows its
    /// code from reading the function, and calls that, whatever was returned.
    private var hasNeighbour: Bool {
        !isOptimised && !result.hasClosureInside
            && !parameters.contains { $0.isLiteral || $0.passing == .autoclosure }
    }

    /// The function, and its caller in the module.
    var targetSource: String {
        var text = ""
        if case .operator = shape { text += "infix operator \(operatorName)\n" }
        if host != nil {
            if isInExtension { text += "extension \(hostName!) { \(declaration)}\n" }
        } else {
            text += declaration
        }
        return text + (hasNeighbour ? caller("public func n\(index)(_ k: Int)", isValue: false) : "")
    }

    /// Puts the function into its host, which has not been written yet.
    func placeInHost() {
        guard let host, !isInExtension else { return }
        host.declaration! += "    " + declaration
    }

    // MARK: Callers

    private func caller(_ head: String, isValue: Bool) -> String {
        var before = ""
        var after = ""
        if hasSelf, let host {
            before += "    var s = \(host.made("k &+ 900"))\n"
            after += "    note(\(host.described("s")))\n"
        }
        for (index, parameter) in parameters.enumerated() where isVariable(parameter) {
            before += "    var a\(index) = \(parameter.type.made("k &+ \(index * 11)"))\n"
            after += "    note(\(parameter.type.described("a\(index)")))\n"
        }
        let call = "\(isThrowing ? "try " : "")\(isAsync ? "await " : "")\(isValue ? valueCall : naturalCall)"
        var line: String
        switch shape {
        case .setter, .subscriptSetter: line = "\(call); note(\"void\")"
        default: line = "let r = \(call); note(\(result.described("r")))"
        }
        if isThrowing { line = "do { \(line) } catch { note(describe(error)) }" }
        return """
            @inline(never) \(head) \(isAsync ? "async " : "")-> String {
                begin(k)
                do {
            \(before)    \(line)
            \(after)    }
                return finish()
            }

            """
    }

    private func isVariable(_ parameter: Parameter) -> Bool {
        !parameter.isLiteral && parameter.passing != .autoclosure && parameter.passing != .variadic
    }

    private func argument(_ index: Int, isValue: Bool) -> String {
        let parameter = parameters[index]
        let n = "k &+ \(index * 11)"
        switch parameter.passing {
        case .inout: return "&a\(index)"
        case .autoclosure: return isValue ? "{ \(parameter.type.made(n)) }" : parameter.type.made(n)
        case .variadic:
            let list = "\(parameter.type.made(n)), \(parameter.type.made(n + " &+ 5"))"
            return isValue ? "[\(list)]" : list
        default: return parameter.isLiteral ? parameter.type.closure!.literal(n) : "a\(index)"
        }
    }

    private var naturalCall: String {
        let list = parameters.enumerated().map { index, parameter in
            (parameter.label.map { $0 + ": " } ?? "") + argument(index, isValue: false)
        }.joined(separator: ", ")
        let own = isStatic ? host!.spelling : "s"
        switch shape {
        case .function: return "f\(index)(\(list))"
        case .operator: return "(\(argument(0, isValue: false)) \(operatorName) \(argument(1, isValue: false)))"
        case .method, .staticMethod: return "\(own).f\(index)(\(list))"
        case .initialiser: return "\(host!.spelling)(\(list))"
        case .getter: return "\(own).f\(index)"
        case .setter: return "\(own).f\(index) = a0"
        case .subscriptGetter: return "\(own)[\(list)]"
        case .subscriptSetter:
            return "\(own)[\(parameters.indices.dropFirst().map { "a\($0)" }.joined(separator: ", "))] = a0"
        }
    }

    private var valueCall: String {
        let own: [String]
        switch selfParameter {
        case nil: own = []
        case .metatype: own = ["\(host!.spelling).self"]
        case .mutated: own = ["&s"]
        default: own = ["s"]
        }
        return "f(\((own + parameters.indices.map { argument($0, isValue: true) }).joined(separator: ", ")))"
    }

    // MARK: The closures

    private enum SelfParameter { case metatype, borrowed, mutated, consumed }

    private var selfParameter: SelfParameter? {
        switch shape {
        case .function: return nil
        case .operator, .initialiser: return leavesOutSelf && !isObject ? nil : .metatype
        case .method(.consumed) where !isObject: return .consumed
        default:
            if isStatic { return leavesOutSelf && !isObject ? nil : .metatype }
            return mutatesSelf ? .mutated : .borrowed
        }
    }

    /// The parameters of the function type, `self` among them.
    private var closureParameters: [(name: String, type: String)] {
        var list: [(name: String, type: String)] = []
        switch selfParameter {
        case nil: break
        case .metatype: list.append(("s", "\(host!.spelling).Type"))
        case .borrowed, .consumed: list.append(("s", host!.spelling))
        case .mutated: list.append(("s", "inout \(host!.spelling)"))
        }
        for (index, parameter) in parameters.enumerated() {
            var type = parameter.formal.spelling
            switch parameter.passing {
            case .inout: type = "inout \(type)"
            case .consuming, .owned:
                if parameter.type.closure != nil { type = "@escaping \(type)" }
                if parameter.keepsOwnership { type = parameter.passing.rawValue + type }
            default: if parameter.type.closure != nil, parameter.isEscaping { type = "@escaping \(type)" }
            }
            list.append(("a\(index)", type))
        }
        return list
    }

    private func closureSource(_ body: String) -> String {
        let list = closureParameters.map { "\($0.name): \($0.type)" }.joined(separator: ", ")
        return "{ (\(list)) \(effects)-> \(result.spelling) in \(body) }"
    }

    var testSource: String {
        let types = closureParameters.map(\.type).joined(separator: ", ")
        let isOwn = if let selfParameter { selfParameter != .metatype } else { false }
        var replacement = body("closure", own: isOwn ? "s" : nil, salt: index * 100 + 50)
        if case .metatype = selfParameter, !isObject { replacement = "note(\"\\(s)\"); " + replacement }
        let passed = closureParameters.map { $0.type.hasPrefix("inout ") ? "&\($0.name)" : $0.name }
        let call = "\(isThrowing ? "try " : "")\(isAsync ? "await " : "")original(\(passed.joined(separator: ", ")))"
        return """
            typealias F\(index) = (\(types)) \(effects)-> \(result.spelling)
            \(caller("func natural\(index)(_ k: Int)", isValue: false))\
            \(caller("func call\(index)(_ f: F\(index), _ k: Int)", isValue: true))\
            func closure\(index)() -> F\(index) { return \(closureSource(replacement)) }
            func wrap\(index)(_ original: @escaping F\(index)) -> F\(index) { return \
            \(closureSource("wrapperCalls += 1; return \(call)")) }
            func check\(index)() async {
                await Signature<F\(index)>(
                    index: \(index), symbol: "\(symbol)", natural: [\(hasNeighbour ? "n\(index), " : "")natural\(index)],
                    call: call\(index), closure: closure\(index)(), wrap: wrap\(index), isOptimised: \(isOptimised), \
            isAsync: \(isAsync), selfUse: \(selfUse)).run()
            }

            """
    }

    private var selfUse: String {
        guard hasSelf, !isObject else { return "nil" }
        return switch selfParameter {
        case .mutated: ".mutated"
        case .consumed: ".consumed"
        default: ".borrowed"
        }
    }

    /// As a user would write it.
    private var symbol: String {
        let labels = "(" + parameters.map { ($0.label ?? "_") + ":" }.joined() + ")"
        let path = "Target." + (hostName.map { $0 + "." } ?? "")
        switch shape {
        case .function: return "\(path)f\(index)" + (index % 2 == 0 ? labels : "")
        case .operator: return path + operatorName
        case .method, .staticMethod: return "\(path)f\(index)" + (index % 2 == 0 ? labels : "")
        case .initialiser: return "\(path)init\(labels)"
        case .getter: return "\(path)f\(index).getter"
        case .setter: return "\(path)f\(index).setter"
        case .subscriptGetter: return "\(path)subscript.getter"
        case .subscriptSetter: return "\(path)subscript.setter"
        }
    }
}
