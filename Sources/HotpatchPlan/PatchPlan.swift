import HotpatchMemory

/// A thread found at `from` continues at `to`; the two run the same instruction.
package struct PCMove: Hashable, Sendable {
    package var from: Address
    package var to: Address

    package init(from: Address, to: Address) {
        self.from = from
        self.to = to
    }
}

/// A transaction: all that is done to a process. A value, computed from bytes and addresses, that performs nothing.
///
/// It is carried out in this order: *staged* while the process runs (segments, calls before), *committed* while all its threads are held
/// (copies, moves, writes: see `hp_commit_block`), and followed by the calls after and the releases.
package struct PatchPlan: Hashable, Sendable {
    /// The parts of the writes, in the order in which they are made.
    package enum Phase: Int, Hashable, Sendable, CaseIterable {
        /// The ledger's, which refuses a plan that was overtaken.
        case generation
        /// The word of the ledger that says who commits.
        case committer
        /// What makes records part of the ledger, and says which patches are on their way out of force.
        case publication
        /// To originals.
        case pointers
        /// Where stubs lead that are there already.
        case slots
        /// Variables and constants that the new code relies on.
        case data
        /// Padding that short jumps go through.
        case hops
        /// The entries of functions. The program can notice nothing that is written before them.
        case entries
        /// Variables and constants that code which is out of force by now relied on.
        case restored
        /// The states of patches: what is in force from now on, and what is not any more.
        case states

        /// Where an undo belongs: everything in the opposite order. Nil for what belongs to the one commit.
        fileprivate var undone: Phase? {
            switch self {
            case .generation, .committer: nil
            case .publication: .states
            case .pointers, .slots, .data, .hops: .restored
            case .entries: .entries
            case .restored: .data
            case .states: .publication
            }
        }
    }

    package var architecture: Architecture
    /// They stay when the plan is undone: a thread may still be in one.
    package var segments: [Segment] = []
    /// Made before anything is reachable, and once, however often the commit is tried.
    package var callsBefore: [Call] = []
    /// Mapped last before the commit, and for each that is tried.
    package var ledger: LedgerMapping?
    /// To be in place before the first write. They stay when the plan is undone, too.
    package var stubs: [StubLayout] = []
    /// Likewise, and longer: a task may be suspended in what a thunk has entered, and return through it at any time.
    package var thunks: [AsyncThunk] = []
    package private(set) var copies: [Copy] = []
    package private(set) var moves: [PCMove] = []
    /// No return address and no saved PC may point into these while the plan is committed.
    package private(set) var hazards: [Range<Address>] = []
    /// By their phase.
    private var phases = [[Write]](repeating: [], count: Phase.allCases.count)
    /// Made once everything is in force. One that fails undoes nothing.
    package var callsAfter: [Call] = []
    /// In the order they are made. They are not undone: they are made once nothing has to be.
    package private(set) var releases: [Release] = []

    package init(architecture: Architecture) { self.architecture = architecture }

    package var isEmpty: Bool {
        segments.isEmpty && callsBefore.isEmpty && stubs.isEmpty && thunks.isEmpty && copies.isEmpty
            && phases.allSatisfy(\.isEmpty) && callsAfter.isEmpty && releases.isEmpty && ledger == nil
    }

    /// In the order they are made: by phase, and inside one as they were added.
    package var writes: [Write] { Array(phases.joined()) }

    /// The writes of one phase.
    package subscript(_ phase: Phase) -> [Write] { phases[phase.rawValue] }

    /// Makes room for so many detours.
    package mutating func reserve(_ count: Int) {
        stubs.reserveCapacity(count)
        moves.reserveCapacity(2 * count)
        hazards.reserveCapacity(count)
        phases[Phase.entries.rawValue].reserveCapacity(count)
    }

    /// Adds a copy. What lies right behind the last one, and serves the same, becomes one with it.
    package mutating func append(_ copy: Copy) {
        if let last = copies.indices.last, copies[last].purpose == copy.purpose,
            copies[last].address + copies[last].bytes.count == copy.address
        {
            copies[last].bytes += copy.bytes
        } else {
            copies.append(copy)
        }
    }

    /// Adds a write behind the others of its phase.
    /// - Parameter moves: where threads go on that are found at the start of an instruction inside the bytes. Where there is one, no thread
    ///   may be on its way back to any byte but the first.
    package mutating func append(_ write: Write, to phase: Phase, moving moves: [PCMove] = []) {
        add(write, to: phase, moving: moves)
    }

    /// Adds the write that makes a jump of an entry.
    /// - Parameter pairs: its instructions, and their copies in the stub, where threads go on.
    package mutating func append(entry write: Write, moving pairs: [PCPair], from entry: Address, to stub: Address) {
        add(write, to: .entries, moving: pairs.lazy.map { $0.move(entry: entry, stub: stub) })
    }

    /// Adds the release of memory.
    /// - Parameter call: it is made before, as one of the calls after, and the memory stays where it fails.
    /// - Returns: its place among these.
    @discardableResult
    package mutating func release(_ ranges: [Range<Address>], _ effect: Release.Effect, after call: Call? = nil) -> Int?
    {
        if let call { callsAfter.append(call) }
        let place = call.map { _ in callsAfter.count - 1 }
        releases += ranges.map { Release($0, effect, call: place) }
        return place
    }

    /// Puts the entries in the order of their addresses: those of one page are written at once.
    package mutating func sortEntries() { phases[Phase.entries.rawValue].sort { $0.address < $1.address } }

    private mutating func add(_ write: Write, to phase: Phase, moving moves: some Sequence<PCMove>) {
        phases[phase.rawValue].append(write)
        let inside = write.address + 1..<max(write.address + 1, write.range.upperBound)
        let count = self.moves.count
        for move in moves where inside.contains(move.from) { self.moves.append(move) }
        if self.moves.count > count { hazards.append(inside) }
    }

    /// Adds a function's detour: its stub, the slot, which is new, and the jump.
    /// - Parameter replacement: where it leads.
    package mutating func append(_ detour: Detour, leadingTo replacement: Address) {
        stubs.append(detour.stub)
        append(Copy(address: detour.stub.slot, bytes: littleEndian(replacement.rawValue), purpose: .slot))
        append(
            entry: Write(
                address: detour.patchAddress, kind: .text, expected: detour.expected,
                bytes: architecture.jump(
                    from: detour.patchAddress, to: replacement, insteadOf: detour.bytes)),
            moving: detour.pcMap, from: detour.entry, to: detour.stub.address)
    }

    /// The plan that undoes this one where it has just been made: its writes swapped, the last first, and then what undoes its calls.
    ///
    /// A write without expected bytes is left out, for what stood there is not known, and so is what belongs to the one commit: each plan
    /// says itself which ledger it is made from. Threads in a stub run on and leave it; one that is found inside a jump of several
    /// instructions goes on in what the jump replaced.
    package func reversed() -> PatchPlan {
        var plan = PatchPlan(architecture: architecture)
        for phase in Phase.allCases.reversed() {
            guard let undone = phase.undone else { continue }
            for write in self[phase].reversed() {
                guard let undo = write.reversed else { continue }
                let restarts = write.kind == .text ? architecture.restarts(of: write.bytes, at: write.address) : []
                plan.append(undo, to: undone, moving: restarts)
            }
        }
        for call in (callsBefore + callsAfter).reversed() {
            if case .call(let undo) = call.undo { plan.callsAfter.append(undo) }
        }
        return plan
    }

    /// Whether `reversed` undoes all its calls: none may have kept a pointer into its memory for good.
    package var undoesCalls: Bool { (callsBefore + callsAfter).allSatisfy { $0.undo != .impossible } }

    /// How much there is of everything, to go back to: see `rewind`.
    package struct Mark: Sendable {
        fileprivate var counts: (Int, Int, Int, Int, Int, Int, Int)
        fileprivate var writes: [Int]
        fileprivate var lastCopy: Copy?
        fileprivate var callsAfter: Int
        fileprivate var releases: Int
        fileprivate var ledger: LedgerMapping?
    }

    package var mark: Mark {
        Mark(
            counts: (
                segments.count, callsBefore.count, stubs.count, thunks.count, copies.count, moves.count, hazards.count
            ), writes: phases.map(\.count), lastCopy: copies.last, callsAfter: callsAfter.count,
            releases: releases.count, ledger: ledger)
    }

    /// Takes back what was added since.
    package mutating func rewind(to mark: Mark) {
        segments.removeSubrange(mark.counts.0...)
        callsBefore.removeSubrange(mark.counts.1...)
        stubs.removeSubrange(mark.counts.2...)
        thunks.removeSubrange(mark.counts.3...)
        copies.removeSubrange(mark.counts.4...)
        if let last = mark.lastCopy { copies[mark.counts.4 - 1] = last }
        moves.removeSubrange(mark.counts.5...)
        hazards.removeSubrange(mark.counts.6...)
        for (phase, count) in mark.writes.enumerated() { phases[phase].removeSubrange(count...) }
        callsAfter.removeSubrange(mark.callsAfter...)
        releases.removeSubrange(mark.releases...)
        ledger = mark.ledger
    }
}
