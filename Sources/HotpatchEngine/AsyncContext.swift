import HotpatchSymbols

/// Whether callers of one function can be led to another, as far as async functions are concerned: they allocate the context that the
/// function they name needs, whatever runs in its place. What needs more is entered through a thunk, which allocates it.
public struct AsyncContext: Sendable, Hashable {
    /// The size of the function's own, in bytes; nil where it has no record, as a function that is not async.
    package var own: Int?
    /// The size of the one that its replacement needs.
    package var replacement: Int?

    package init(own: Int?, replacement: Int?) {
        self.own = own
        self.replacement = replacement
    }

    /// More than callers allocate, and how to get it.
    public struct Larger: Sendable, Hashable {
        /// In bytes.
        package var size: Int
        package var allocator: TaskAllocator
    }

    /// - Parameters:
    ///   - name: the replacement's mangled name, or what else is known of it.
    ///   - index: of the process that has the function.
    /// - Returns: the context that a thunk allocates; nil where callers allocate enough, and for functions that are not async.
    /// - Throws: `PatchError` (`asyncContext`) where the replacement needs more and the process has no function known to allocate it, where
    ///   only one of the two is async, and where a name says so and no record tells the size.
    package func larger(
        for function: FunctionSymbol, by name: String, in index: SymbolIndex
    ) throws(PatchError) -> Larger? {
        switch (own, replacement) {
        case (let own?, let replacement?):
            if replacement <= own { return nil }
            if let allocator = index.taskAllocator(of: function) {
                return Larger(size: replacement, allocator: allocator)
            }
        case (nil, nil) where !Demangling.saysAsync(function.name) && !Demangling.saysAsync(name): return nil
        default: break
        }
        throw .asyncContext(
            function: function.demangledName, address: function.address,
            replacement: Demangling.demangle(name) ?? name, self)
    }

    /// Why, and what to do instead.
    var reason: (why: String, remedy: String) {
        let closure =
            "or replace it from code by a closure, which is called with a context of its own (Patch.replace(symbol:with:))"
        switch (own, replacement) {
        case (let own?, let replacement?):
            return (
                "Callers allocate a context of \(own) bytes for the one, and the other needs \(replacement); the functions of the Swift "
                    + "runtime that would allocate it, swift_task_alloc and swift_task_dealloc, are not found in the process",
                "Do not strip a program that has the runtime linked into it, compile the replacement with the optimisation that the "
                    + "program was built with, \(closure)"
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
