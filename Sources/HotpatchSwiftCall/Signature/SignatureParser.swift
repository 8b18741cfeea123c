/// Reads what the Swift runtime's demangler writes (lib/Demangling/NodePrinter.cpp), by recursive descent over the bytes.
struct SignatureParser {
    /// The text is not what the demangler writes, or says something this reader does not know.
    struct Failure: Error, Hashable {
        /// In bytes from the start of the text.
        var offset: Int
    }

    private let text: [UInt8]
    private(set) var position = 0
    private var depth = 0

    init(_ text: String) { self.text = Array(text.utf8) }

    var isAtEnd: Bool { position == text.count }
    var failure: Failure { Failure(offset: position) }

    // MARK: Types

    mutating func type() throws(Failure) -> SwiftType {
        // Each level of a hostile name's nesting takes stack.
        guard depth < 128 else { throw failure }
        depth += 1
        defer { depth -= 1 }
        _ = take("any ")
        var members = [try member()]
        while take(" & ") { members.append(try member()) }
        guard members.count > 1 else { return members[0] }
        // The demangler writes no parentheses here: only the whole can have a metatype.
        guard case .metatype(let last)? = members.last else { return .composition(members) }
        return .metatype(.composition(members.dropLast() + [last]))
    }

    private mutating func member() throws(Failure) -> SwiftType {
        var result = try primary()
        while true {
            if take("?") {
                result = .swift("Optional", [result])
            } else if take(".Type") {
                result = .metatype(result)
            } else if take(".Protocol") {
                result = .protocolMetatype(result)
            } else {
                return result
            }
        }
    }

    private mutating func primary() throws(Failure) -> SwiftType {
        switch peek {
        case UInt8(ascii: "@"): return .function(try function())
        case UInt8(ascii: "("):
            if at("(extension in ") { return .nominal(try nominal()) }
            return try parenthesised()
        case UInt8(ascii: "["):
            position += 1
            let first = try type()
            if take(" : ") {
                let value = try type()
                try expect("]")
                return .swift("Dictionary", [first, value])
            }
            try expect("]")
            return .swift("Array", [first])
        default:
            if at("nonisolated(nonsending) ") { return .function(try function()) }
            return .nominal(try nominal())
        }
    }

    /// A tuple, a type in parentheses, or a function type without attributes.
    private mutating func parenthesised() throws(Failure) -> SwiftType {
        let parameters = try parameters()
        if at(" -> ") || at(" async") || at(" throws") { return .function(try signature([], parameters)) }
        let isPlain = parameters.allSatisfy { parameter in
            parameter.ownership == .byConvention && !parameter.isIsolated && !parameter.isSending
                && !parameter.isVariadic
        }
        guard isPlain else { throw failure }
        if parameters.count == 1, parameters[0].label == nil { return parameters[0].type }
        return .tuple(parameters.map { SwiftType.Element(label: $0.label, type: $0.type) })
    }

    mutating func function() throws(Failure) -> SwiftType.Function {
        var attributes: [String] = []
        while true {
            if take("nonisolated(nonsending) ") {
                attributes.append("nonisolated(nonsending)")
            } else if take("@") {
                let start = position
                while let byte = peek, byte != UInt8(ascii: " ") {
                    if byte == UInt8(ascii: "(") {
                        while let inner = peek, inner != UInt8(ascii: ")") { position += 1 }
                    }
                    if position < text.count { position += 1 }
                }
                attributes.append(slice(start))
                try expect(" ")
            } else {
                break
            }
        }
        return try signature(attributes, try parameters())
    }

    /// Effects and result.
    mutating func signature(
        _ attributes: [String], _ parameters: [SwiftType.Parameter]
    ) throws(Failure) -> SwiftType.Function {
        let isAsync = take(" async")
        var thrown = SwiftType.Thrown.nothing
        if take(" throws(") {
            thrown = .typed(try type())
            try expect(")")
        } else if take(" throws") {
            thrown = .anyError
        }
        try expect(" -> ")
        let sendsResult = take("sending ")
        return SwiftType.Function(
            attributes: attributes, parameters: parameters, isAsync: isAsync, thrown: thrown, sendsResult: sendsResult,
            result: try type())
    }

    mutating func parameters() throws(Failure) -> [SwiftType.Parameter] {
        try expect("(")
        var result: [SwiftType.Parameter] = []
        if take(")") { return result }
        repeat { result.append(try parameter()) } while take(", ")
        try expect(")")
        return result
    }

    private mutating func parameter() throws(Failure) -> SwiftType.Parameter {
        var result = SwiftType.Parameter(label: label(), type: .void)
        while true {
            if take("inout ") {
                result.ownership = .inout
            } else if take("__owned ") {
                result.ownership = .owned
            } else if take("__shared ") {
                result.ownership = .shared
            } else if take("isolated ") {
                result.isIsolated = true
            } else if take("sending ") {
                result.isSending = true
            } else if take("_const ") {
                // Known when compiling; passed as any other.
            } else {
                break
            }
        }
        result.type = try type()
        result.isVariadic = take("...")
        return result
    }

