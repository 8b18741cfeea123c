/// What of an edit cannot go into a living process, named as a compiler would.
public struct RestartReason: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// The layout changes of what exists in the process, or of what its code relies on.
        case layout
        /// Another function stands in slots of the vtable that are there already: stores do it, and nothing has to be restarted.
        case override([Slot])
        /// The same of slots in the vtable of a class of C++, whose `metadata` is the table's symbol.
        case cxxOverride([Slot])
        /// The function of this mangled name returns a value of another type than its callers expect.
        case opaqueResult(function: String)
    }

    /// A word of a class's metadata that holds the address of a function.
    public struct Slot: Hashable, Sendable {
        /// The symbol of the metadata, `…N`: the address point.
        public var metadata: String
        /// From there, in bytes.
        public var offset: Int
        /// The functions' mangled names.
        public var old: String
        public var new: String
    }

    /// The type, protocol or function.
    public var subject: String
    public var change: String
    public var kind: Kind
    /// The mangled name of the descriptor of the type, protocol or conformance; empty where there is none.
    public var descriptor = ""

    /// What exists in both objects of a source file and may not differ between them, in the order of the new one.
    ///
    /// A type, a protocol or a conformance that only one of them has is none of it.
    public static func all(old: ObjectGraph, new: ObjectGraph) -> [RestartReason] {
        var comparison = LayoutComparison(old: SwiftLayout(old), new: SwiftLayout(new))
        return comparison.reasons()
    }
}

extension RestartReason: CustomStringConvertible {
    public var description: String { "\(subject): \(change)" }
}
