import HotpatchReload

/// What was saved before and is not in the program: what is saved now is compiled with it first, for they may belong together, and then,
/// where that is refused, without it.
extension WatchLoop {
    /// Files that are not compiled, and are read as they run.
    struct Withheld {
        enum Reason { case compiler, program }

        var files: Set<String>
        var reason: Reason
        /// What is said where what is saved now is refused alone, too.
        var refusal: TerminalEvent
        /// When the compilation of all of them began, in nanoseconds.
        var since: UInt64
    }

    /// Compiles what was saved last without what was saved before it.
    /// - Parameter refusal: what has come of all of it together.
    /// - Returns: false where nothing was saved before.
    func compileAlone(_ finished: Compiling, after refusal: TerminalEvent, because reason: Withheld.Reason) -> Bool {
        let waiting = finished.files.subtracting(finished.saved)
        guard let program, finished.withheld == nil, !waiting.isEmpty, !finished.saved.isEmpty else { return false }
        // A save that ends this compilation begins one of what waits, too.
        unfinished.formUnion(waiting)
        compile(
            finished.saved, of: program,
            withholding: Withheld(files: waiting, reason: reason, refusal: refusal, since: finished.since))
        return compiling != nil
    }

    /// Which files are not what was saved of them, and why.
    func sayWithheld(_ withheld: Withheld) {
        let names = withheld.files.map(Self.name).sorted()
        let shown = names.count <= 4 ? names : names.prefix(3) + ["\(names.count - 3) more"]
        let list = (shown.count > 1 ? shown.dropLast().joined(separator: ", ") + " and " : "") + (shown.last ?? "")
        let why =
            switch withheld.reason {
            case .compiler: "what was saved before does not compile"
            case .program: "what was saved before cannot go into the program that runs"
            }
        report.write(.notice("\(list) \(names.count == 1 ? "is" : "are") not live yet: \(why)"))
    }
}