    /// `of: `, `_: ` or nothing. `_` is no label.
    private mutating func label() -> String? {
        let start = position
        guard let name = try? identifier(), take(": ") else {
            position = start
            return nil
        }
        return name == "_" ? nil : name
    }

    // MARK: Names

    private mutating func nominal() throws(Failure) -> SwiftType.Nominal {
        if peek == UInt8(ascii: "-") || peek.map({ (0x30...0x39).contains($0) }) == true { throw failure }
        var result = SwiftType.Nominal(components: [])
        if take("(extension in ") {
            result.extensionModule = try identifier()
            try expect("):")
        }
        repeat { result.components.append(try component()) } while takeDot()
        return result
    }

    private mutating func component() throws(Failure) -> SwiftType.Component {
        var result: SwiftType.Component
        if take("(unknown context at ") {
            let start = position
            while let byte = peek, byte != UInt8(ascii: ")") { position += 1 }
            let address = slice(start)
            try expect(").")
            // Where there are several, as around a local type, the innermost is enough: it is never compared.
            result = try component()
            result.discriminator = result.discriminator ?? address
            return result
        }
        if take("(") {
            result = SwiftType.Component(name: try identifier())
            try expect(" in ")
            result.discriminator = try identifier()
            try expect(")")
        } else {
            result = SwiftType.Component(name: try identifier())
        }
        if take("<") {
            repeat {
                if take("Pack{") {
                    try pack(into: &result.arguments)
                } else {
                    result.arguments.append(try argument())
                }
            } while take(", ")
            try expect(">")
        }
        return result
    }

    /// What stands for `each T`. A type has no more than one, so that its arguments need no braces, as in Swift's own spelling.
    private mutating func pack(into arguments: inout [SwiftType]) throws(Failure) {
        if take("}") { return }
        repeat {
            // A parameter of the function's own context: `Pack{repeat A}`.
            _ = take("repeat ")
            arguments.append(try argument())
        } while take(", ")
        try expect("}")
    }

    private mutating func argument() throws(Failure) -> SwiftType {
        if let byte = peek, byte == UInt8(ascii: "-") || (0x30...0x39).contains(byte) {
            let start = position
            position += 1
            while let byte = peek, (0x30...0x39).contains(byte) { position += 1 }
            return .number(slice(start))
        }
        let left = try type()
        return take(" == ") ? .sameType(left, try type()) : left
    }

