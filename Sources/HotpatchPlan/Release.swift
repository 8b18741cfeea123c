import HotpatchMemory

/// Memory that a transaction takes out of use. It is released once everything is in force and the calls after are made: whoever dies before
/// that leaves memory that nobody uses.
package struct Release: Hashable, Sendable {
    package enum Effect: Hashable, Sendable {
        /// It is unmapped.
        case unmapped
        /// All its pages but the first are given back to the system; then its first word is written.
        case emptied(then: UInt64)
    }

    package var range: Range<Address>
    package var effect: Effect
    /// The place among the calls after of the one that has to succeed first; nil where there is none.
    package var call: Int?

    package init(_ range: Range<Address>, _ effect: Effect, call: Int? = nil) {
        self.range = range
        self.effect = effect
        self.call = call
    }
}
