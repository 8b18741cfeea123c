/// Why a closure cannot stand for a function, whatever the closure's type: what the symbol is.
package struct SymbolRefusal: Error, Hashable, Sendable {
    package enum Reason: Hashable, Sendable {
        /// Not a Swift name, or one that this process's runtime, being older than the compiler, cannot read.
        case notSwift
        /// The demangled name says something that is not known here; the offset is in its bytes.
        case unreadable(offset: Int)
        /// Has generic parameters of its own, `some` parameters among them.
        case generic(parameters: String)
        /// A member of a generic type, of an extension that leaves one of its parameters open, or of a protocol extension where
        /// `Self` is needed.
        case genericContext(String)
        /// Returns `some P`.
        case opaqueResult
        /// `throws(E)`.
        case typedThrows(String)
        case closure
        case localFunction
        /// A member of a type that is declared inside a function.
        case localType
        case defaultArgument
        /// Reabstraction, dispatch, curry, key path, distributed and other thunks; the text names the sort.
        case thunk(String)
        case protocolWitness
        case specialisation
        case merged
        case outlined
        /// What the optimiser or the coroutine lowering has split off: `.resume.0`, `.cold`, a part of an async function.
        case part(String)
        /// `modify`, `read` and other accessors that yield.
        case coroutine(String)
        /// `unsafeMutableAddressor` and the like, which return an address.
        case addressor
        /// `willSet`, `didSet`, and `init` accessors.
        case observer(String)
        case deinitialiser
        /// `init` of a class, which initialises an object that the caller has made.
        case classInitialiser
        /// `__allocating_init` of a class, in a module that is optimised, or not known not to be.
        case allocatingInitialiser(isKnownOptimised: Bool)
        /// File-scoped code that is optimised, or not known not to be.
        case privateCode(isKnownOptimised: Bool)
        /// Its signature names a type that is private to a file or local to a function.
        case privateType(String)
        /// Metadata accessors, value witnesses, initialisers of globals and the like; the text names the sort.
        case compilerGenerated(String)
        /// A member of a struct or enum; nothing tells whether it is `mutating` or `consuming`.
        case unknownMutating
        /// A getter; nothing tells whether it throws. A closure that does not throw can replace it, if it is not async.
        case unknownThrows
        /// A getter; nothing tells whether it is async.
        case unknownAsync
        /// A type called `Type` or `Protocol` reads like a metatype.
        case ambiguousMetatype
    }

    package var reason: Reason
    /// The symbol's readable name.
    package var function: String
}

