import HotpatchDemangle

/// Function types of this process as text.
package enum ClosureType {
    /// A type's name with all modules and, unlike the name that Swift prints, with attributes of function types: nil for the
    /// few that the runtime cannot name.
    package static func text(of type: Any.Type) -> String? {
        _mangledTypeName(type).flatMap { SwiftDemangler.demangle("$s\($0)D") }
    }
}

extension SwiftSignature {
    /// Reads a symbol with the runtime's demangler.
    package init(mangled: String) throws(SymbolRefusal) {
        try self.init(mangled: mangled, demangle: SwiftDemangler.demangle)
    }

    /// Compares the function with the type of a closure of this process. See `match(closure:_:isConcreteContext:)`.
    package func match(type: Any.Type, _ facts: FunctionFacts) throws(SignatureError) -> SignatureMatch {
        guard let text = ClosureType.text(of: type) else {
            throw .unsuitable(type: String(describing: type), why: "the runtime cannot name it. Pass a closure.")
        }
        // The runtime makes a type of a name only where no generic arguments are missing.
        let isConcrete = context.map { _typeByName($0.mangled) != nil } ?? false
        let match = try match(closure: text, facts, isConcreteContext: isConcrete)
        try checkEscaping(of: type)
        return match
    }
}
