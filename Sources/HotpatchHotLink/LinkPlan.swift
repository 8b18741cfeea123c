import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// What links edited objects into a process: memory to take, and, once that has a place, what it holds and what else changes.
package struct LinkPlan: Sendable {
    /// Memory to take, near the image.
    package struct Segment: Hashable, Sendable {
        package var kind: MemoryKind
        /// In bytes.
        package var size: Int
    }

    /// A function of the image, and the new code.
    package struct Redirect: Sendable {
        package var function: FunctionSymbol
        package var address: Address
        /// The new function's name.
        package var name: String
        /// The bytes of the context that the new code of an async function needs.
        package var contextSize: Int?
    }

    /// A word of data to change.
    package struct Store: Hashable, Sendable {
        package var address: Address
        package var expected: [UInt8]
        package var bytes: [UInt8]
        package var name: String
        /// A constant, which linkers may have put into the segment of the code.
        package var isConstant = false
    }

    /// How the code can be taken away again, once no function in force is part of it.
    package struct Disposal: Hashable, Sendable {
        /// Why it has to stay for good; empty where it has not.
        package var obstacle = ""
        /// Whether constants or data of the same object lead to it: whoever knows them may call it.
        package var isReachedByData = false
        /// What undoes the registration of its unwind tables; nil where none was made.
        package var deregistration: Call?
    }

    /// What depends on where the segments lie.
    package struct Linked: Sendable {
        package var contents: [[UInt8]] = []
        package var redirects: [Redirect] = []
        package var stores: [Store] = []
        package var calls: [Call] = []
        /// Where something that later objects may refer to lies, by name.
        package var identities: [(name: String, address: Address)] = []
        /// Nil where no code was placed.
        package var disposal: Disposal?
    }

    package var segments: [Segment]
    /// Where the segments are to lie near.
    package var near: Address
    package var notes: [String]
    /// Lays everything out. The segments lie as they were asked for.
    package var link: @Sendable ([Range<Address>]) throws -> Linked
}