extension SymbolRefusal.Reason {
    /// What it is, as the end of "… cannot be replaced by a closure: ", without a full stop.
    package var text: String {
        switch self {
        case .notSwift: "its name is not a Swift name that this process's runtime can read"
        case .unreadable(let offset): "its readable name cannot be understood from byte \(offset) on"
        case .generic(let parameters):
            "it is generic (<\(parameters)>): its callers pass types and witness tables that a closure does not take"
        case .genericContext(let what):
            "it is a member of a generic context (\(what)): its callers pass types that a closure does not take"
        case .opaqueResult: "it returns an opaque type (some P), which no closure's type can name"
        case .typedThrows(let error):
            "it throws a typed error (throws(\(error))), which is passed in another way than any Error"
        case .closure: "it is the body of a closure, which takes what it captures in a form of the compiler's choice"
        case .localFunction:
            "it is a function inside a function, which takes what it captures in a form of the compiler's choice"
        case .localType: "it is a member of a type inside a function, which no closure's type can name"
        case .defaultArgument: "it computes a default argument, and callers compute that themselves where they can"
        case .thunk(let sort):
            "it is a \(sort), which the compiler makes to convert a call, not a function of the source"
        case .protocolWitness: "it is a protocol witness, which calls the function of the source in another convention"
        case .specialisation: "it is a copy that the optimiser made for some callers, with a signature of its own"
        case .merged: "it is the shared body of several functions, with hidden parameters that tell them apart"
        case .outlined: "it is a piece of code that the compiler has shared between functions"
        case .part(let sort): "it is a part of a function (\(sort)), entered in the middle of it"
        case .coroutine(let accessor): "it is a \(accessor) accessor, a coroutine: it yields, and is resumed"
        case .addressor: "it returns the address of a variable, which callers go on using"
        case .observer(let accessor): "it is the \(accessor) of a property, whose parameters its name does not tell"
        case .deinitialiser: "it is a deinit, which also frees the object and its stored properties"
        case .classInitialiser: "it is the init of a class, which initialises an object that its caller has made"
        case .allocatingInitialiser(true):
            "it is the init of a class in optimised code, where callers make the object themselves and do not come by here"
        case .allocatingInitialiser(false):
            "it is the init of a class, and nothing tells whether its callers are optimised: then they make the object"
                + " themselves and do not come by here"
        case .privateCode(true):
            "it is private and optimised: the compiler may have changed how its arguments are passed"
        case .privateCode(false):
            "it is private, and nothing tells whether it is optimised: then the compiler may have changed how its arguments"
                + " are passed"
        case .privateType(let type): "its signature has \(type), a type that two files can each have one of"
        case .compilerGenerated(let sort): "it is a \(sort), made by the compiler, not a function of the source"
        case .unknownMutating: "nothing tells whether it is mutating, which its name leaves out"
        case .unknownThrows: "nothing tells whether it throws, which the name of a getter leaves out"
        case .unknownAsync: "nothing tells whether it is async, which the name of a getter leaves out"
        case .ambiguousMetatype: "a type that is called Type or Protocol reads like a metatype in its name"
        }
    }

    /// What to do instead: one sentence.
    package var advice: String {
        let symbols = "replace it by a function of the same signature: Patch.replace(symbol:withSymbol:)"
        switch self {
        case .notSwift: return "If it is a C function, pass a closure of @convention(c) type; or \(symbols)."
        case .unreadable, .generic, .genericContext, .opaqueResult, .typedThrows, .localType, .ambiguousMetatype:
            return Self.sentence(symbols)
        case .closure, .localFunction: return "Replace the function that makes it, or move its code into a function."
        case .defaultArgument: return "Replace the function that takes the argument."
        case .thunk, .protocolWitness: return "Replace the function it leads to."
        case .specialisation, .merged: return "Mark the function it comes from @inline(never), and replace that."
        case .outlined, .compilerGenerated: return "Replace the functions that call it."
        case .part: return "Replace the whole function."
        case .coroutine: return "Replace the getter and the setter; or \(symbols)."
        case .addressor: return "Make the variable a computed one, and replace its getter and setter."
        case .observer: return "Replace the setter."
        case .deinitialiser: return "Move what it does into a method, and replace that; or \(symbols)."
        case .classInitialiser: return "Replace __allocating_init, or a factory function; or \(symbols)."
        case .allocatingInitialiser(true):
            return "Build without optimisation, or replace a factory function marked @inline(never)."
        case .allocatingInitialiser(false):
            return
                "Build with -g, which tells it if libdw1 is installed, or replace a factory function marked @inline(never)."
        case .privateCode(true): return "Make it internal, and @inline(never); or build without optimisation."
        case .privateCode(false):
            return "Build with -g, which tells it if libdw1 is installed, or make it internal, and @inline(never)."
        case .privateType: return "Make the type internal; or \(symbols)."
        case .unknownMutating:
            return
                "Say so in the call (selfUse:), or build with -g, which tells it if libdw1 is installed; or \(symbols)."
        case .unknownThrows:
            return
                "A closure that does not throw, and does not call it, can replace it where it is not async. Otherwise build with -g, "
                + "which tells it where libdw is installed (libdw1); or \(symbols)."
        case .unknownAsync: return "Build with -g, which tells it if libdw1 is installed; or \(symbols)."
        }
    }

    private static func sentence(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() + "." }
}

extension SymbolRefusal: CustomStringConvertible {
    package var description: String { "\(function) cannot be replaced by a closure: \(reason.text). \(reason.advice)" }
}
