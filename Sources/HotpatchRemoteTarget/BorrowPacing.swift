import HotpatchProcFS

/// When a thread that could not be borrowed is to be stopped again.
///
/// A stop makes some waits begin anew, and what cannot be borrowed in one place cannot a moment later either: so a thread in such
/// a wait is stopped some ten times in ten seconds, at growing distances, and one that sleeps where it did is left alone for
/// longer and longer. One that runs may be anywhere the next time.
struct BorrowPacing {
    private struct Past {
        /// Stops that have made a wait begin anew.
        var rearmed = 0
        /// Stops in the same place.
        var repeated = 0
        var place: Place?
        var notBefore: UInt64 = 0
    }

    /// Where a thread sleeps.
    private struct Place: Equatable {
        var call: Int
        var pc: UInt64?
        var sp: UInt64?
    }

    private static let millisecond: UInt64 = 1_000_000
    private var past: [Int32: Past] = [:]

    func isDue(_ tid: Int32, _ glance: TaskGlance) -> Bool {
        guard let past = past[tid] else { return true }
        if past.rearmed == 0, Self.place(glance) != past.place { return true }
        return Deadline.now >= past.notBefore
    }

    /// A thread has been stopped, and cannot be borrowed.
    /// - Parameter hasRearmed: the stop has made its wait begin anew, or fail.
    mutating func note(_ tid: Int32, _ glance: TaskGlance, hasRearmed: Bool) {
        let place = Self.place(glance)
        var past = past[tid] ?? Past()
        past.repeated = place != nil && place == past.place ? past.repeated + 1 : 0
        past.rearmed += hasRearmed ? 1 : 0
        past.place = place
        var gap = place == nil ? 0 : Self.millisecond << UInt64(min(past.repeated, 10))
        if past.rearmed > 0 { gap = max(gap, 25 * Self.millisecond << UInt64(min(past.rearmed - 1, 20))) }
        past.notBefore = Deadline.now.addingSaturating(gap)
        self.past[tid] = past
    }

    private static func place(_ glance: TaskGlance) -> Place? {
        glance.systemCall.map { Place(call: $0, pc: glance.pc, sp: glance.sp) }
    }
}
