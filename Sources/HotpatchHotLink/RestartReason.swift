/// What of an edit cannot go into a living process, named as a compiler would.
package struct RestartReason: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
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
    package struct Slot: Hashable, Sendable {
        /// The symbol of the metadata, `…N`: the address point.
        package var metadata: String
        /// From there, in bytes.
        package var offset: Int
        /// The functions' mangled names.
        package var old: String
        package var new: String
    }

    /// The type, protocol or function.
    package var subject: String
    package var change: String
    package var kind: Kind
    /// The mangled name of the descriptor of the type, protocol or conformance; empty where there is none.
    package var descriptor = ""

    /// What exists in both objects of a source file and may not differ between them, in the order of the new one.
    ///
    /// A type, a protocol or a conformance that only one of them has is none of it.
    package static func all(old: ObjectGraph, new: ObjectGraph) -> [RestartReason] {
        var comparison = LayoutComparison(old: SwiftLayout(old), new: SwiftLayout(new))
        return comparison.reasons()
    }
}

extension RestartReason: CustomStringConvertible {
    package var description: String { "\(subject): \(change)" }
}
