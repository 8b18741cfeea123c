extension Duration {
    /// In whole milliseconds: 292 years at most.
    package var milliseconds: Int { nanoseconds / 1_000_000 }

    /// In nanoseconds, at least one: 292 years at most.
    package var nanoseconds: Int {
        let (seconds, attoseconds) = components
        let (whole, overflow) = Int(clamping: seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, isMore) = whole.addingReportingOverflow(Int(attoseconds / 1_000_000_000))
        guard self > .zero else { return 1 }
        return overflow || isMore ? .max : max(sum, 1)
    }
}
