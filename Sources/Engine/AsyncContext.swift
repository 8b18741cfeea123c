import Symbols

/// Whether callers of one function can be led to another, as far as async functions are concerned: they allocate the context that the
/// function they name needs, whatever runs in its place.
public struct AsyncContext: Sendable, Hashable {
    /// Of the function, in bytes; nil where it has no record, as a function that is not async.
    public var own: Int?
    /// Of what replaces it.
    public var replacement: Int?

    public init(own: Int?, replacement: Int?) {
        self.own = own
        self.replacement = replacement
    }

    /// - Parameters:
    ///   - name: the replacement's mangled name, or what else is known of it.
    /// - Throws: `PatchError.asyncContext` where the replacement needs more than callers allocate, where only one of the two is async,
    ///   and where a name says so and no record tells the size.
    public func check(_ function: FunctionSymbol, by name: String) throws(PatchError) {
        switch (own, replacement) {
        case (let own?, let replacement?) where replacement <= own: return
        case (nil, nil) where !Demangling.saysAsync(function.name) && !Demangling.saysAsync(name): return
        default:
            throw .asyncContext(
                function: function.demangledName, address: function.address,
                replacement: Demangling.demangle(name) ?? name, self)
        }
    }

    /// Why, and what to do instead.
    var reason: (why: String, remedy: String) {
        let closure =
            "or replace it from code by a closure, which is called with a context of its own (Patch.replace(symbol:with:))"
        switch (own, replacement) {
        case (let own?, let replacement?):
            return (
                "Callers allocate a context of \(own) bytes for the one, and the other needs \(replacement): each call would write "
                    + "beyond it",
                "Compile the replacement with the optimisation that the program was built with, \(closure)"
            )
        case (_?, nil):
            return (
                "The one is async, and the other is not, or its record (the symbol that ends with Tu) is missing",
                "Declare the replacement async, \(closure)"
            )
        case (nil, _?):
            return (
                "The other is async, and the one is not, or its record (the symbol that ends with Tu) is missing",
                "Declare the replacement as the function is declared"
            )
        case (nil, nil):
            return (
                "Both are async, and how large a context callers allocate is not known: the records (symbols that end with Tu) are "
                    + "missing",
                "Keep the symbols of the program and of the replacement: do not strip them"
            )
        }
    }
}
