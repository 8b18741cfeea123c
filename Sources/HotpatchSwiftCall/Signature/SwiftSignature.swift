/// What the symbol of a Swift function says about it: its kind, and the types of what it takes and returns.
///
/// Read from the symbol and from what the runtime's demangler makes of it. The symbol leaves out: `mutating`, `consuming` and
/// `nonmutating`; whether a getter throws or is async; the actor a function is isolated to; `nonisolated(nonsending)`,
/// which adds a hidden parameter; and `sending`.
package struct SwiftSignature: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// A free function, or a method.
        case function
        /// `infix`, `prefix` or `postfix`.
        case `operator`(fixity: String)
        /// The initialiser of a struct or enum, or one in an extension of one.
        case initialiser
        /// `__allocating_init` of a class or actor.
        case allocatingInitialiser
        case getter
        case setter
        case subscriptGetter
        case subscriptSetter

    }

    /// The type that a function is a member of.
    package struct Context: Hashable, Sendable {
        package enum Kind: Hashable, Sendable {
            case structure
            case enumeration
            /// Or an actor, which is one.
            case classType
            case protocolType
        }
        package var type: SwiftType
        package var kind: Kind
        /// Mangled, without `$s` and without generic arguments: what `_typeByName` takes.
        package var mangled: String

        /// - Returns: whether they are the type's: those of a protocol are its Self, those of a nested type may be the outer one's.
        fileprivate mutating func bind(_ arguments: [SwiftType]) -> Bool {
            guard kind != .protocolType, case .nominal(var nominal) = type, nominal.components.count == 2 else {
                return false
            }
            nominal.components[1].arguments = arguments
            type = .nominal(nominal)
            return true
        }
    }

    package var mangled: String
    /// The demangled text.
    package var text: String
    package var kind: Kind
    package var isStatic: Bool
    /// Nil for free functions and globals.
    package var context: Context?
    package var module: String
    /// Without its module and type: `price`, `+`, `total`, `init`, `subscript`.
    package var name: String
    /// Parameters in the symbol's order, effects and result. Of a getter the indices and the value; of a setter the new
    /// value, then the indices.
    package var function: SwiftType.Function
    /// The marks of its parameters.
    let escapeMarks: [EscapeMarks]

    /// - Parameter demangle: the runtime's demangler; nil for what is not mangled.
    package init(mangled: String, demangle: (String) -> String?) throws(SymbolRefusal) {
        guard let text = demangle(mangled) else {
            throw SymbolRefusal(reason: .notSwift, function: mangled)
        }
        func refusal(_ reason: SymbolRefusal.Reason) -> SymbolRefusal { SymbolRefusal(reason: reason, function: text) }

        if let reason = Self.phrase(text) { throw refusal(reason) }
        var parser = SignatureParser(text)
        let declaration: SignatureParser.Declaration
        do { declaration = try parser.declaration() } catch { throw refusal(.unreadable(offset: error.offset)) }
        if let generics = declaration.generics { throw refusal(.generic(parameters: generics)) }
        // An extension of one type among those of a generic type (`where Element == Int`) has no generic parameters.
        var bound: [SwiftType] = []
        if let generics = declaration.contextGenerics {
            var parser = SignatureParser(generics)
            let end = declaration.contextGenericsStart + generics.utf8.count + 2
            guard declaration.genericContextCount == 1, end == declaration.contextEnd,
                let arguments = try? parser.boundArguments()
            else { throw refusal(.genericContext("<\(generics)>")) }
            bound = arguments
        }

        // The text of a method called `init` or `subscript` is that of the real ones: the symbol's end tells them apart
        // (docs/ABI/Mangling.rst, "Entities").
        let entity = declaration.isStatic && mangled.hasSuffix("Z") ? String(mangled.dropLast()) : mangled
        let kind: Kind
        switch declaration.form {
        case .alone: throw refusal(Self.isDeinit(entity) ? .deinitialiser : .unreadable(offset: parser.position))
        case .operator(let fixity) where entity.hasSuffix("F"): kind = .operator(fixity: fixity)
        case .function where entity.hasSuffix("F"): kind = .function
        case .function where entity.hasSuffix("fc"): throw refusal(.classInitialiser)
        case .function where entity.hasSuffix("fC"):
            kind = declaration.name == "__allocating_init" ? .allocatingInitialiser : .initialiser
        case .accessor("getter") where entity.hasSuffix("vg"): kind = .getter
        case .accessor("setter") where entity.hasSuffix("vs"): kind = .setter
        case .accessor("getter") where entity.hasSuffix("ig"): kind = .subscriptGetter
        case .accessor("setter") where entity.hasSuffix("is"): kind = .subscriptSetter
        case .accessor(let accessor): throw refusal(Self.accessor(accessor, entity))
        case .operator, .function: throw refusal(.unreadable(offset: parser.position))
        }

        do {
            function = try Self.function(kind, &parser, refusal)
            guard parser.isAtEnd else { throw parser.failure }
        } catch let failure as SignatureParser.Failure {
            throw refusal(.unreadable(offset: failure.offset))
        } catch {
            throw error as? SymbolRefusal ?? refusal(.unreadable(offset: parser.position))
        }
        var marked = function
        if let text = EscapeMarks.text(of: mangled, demangle) {
            var parser = SignatureParser(text)
            if (try? parser.declaration()) != nil, let read = try? Self.function(kind, &parser, refusal) {
                marked = read
            }
        }
        escapeMarks = marked.parameters.map { EscapeMarks($0.type) }
        self.mangled = mangled
        self.text = text
        self.kind = kind
        isStatic = declaration.isStatic
        name = declaration.name
        module = declaration.extensionModule ?? declaration.context.first?.name ?? ""
        if declaration.context.count > 1 {
            let end = bound.isEmpty ? declaration.contextEnd : declaration.contextGenericsStart
            let path = parser.bytes(declaration.pathStart..<end)
            context = Self.context(
                path: path, extensionModule: declaration.extensionModule, mangled: mangled, demangle: demangle)
            if context == nil { throw refusal(.unreadable(offset: declaration.pathStart)) }
            if !bound.isEmpty, let generics = declaration.contextGenerics {
                guard context?.bind(bound) == true else { throw refusal(.genericContext("<\(generics)>")) }
            }
        }
        if let reason = refusedType(demangle) { throw refusal(reason) }
    }

    private static func function(
        _ kind: Kind, _ parser: inout SignatureParser, _ refusal: (SymbolRefusal.Reason) -> SymbolRefusal
    ) throws -> SwiftType.Function {
        switch kind {
        case .function, .operator, .initialiser, .allocatingInitialiser:
            let parameters = try parser.parameters()
            return try parser.signature([], parameters)
        case .getter, .setter:
            let type = try parser.type()
            if kind == .getter { return SwiftType.Function(parameters: [], result: type) }
            return SwiftType.Function(parameters: [SwiftType.Parameter(type: type)], result: .void)
        case .subscriptGetter, .subscriptSetter:
            if let generics = parser.angle() { throw refusal(.generic(parameters: generics)) }
            var function = try parser.signature([], try parser.parameters())
            if kind == .subscriptSetter {
                function.parameters.insert(SwiftType.Parameter(type: function.result), at: 0)
                function.result = .void
            }
            return function
        }
    }

    /// Which types in the signature rule a closure out.
    private func refusedType(_ demangle: (String) -> String?) -> SymbolRefusal.Reason? {
        let types = function.parameters.map(\.type) + [function.result]
        if case .typed(let error) = function.thrown { return .typedThrows(error.description) }
        func any(_ condition: (SwiftType) -> Bool) -> Bool { types.contains { $0.contains(where: condition) } }
        if any({ $0.bareName == "some" }) { return .opaqueResult }
        if context?.kind == .protocolType, isStatic || kind == .initialiser || any({ $0.bareName == "Self" }) {
            return .genericContext("extension of the protocol \(context!.type)")
        }
        if any(isGenericParameter) { return .genericContext(context?.type.description ?? module) }
        for type in types + (context.map { [$0.type] } ?? []) {
            var found: SwiftType?
            _ = type.contains { type in
                if case .nominal(let nominal) = type, nominal.components.contains(where: { $0.discriminator != nil }) {
                    found = type
                }
                return found != nil
            }
            if let found { return .privateType(found.description) }
        }
        // Both read `Shop.Cell.Type`.
        let isMetatype = any { type in
            switch type {
            case .metatype, .protocolMetatype: true
            default: false
            }
        }
        if isMetatype, Self.namesTypeLikeMetatype(mangled, demangle) { return .ambiguousMetatype }
        return nil
    }

    /// Whether a type is called Type or Protocol. Where all that is called so is given another name of the same length, the text says
    /// the same of a metatype, and not of such a type, however its name is abbreviated in the symbol.
    private static func namesTypeLikeMetatype(_ mangled: String, _ demangle: (String) -> String?) -> Bool {
        for (word, other) in [("Type", "Tipe"), ("Protocol", "Protokol")] {
            var bytes = Array(mangled.utf8)
            var isRenamed = false
            for index in bytes.indices where bytes[index...].starts(with: word.utf8) {
                bytes.replaceSubrange(index..<(index + word.utf8.count), with: other.utf8)
                isRenamed = true
            }
            guard isRenamed else { continue }
            guard let text = demangle(String(decoding: bytes, as: UTF8.self)) else { return true }
            if SignatureParser.names(other, in: text) { return true }
        }
        return false
    }

    /// `A`, `B1`; `A.Element`, unless that is a type of the function's own module.
    private func isGenericParameter(_ type: SwiftType) -> Bool {
        guard case .nominal(let nominal) = type, nominal.extensionModule == nil else { return false }
        let name = nominal.components[0].name
        guard let first = name.utf8.first, (0x41...0x5A).contains(first), name != module else { return false }
        return name.utf8.dropFirst().allSatisfy { (0x30...0x39).contains($0) }
    }

    /// The type that the symbol begins with, told by the demangler itself: the text alone leaves out what kind of type it is,
    /// and whether `(extension in M):` belongs to the type or to the function.
    private static func context(
        path: String, extensionModule: String?, mangled: String, demangle: (String) -> String?
    ) -> Context? {
        guard let start = ["$s", "_$s", "$S", "_$S", "$e", "_$e", "_T0"].first(where: mangled.hasPrefix)?.utf8.count
        else {
            return nil
        }
        var bytes = Array(mangled.utf8)
        // `S2S` stands for `SSSS`: the type, and once more in the signature.
        if bytes.count > start + 2, bytes[start] == UInt8(ascii: "S"), (0x30...0x39).contains(bytes[start + 1]) {
            let digits = bytes[(start + 1)...].prefix { (0x30...0x39).contains($0) }
            bytes.removeSubrange(digits.indices)
        }
        let whole = extensionModule.map { "(extension in \($0)):\(path)" }
        for end in bytes.indices where end > start {
            let kind: Context.Kind
            let isStandard = end - start <= 2 && bytes[start] == UInt8(ascii: "S")
            switch bytes[end] {
            // Before the others: SP and SO are structs of the standard library.
            case let byte where isStandard: kind = standardKind(Array(bytes[start..<end]), byte)
            case UInt8(ascii: "V"): kind = .structure
            case UInt8(ascii: "O"): kind = .enumeration
            case UInt8(ascii: "C"): kind = .classType
            case UInt8(ascii: "P"): kind = .protocolType
            // A typedef of a C struct without a name.
            case UInt8(ascii: "a") where bytes[start...].starts(with: "So".utf8): kind = .structure
            default: continue
            }
            let prefix = String(decoding: bytes[...end], as: UTF8.self)
            guard let text = demangle(prefix + "D"), text == path || text == whole else { continue }
            var parser = SignatureParser(text)
            guard let type = try? parser.type(), parser.isAtEnd else { continue }
            return Context(type: type, kind: kind, mangled: String(prefix.dropFirst(start)))
        }
        return nil
    }

    /// What the abbreviations `Si`, `Sl`, `ScT` stand for (include/swift/Demangling/StandardTypesMangling.def).
    private static func standardKind(_ before: [UInt8], _ byte: UInt8) -> Context.Kind {
        let letter = Character(Unicode.Scalar(byte))
        if before == Array("Sc".utf8) {
            if "AFfhIi".contains(letter) { return .protocolType }
            return letter == "M" ? .classType : .structure
        }
        if letter == "q" { return .enumeration }
        return "BEeFGHjKkLlMmQTtUXxYyZz".contains(letter) ? .protocolType : .structure
    }

    // MARK: What is not a function of the source

    private static func isDeinit(_ entity: String) -> Bool {
        ["fD", "fd", "fZ", "fE"].contains(where: entity.hasSuffix)
    }

    private static func accessor(_ name: String, _ entity: String) -> SymbolRefusal.Reason {
        switch name {
        case "modify", "read", "modify2", "read2", "yielding_mutate", "yielding_borrow": return .coroutine(name)
        case "willset": return .observer("willSet")
        case "didset": return .observer("didSet")
        case "init": return .observer("init accessor")
        case let name where name.hasSuffix("ddressor"): return .addressor
        default: return .unreadable(offset: 0)
        }
    }

    /// What reads as a phrase (lib/Demangling/NodePrinter.cpp).
    private static func phrase(_ text: String) -> SymbolRefusal.Reason? {
        for (beginning, reason) in phrases where text.hasPrefix(beginning) { return reason }
        if isValueWitness(text) { return .compilerGenerated("value witness") }
        if let suffix = text.firstRange(of: " with unmangled suffix ") {
            return .part(String(text[suffix.upperBound...]).trimmingQuotes())
        }
        if text.hasPrefix("("), text.dropFirst().first?.isNumber == true {
            return .part(text.contains("await resume") ? "what follows an await" : "what follows a suspension")
        }
        guard let number = text.firstRange(of: " #") else { return nil }
        // "inner #1 (x: Swift.Int) -> () in Shop.run()", "go() -> () in Local #1 in Shop.run() -> ()"
        let rest = text[number.upperBound...]
        guard rest.first?.isNumber == true else { return nil }
        return text[..<number.lowerBound].contains(" ") || text[..<number.lowerBound].contains("(")
            ? .localType : .localFunction
    }

    private static let phrases: [(String, SymbolRefusal.Reason)] = [
        ("merged ", .merged), ("closure #", .closure), ("implicit closure #", .closure),
        ("default argument ", .defaultArgument), ("outlined ", .outlined),
        ("generic specialization ", .specialisation), ("generic not re-abstracted ", .specialisation),
        ("generic partial specialization ", .specialisation), ("generic pre-specialization ", .specialisation),
        ("inlined generic function ", .specialisation), ("specialized ", .specialisation),
        ("function signature specialization ", .specialisation), ("autodiff ", .specialisation),
        ("protocol witness for ", .protocolWitness), ("protocol self-conformance witness for ", .protocolWitness),
        ("reabstraction thunk", .thunk("reabstraction thunk")), ("dispatch thunk of ", .thunk("dispatch thunk")),
        ("partial apply ", .thunk("partial application")), ("curry thunk of ", .thunk("curry thunk")),
        ("vtable thunk for ", .thunk("vtable thunk")), ("override ", .thunk("vtable thunk")),
        ("key path ", .thunk("key path accessor")), ("keypath ", .thunk("key path accessor")),
        ("distributed ", .thunk("distributed thunk")), ("back deployment ", .thunk("back deployment thunk")),
        ("@objc ", .thunk("thunk for Objective-C")), ("@nonobjc ", .thunk("thunk for Objective-C")),
        ("thin to ", .thunk("conversion thunk")), ("identity ", .thunk("conversion thunk")),
        ("async function pointer to ", .compilerGenerated("async function record")),
        ("coroutine ", .part("a continuation")), ("concurrency ", .compilerGenerated("record")),
        ("method lookup function ", .compilerGenerated("look-up")),
        ("one-time initialization function ", .compilerGenerated("global's initialiser")),
        ("one-time initialization token ", .compilerGenerated("global's initialiser")),
        ("variable initialization expression of ", .compilerGenerated("property's initial value")),
        ("property wrapper ", .compilerGenerated("property wrapper's initialiser")),
        ("property wrapped ", .compilerGenerated("property wrapper's initialiser")),
        ("type metadata ", .compilerGenerated("metadata accessor")),
        ("lazy protocol witness ", .compilerGenerated("witness table accessor")),
        ("protocol witness table ", .compilerGenerated("witness table accessor")),
        ("generic protocol witness table ", .compilerGenerated("witness table accessor")),
        ("associated type ", .compilerGenerated("witness table accessor")),
        ("base witness table ", .compilerGenerated("witness table accessor")),
        ("default associated ", .compilerGenerated("witness table accessor")),
        ("opaque type ", .compilerGenerated("metadata accessor")),
        ("instantiation function for ", .compilerGenerated("metadata accessor")),
        ("canonical specialized generic ", .compilerGenerated("metadata accessor")),
        ("enum case for ", .compilerGenerated("enum case")),
    ]

    /// "assignWithCopy value witness for Shop.Cart"
    private static func isValueWitness(_ text: String) -> Bool {
        guard let found = text.firstRange(of: " value witness") else { return false }
        return !text[..<found.lowerBound].contains(where: { $0 == "." || $0 == " " })
    }
}

extension String {
    /// Where another text first stands in it; the library has no Foundation.
    fileprivate func firstRange(of other: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(other) { return start..<index(start, offsetBy: other.count) }
            start = index(after: start)
        }
        return nil
    }

    fileprivate func trimmingQuotes() -> String {
        var text = self[...]
        if text.first == "\"" { text = text.dropFirst() }
        if text.last == "\"" { text = text.dropLast() }
        return String(text)
    }
}
