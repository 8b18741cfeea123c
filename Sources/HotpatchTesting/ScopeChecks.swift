import Hotpatch
import Synchronization

/// Whether what a scope installs does what the test means it to.
struct ScopeChecks {
    /// How a function was called while it was mocked or patched.
    enum Calls {
        case seen
        /// Only where the mock does not hold.
        case elsewhere
        case none
    }

    let checks: PatchChecks
    private let site: CallSite

    init(
        _ checks: PatchChecks, _ fileID: StaticString, _ filePath: StaticString, _ line: UInt, _ column: UInt
    ) {
        self.checks = checks
        site = CallSite(fileID: fileID, filePath: filePath, line: line, column: column)
    }

    private init(_ checks: PatchChecks, _ site: CallSite) {
        self.checks = checks
        self.site = site
    }

    func without(_ others: PatchChecks) -> Self { Self(checks.subtracting(others), site) }

    /// To be asked once the function leads elsewhere.
    func begin(_ function: FunctionSymbol, _ what: String) throws(PatchError) {
        guard checks.contains(.copies), function.image.isMainProgram else { return }
        let copies = try Self.copies(of: function)
        guard !copies.isEmpty else { return }
        site.record(
            "\(function.demangledName) has copies, which the \(what) does not reach: \(list(copies)). Calls may run these. "
                + "Build without optimisation, or mark the function @inline(never); or say checks: .calls where they do not matter."
        )
    }

    /// To be asked where the scope ended without an error.
    func end(_ function: FunctionSymbol, _ what: String, _ calls: Calls) throws(PatchError) {
        guard checks.contains(.calls) else { return }
        let name = function.demangledName
        let mend = "Where no call is expected, say checks: .copies."
        switch calls {
        case .seen: return
        case .elsewhere:
            site.record(
                "the \(what) of \(name) never ran: the function was called only where it does not hold, in another task, thread or "
                    + "queue. Call it in the task or its children, or use withPatch. \(mend)")
        case .none:
            var reason = ""
            let copies = try Self.copies(of: function)
            if !copies.isEmpty {
                reason = " It has copies, which calls may have run: \(list(copies))."
            } else if Self.isAccessor(name) {
                reason =
                    " Of a stored property, code of the same module reads and writes the memory itself: make it computed, or mock "
                    + "what uses it."
            } else {
                reason = " Callers may have it inlined, or call another of the name."
            }
            site.record("the \(what) of \(name) never ran: nothing called the function.\(reason) \(mend)")
        }
    }

    /// The copies of each function that was asked for. To find them, all symbols of its image are looked through.
    private static let known = Mutex<[FunctionSymbol: [UnreachedCopy]]>([:])

    private static func copies(of function: FunctionSymbol) throws(PatchError) -> [UnreachedCopy] {
        if let copies = known.withLock({ $0[function] }) { return copies }
        let copies = try Patch.unreachedCopies(of: function).copies
        known.withLock { $0[function] = copies }
        return copies
    }

    private static func isAccessor(_ name: String) -> Bool {
        [".getter : ", ".setter : "].contains { ending in
            name.utf8.indices.contains { name.utf8[$0...].starts(with: ending.utf8) }
        }
    }

    private func list(_ copies: [UnreachedCopy]) -> String {
        copies.prefix(5).map(\.description).joined(separator: "; ")
            + (copies.count > 5 ? "; and \(copies.count - 5) more" : "")
    }
}
