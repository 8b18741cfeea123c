import HotpatchMemory

/// A thread found at `from` continues at `to`; the two run the same instruction.
public struct PCMove: Hashable, Sendable {
    public var from: Address
    public var to: Address

    public init(from: Address, to: Address) {
        self.from = from
        self.to = to
    }

    /// The way back.
    public var reversed: PCMove { PCMove(from: to, to: from) }
}

/// What a commit shall do: a value, computed from bytes and addresses, that performs nothing.
public struct PatchPlan: Hashable, Sendable {
    public var architecture: Architecture
    /// In the order they are made.
    public var writes: [Write] = []
    /// To be in place before the first write. They stay when the plan is undone: a thread may still be in one.
    public var stubs: [StubLayout] = []
    /// Likewise, and longer: a task may be suspended in what a thunk has entered, and return through it at any time.
    public var thunks: [AsyncThunk] = []
    public var moves: [PCMove] = []
    /// No return address and no saved PC may point into these while the plan is committed.
    public var hazards: [Range<Address>] = []

    public init(architecture: Architecture) { self.architecture = architecture }

    public var isEmpty: Bool { writes.isEmpty && stubs.isEmpty && thunks.isEmpty }

    /// Adds a function's detour.
    /// - Parameter replacement: what the stub's slot is to hold, written before the jump; nil if the slot is filled otherwise.
    public mutating func append(_ detour: Detour, replacement: Address? = nil) {
        stubs.append(detour.stub)
        if let replacement { writes.append(Write(word: replacement.rawValue, at: detour.stub.slot)) }
        writes.append(
            Write(address: detour.patchAddress, kind: .text, expected: detour.expected, bytes: detour.bytes))
        moves += detour.pcMap.map { $0.move(entry: detour.entry, stub: detour.stub.address) }
        if let hazard = detour.hazard { hazards.append(hazard) }
    }

    /// The plan that undoes this one: its writes swapped, the last first.
    ///
    /// A write without expected bytes is left out, for what stood there is not known; `CommitBlock.committedWrites` knows it
    /// after the commit. No stub is placed.
    ///
    /// - Parameter movingThreads: also move threads from the stubs back to the entries. Threads need it only where the
    ///   stubs shall be freed afterwards; otherwise they run on through their stub and leave it.
    public func reversed(movingThreads: Bool = false) -> PatchPlan {
        var plan = PatchPlan(architecture: architecture)
        plan.writes = writes.reversed().compactMap(\.reversed)
        plan.moves = movingThreads ? moves.map(\.reversed) : []
        plan.hazards = hazards
        return plan
    }
}
