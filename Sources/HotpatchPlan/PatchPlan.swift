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
/// (copies, moves, writes: see `hp_commit_block`), and followed by the calls after.
package struct PatchPlan: Hashable, Sendable {
    package var architecture: Architecture
    /// They stay when the plan is undone: a thread may still be in one.
    package var segments: [Segment] = []
    /// Made before anything is reachable, and once, however often the commit is tried.
    package var callsBefore: [Call] = []
    /// To be in place before the first write. They stay when the plan is undone, too.
    package var stubs: [StubLayout] = []
    /// Likewise, and longer: a task may be suspended in what a thunk has entered, and return through it at any time.
    package var thunks: [AsyncThunk] = []
    package private(set) var copies: [Copy] = []
    package private(set) var moves: [PCMove] = []
    /// No return address and no saved PC may point into these while the plan is committed.
    package private(set) var hazards: [Range<Address>] = []
    /// In the order they are made.
    package var writes: [Write] = []
    /// Made once everything is in force. One that fails undoes nothing.
    package var callsAfter: [Call] = []

    package init(architecture: Architecture) { self.architecture = architecture }

    package var isEmpty: Bool {
        segments.isEmpty && callsBefore.isEmpty && stubs.isEmpty && thunks.isEmpty && copies.isEmpty && writes.isEmpty
            && callsAfter.isEmpty
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

    /// Adds a write.
    /// - Parameter moves: where threads go on that are found inside the bytes, of those that begin one of their instructions. Where there
    ///   is one, no thread may be on its way back to any byte but the first.
    package mutating func append(_ write: Write, moving moves: [PCMove] = []) { add(write, moving: moves) }

    /// Adds the write that makes a jump of an entry.
    /// - Parameter pairs: its instructions, and their copies in the stub, where threads go on.
    package mutating func append(_ write: Write, moving pairs: [PCPair], from entry: Address, to stub: Address) {
        add(write, moving: pairs.lazy.map { $0.move(entry: entry, stub: stub) })
    }

    private mutating func add(_ write: Write, moving moves: some Sequence<PCMove>) {
        writes.append(write)
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
            Write(
                address: detour.patchAddress, kind: .text, expected: detour.expected,
                bytes: architecture.jump(
                    from: detour.patchAddress, to: replacement, insteadOf: detour.bytes)),
            moving: detour.pcMap, from: detour.entry, to: detour.stub.address)
    }

    /// The plan that undoes this one where it has just been made: its writes swapped, the last first, and then what undoes its calls.
    ///
    /// A write without expected bytes is left out, for what stood there is not known. Threads in a stub run on and leave it; one that is
    /// found inside a jump of several instructions goes on in what the jump replaced.
    package func reversed() -> PatchPlan {
        var plan = PatchPlan(architecture: architecture)
        for write in writes.reversed() {
            guard let undo = write.reversed else { continue }
            let restarts = write.kind == .text ? architecture.restarts(of: write.bytes, at: write.address) : []
            plan.append(undo, moving: restarts)
        }
        for call in (callsBefore + callsAfter).reversed() {
            if case .call(let undo) = call.undo { plan.callsAfter.append(undo) }
        }
        return plan
    }

    /// How much there is of everything, to go back to: see `rewind`.
    package struct Mark: Sendable {
        fileprivate var counts: (Int, Int, Int, Int, Int, Int, Int, Int)
        fileprivate var lastCopy: Copy?
        fileprivate var callsAfter: Int
    }

    package var mark: Mark {
        Mark(
            counts: (
                segments.count, callsBefore.count, stubs.count, thunks.count, copies.count, moves.count, hazards.count,
                writes.count
            ), lastCopy: copies.last, callsAfter: callsAfter.count)
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
        writes.removeSubrange(mark.counts.7...)
        callsAfter.removeSubrange(mark.callsAfter...)
    }
}