    /// A word of any letters, or what stands between backticks.
    mutating func identifier() throws(Failure) -> String {
        let start = position
        if take("`") {
            while let byte = peek, byte != UInt8(ascii: "`") { position += 1 }
            try expect("`")
            return slice(start)
        }
        while let byte = peek, Self.isWord(byte) { position += 1 }
        guard position > start else { throw failure }
        return slice(start)
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        byte >= 0x80 || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "$") || (0x30...0x39).contains(byte)
            || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }

    /// Whether a type in the text is called so: `Shop.Cell.Type`, not `Shop.Cell.TypeDescriptor`.
    static func names(_ word: String, in text: String) -> Bool {
        let text = Array(text.utf8)
        let component = Array(".\(word)".utf8)
        return text.indices.contains { start in
            let end = start + component.count
            return text[start...].starts(with: component) && (end == text.count || !isWord(text[end]))
        }
    }

    /// The dot before another component: not `.Type` and not the dots of `T...`.
    private mutating func takeDot() -> Bool {
        guard peek == UInt8(ascii: "."), position + 1 < text.count, text[position + 1] != UInt8(ascii: ".") else {
            return false
        }
        for metatype in [".Type", ".Protocol"] as [StaticString] where at(metatype) {
            let end = position + metatype.utf8CodeUnitCount
            if end == text.count || !Self.isWord(text[end]) { return false }
        }
        position += 1
        return true
    }

    // MARK: Declarations

    /// `static `, the module of an extension, and the path to the name of a function.
    struct Declaration: Hashable {
        enum Form: Hashable {
            /// `name(`
            case function
            /// `+ infix(`
            case `operator`(String)
            /// `name.getter : `, with the accessor's name.
            case accessor(String)
            /// The text ends: a deinit.
            case alone
        }
        var isStatic = false
        var extensionModule: String?
        /// Where the path begins, behind `static ` and `(extension in M):`.
        var pathStart = 0
        /// Where the context ends, in bytes: before the dot.
        var contextEnd = 0
        var context: [SwiftType.Component] = []
        /// Generic parameters between `<` and `>` that are not the function's own: `Swift.Array<A where A == Swift.Int>`.
        var contextGenerics: String?
        /// Where they begin, at `<`, and how many types on the path have some.
        var contextGenericsStart = 0
        var genericContextCount = 0
        var name = ""
        var discriminator: String?
        /// The function's own, without `<` and `>`.
        var generics: String?
        var form = Form.alone
    }

    mutating func declaration() throws(Failure) -> Declaration {
        var result = Declaration()
        result.isStatic = take("static ")
        if take("(extension in ") {
            result.extensionModule = try identifier()
            try expect("):")
        }
        result.pathStart = position
        var path: [SwiftType.Component] = []
        var starts: [Int] = []
        while true {
            starts.append(position)
            if take("(in ") {
                // A private initialiser: `Shop.Cart.(in _HASH).init(`
                result.discriminator = try identifier()
                try expect(").")
            }
            if let name = operatorName() {
                path.append(SwiftType.Component(name: name))
            } else if take("(") {
                var component = SwiftType.Component(name: "")
                if let name = operatorName() { component.name = name } else { component.name = try identifier() }
                try expect(" in ")
                component.discriminator = try identifier()
                try expect(")")
                path.append(component)
            } else {
                path.append(SwiftType.Component(name: try identifier()))
            }
            for form in [" infix", " prefix", " postfix"] where take(form) {
                result.form = .operator(String(form.dropFirst()))
            }
            let start = position
            if let generics = angle() {
                if peek == UInt8(ascii: ".") {
                    result.contextGenerics = generics
                    result.contextGenericsStart = start
                    result.genericContextCount += 1
                } else {
                    result.generics = generics
                }
            }
            guard result.form == .alone, take(".") else { break }
        }
        if result.form == .alone {
            // A function that is declared @Sendable, which does not change how it is called.
            _ = take("@Sendable ")
            if peek == UInt8(ascii: "(") {
                result.form = .function
            } else if take(" : ") {
                result.form = .accessor(path.removeLast().name)
                starts.removeLast()
            } else if !isAtEnd {
                throw failure
            }
        }
        guard let last = path.popLast(), !path.isEmpty || result.form == .alone else { throw failure }
        result.name = last.name
        result.discriminator = last.discriminator ?? result.discriminator
        result.context = path
        result.contextEnd = max(result.pathStart, starts[path.count] - 1)
        return result
    }

    /// What an extension says that all parameters of its type are, in their order: `A where A == Swift.Int`. Where there are several,
    /// the demangler leaves their names out: ` where A == Swift.Int, B == Swift.String`.
    mutating func boundArguments() throws(Failure) -> [SwiftType] {
        if !at(" where ") { repeat { _ = try identifier() } while take(", ") }
        try expect(" where ")
        var arguments: [SwiftType] = []
        repeat {
            guard arguments.count < 26, try identifier() == Self.parameterName(arguments.count) else { throw failure }
            try expect(" == ")
            let argument = try type()
            // `A == B` says of neither what it is.
            guard !argument.contains(where: { $0.bareName?.utf8.count == 1 }) else { throw failure }
            arguments.append(argument)
        } while take(", ")
        guard isAtEnd else { throw failure }
        return arguments
    }

    /// As the demangler calls a generic parameter: `A`, `B`.
    private static func parameterName(_ index: Int) -> String {
        String(UnicodeScalar(UInt8(ascii: "A") + UInt8(index)))
    }

    /// An operator at the start of a component reaches up to ` infix`, ` prefix` or ` postfix`.
    private mutating func operatorName() -> String? {
        // One that begins beyond ASCII reads as a word.
        guard let byte = peek, "/=-+!*%<>&|^~?.".utf8.contains(byte) else { return nil }
        let start = position
        while let byte = peek, byte != UInt8(ascii: " ") { position += 1 }
        if at(" infix") || at(" prefix") || at(" postfix") || at(" in ") { return slice(start) }
        position = start
        return nil
    }

    /// What stands between `<` and its `>`.
    mutating func angle() -> String? {
        guard peek == UInt8(ascii: "<") else { return nil }
        var nesting = 0
        for index in position..<text.count {
            switch text[index] {
            case UInt8(ascii: "<"): nesting += 1
            case UInt8(ascii: ">") where text[index - 1] == UInt8(ascii: "-"): break
            case UInt8(ascii: ">"):
                nesting -= 1
                if nesting == 0 {
                    let inside = String(decoding: text[(position + 1)..<index], as: UTF8.self)
                    position = index + 1
                    return inside
                }
            default: break
            }
        }
        return nil
    }

    // MARK: Bytes

    var peek: UInt8? { position < text.count ? text[position] : nil }

    private func slice(_ start: Int) -> String { String(decoding: text[start..<position], as: UTF8.self) }

    func bytes(_ range: Range<Int>) -> String { String(decoding: text[range], as: UTF8.self) }

    func at(_ word: StaticString) -> Bool {
        word.withUTF8Buffer { word in text.count - position >= word.count && text[position...].starts(with: word) }
    }

    private func at(_ word: String) -> Bool { text[position...].starts(with: word.utf8) }

    mutating func take(_ word: StaticString) -> Bool {
        guard at(word) else { return false }
        position += word.utf8CodeUnitCount
        return true
    }

    private mutating func take(_ word: String) -> Bool {
        guard at(word) else { return false }
        position += word.utf8.count
        return true
    }

    private mutating func expect(_ word: StaticString) throws(Failure) { if !take(word) { throw failure } }
}
