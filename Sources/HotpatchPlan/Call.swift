import HotpatchMemory

/// A function of the target that a transaction calls, on a thread of the target, while no thread is held.
package struct Call: Hashable, Sendable {
    /// What is done with what the function returns.
    package enum Answer: Hashable, Sendable {
        case ignored
        /// An `int`, which is 0: anything else refuses the transaction.
        case zero
        /// All of the result register is stored there: in a segment of the transaction.
        case stored(at: Address)
    }

    /// What undoes it where the transaction is not made.
    package indirect enum Undo: Hashable, Sendable {
        /// It has changed nothing but memory that goes with the transaction.
        case nothing
        case call(Call)
        /// It may have kept a pointer: the transaction's memory stays.
        case impossible
    }

    package var function: Address
    /// At most six integers or pointers.
    package var arguments: [UInt64]
    /// For an error.
    package var name: String
    /// What it belongs to, or empty.
    package var library: String
    package var answer: Answer
    package var undo: Undo

    package init(
        _ function: Address, _ arguments: [UInt64] = [], name: String, of library: String = "",
        answer: Answer = .ignored, undo: Undo = .nothing
    ) {
        precondition(arguments.count <= 6, "a call has six arguments at most")
        self.function = function
        self.arguments = arguments
        self.name = name
        self.library = library
        self.answer = answer
        self.undo = undo
    }
}
