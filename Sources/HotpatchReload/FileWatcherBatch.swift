/// The files that something has happened to, until it has been quiet for a moment. Pure: the time is told.
struct FileWatcherBatch {
    /// Nanoseconds without an event after which the files are taken.
    var quiet: UInt64 = 0
    /// The same where a file has gone: an editor may be about to put the new one in its place.
    var quietAfterRemoval: UInt64 = 0
    /// Nanoseconds after the first event, at which the files are taken without a quiet moment.
    var longest: UInt64 = 0
    /// Files that nothing has happened before are taken at once; those that follow in the same burst, when it is quiet.
    var takesFirstAtOnce = false

    /// How much is known of a file.
    enum Suspicion {
        /// Events were lost: it may have changed.
        case possible
        /// An event was about it.
        case certain
    }

    private var pending: [String: Suspicion] = [:]
    private var beingWritten: Set<String> = []
    private var gone: Set<String> = []
    /// The first event about those that are pending, the first of the burst, and the last.
    private var first: UInt64 = 0
    private var begun: UInt64 = 0
    private var last: UInt64 = 0
    /// Nothing of the burst was taken yet.
    private var isWhole = false

    private mutating func note(_ path: String, _ suspicion: Suspicion, at now: UInt64) {
        if pending.isEmpty {
            first = now
            if last == 0 || now >= last + quiet { (begun, isWhole) = (now, true) }
        }
        last = now
        if pending[path] != .certain { pending[path] = suspicion }
    }

    /// A file is complete: closed by its writer, moved here, or found.
    mutating func completed(_ path: String, _ suspicion: Suspicion = .certain, at now: UInt64) {
        note(path, suspicion, at: now)
        beingWritten.remove(path)
        gone.remove(path)
    }

    mutating func removed(_ path: String, at now: UInt64) {
        note(path, .certain, at: now)
        beingWritten.remove(path)
        gone.insert(path)
    }

    /// A file has been made or written to, and will be closed.
    mutating func writing(_ path: String, at now: UInt64) {
        beingWritten.insert(path)
        if pending[path] != nil { last = now }
    }

    /// After events were lost, a file that seemed open may be closed.
    mutating func forgetWriters() { beingWritten = [] }

    func isPending(_ path: String) -> Bool { pending[path] != nil }

    /// A file does not count any more.
    mutating func forget(_ path: String) {
        pending[path] = nil
        gone.remove(path)
        beingWritten.remove(path)
    }

    /// When the files are to be taken; nil where there are none.
    var deadline: UInt64? {
        guard !pending.isEmpty else { return nil }
        if takesFirstAtOnce, isWhole, gone.isEmpty, beingWritten.isEmpty { return first }
        let bound = first + longest
        if pending.keys.contains(where: beingWritten.contains) { return bound }
        return min(bound, last + (gone.isEmpty ? quiet : quietAfterRemoval))
    }

    /// The files, if it is time. One that is open again is left out: it comes back when it is closed.
    mutating func take(at now: UInt64) -> [String: Suspicion] {
        guard let deadline, now >= deadline else { return [:] }
        defer {
            pending = [:]
            gone = []
            isWhole = false
        }
        return pending.filter { !beingWritten.contains($0.key) }
    }
    /// No file is about to follow those that were taken: it has been quiet, or has not been for long.
    func isSettled(at now: UInt64) -> Bool {
        now >= begun + longest || pending.isEmpty && (last == 0 || now >= last + quiet)
    }

    /// When there is something to take, or what was taken is settled; nil where both is so.
    func wake(at now: UInt64) -> UInt64? {
        deadline ?? (takesFirstAtOnce && !isSettled(at: now) ? min(begun + longest, last + quiet) : nil)
    }
}
