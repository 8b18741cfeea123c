import HotpatchMemory

/// What becomes of a piece of an edited object.
package enum LinkDecision: Hashable, Sendable {
    /// What refers to it refers to what the process has.
    case bind(Address)
    /// The process gets a copy.
    case take
    /// The process gets a copy, with an entry that later objects can lead elsewhere.
    case add
    /// The process gets a copy, and its function at that entry leads there.
    case patch(Address)
    /// Likewise of a function that was linked into the process: the word that its entry jumps through changes.
    case repoint(entry: Address, slot: Address)
    /// Nothing is linked: a variable of which each thread has its own, notes, frame descriptions.
    case leave

    /// Whether the process gets a copy.
    package var isTaken: Bool {
        switch self {
        case .take, .add, .patch, .repoint: true
        case .bind, .leave: false
        }
    }
}
