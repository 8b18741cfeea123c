import CHotpatchLinux

/// What becomes of code of a linked object.
package enum CodeFate: Hashable, Sendable {
    /// It runs, or whoever goes back to it has it run.
    case entered
    /// To be gone back to, though newer code runs.
    case kept
    /// For good, and why.
    case stays(String)
    /// Until nothing leads into it, and what does.
    case waits(String)
    /// Nothing leads into it: it waits for the next patch, or revert, that frees code.
    case free
    case freed
}

/// What becomes of the code of linked objects that is no longer entered.
package struct CodeFates {
    private let ledger: LedgerState
    /// What leads into dead code, by the numbers of its patches; nil where nothing was found.
    private var reached: [UInt32: String?] = [:]
    /// Why none could be searched for.
    private var failure: String?

    /// For a look, not for a proof: the process runs.
    private static let nanoseconds: UInt64 = 500_000_000

    /// - Parameters:
    ///   - pid: whose the ledger is.
    ///   - longest: nanoseconds for which threads may be held to search for it.
    ///   - hint: what to do about that.
    ///   - search: searches the process, while it runs, until some time on the monotonic clock, in nanoseconds.
    package init(
        _ ledger: LedgerState, of pid: Int32, longest: UInt64, hint: String = "",
        search: (MemorySearch, _ until: UInt64) throws -> Void = { try $0.run(until: $1) }
    ) {
        self.ledger = ledger
        let dead = ledger.deadCode
        guard !dead.isEmpty else { return }
        for code in dead { reached.updateValue(nil, forKey: code.owner) }
        do {
            let memory = try MemorySearch(for: dead.map(\.searched), of: pid)
            let started = linux_monotonic_time()
            try search(memory, started + Self.nanoseconds)
            for (index, what) in memory.found { reached[dead[index].owner] = what }
            if linux_monotonic_time() &- started > longest { failure = "\(SearchIsImpossible.tooLong)\(hint)" }
        } catch { failure = "\(error)" }
    }

    package func fate(of patch: UInt32) -> CodeFate {
        guard let record = ledger.disposal(of: patch) else { return .entered }
        if record.isDisposedOf { return .freed }
        if let reached = reached[patch] {
            if let why = reached ?? failure { return .waits(why) }
            return .free
        }
        let known = ledger.patch(patch)
        if let known, known.state != .reverted {
            if ledger.depth(of: known) == 0 { return .entered }
            if record.disposal.obstacle.isEmpty { return .kept }
        }
        if !record.disposal.obstacle.isEmpty { return .stays(record.disposal.obstacle) }
        return .waits("later code refers to it")
    }
}

/// What a patch has taken of the process's memory, in bytes: whole pages.
package struct LinkedSizes: Hashable, Sendable {
    package var (code, constants, data) = (0, 0, 0)

    /// Code that is gone takes nothing.
    package init(_ ledger: LedgerState, of patch: UInt32) {
        let isGone = ledger.disposal(of: patch)?.isDisposedOf == true
        for segment in ledger.segments(of: patch) {
            code &+= isGone ? 0 : segment.codeSize
            constants &+= segment.constantsSize
            data &+= segment.dataSize
        }
    }
}
