import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// What links edited objects into a process: memory to take, and, once that has a place, what it holds and what else changes.
public struct LinkPlan: Sendable {
    /// Memory to take, near the image.
    public struct Segment: Hashable, Sendable {
        package var kind: MemoryKind
        /// In bytes.
        public var size: Int
    }

    /// A function of the image, and the new code.
    public struct Redirect: Sendable {
        public var function: FunctionSymbol
        public var address: Address
        /// The new function's name.
        public var name: String
        /// The bytes of the context that the new code of an async function needs.
        public var contextSize: Int?
    }

    /// A word of data to change.
    public struct Store: Hashable, Sendable {
        public var address: Address
        public var expected: [UInt8]
        public var bytes: [UInt8]
        public var name: String
        /// A constant, which linkers may have put into the segment of the code.
        public var isConstant = false
    }

    /// How the code can be taken away again, once no function in force is part of it.
    public struct Disposal: Hashable, Sendable {
        /// Why it has to stay for good; empty where it has not.
        public var obstacle = ""
        /// Whether constants or data of the same object lead to it: whoever knows them may call it.
        public var isReachedByData = false
        /// What undoes the registration of its unwind tables; nil where none was made.
        package var deregistration: Call?
    }

    /// What depends on where the segments lie.
    public struct Linked: Sendable {
        public var contents: [[UInt8]] = []
        public var redirects: [Redirect] = []
        public var stores: [Store] = []
        package var calls: [Call] = []
        /// Where something that later objects may refer to lies, by name.
        public var identities: [(name: String, address: Address)] = []
        /// Nil where no code was placed.
        public var disposal: Disposal?
    }

    public var segments: [Segment]
    /// Where the segments are to lie near.
    public var near: Address
    public var notes: [String]
    /// Lays everything out. The segments lie as they were asked for.
    public var link: @Sendable ([Range<Address>]) throws -> Linked
}
