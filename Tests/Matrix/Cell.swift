/// One kind of edit of one kind of declaration.
struct Cell: Sendable {
    /// What the command says to an edit.
    enum Verdict: Sendable {
        case applied
        /// It does not change what runs.
        case nothing
        /// With what the error says, which names the reason; the process is as it was.
        case refused(String)
    }

    var kind: String
    var edit: String
    /// Texts of the source, and what each becomes.
    var changes: [(String, String)]
    var verdict: Verdict
    /// What the program answers to these questions when the edit runs. All others it answers as before.
    var answers: [String: String]
    /// What the command says besides.
    var note: String?
    /// The functions that the command lists, in any order; nil where they do not matter.
    var listed: [String]?
    /// Whether some of it stays when it is reverted: the runtime keeps what was registered.
    var remains: Bool

    init(
        _ kind: String, _ edit: String, _ changes: [(String, String)], _ verdict: Verdict = .applied,
        _ answers: [String: String] = [:], note: String? = nil, listed: [String]? = nil,
        remains: Bool = false
    ) {
        (self.kind, self.edit, self.changes, self.verdict) = (kind, edit, changes, verdict)
        (self.answers, self.note, self.listed, self.remains) = (answers, note, listed, remains)
    }
}

/// Edits one upon the other, each with what the program answers then besides what it did.
struct EditSequence: Sendable {
    var name: String
    var steps: [(changes: [(String, String)], answers: [String: String])]
}

/// What came of a cell.
struct Trial {
    var name: String
    var count = 1
    var columns: [String] = []
    /// What went otherwise than it should.
    var failure: String?

    static let head = "| declaration | edit | what becomes of it | what is seen | state |\n|---|---|---|---|---|"

    var row: String {
        "| " + columns.map { $0.split(separator: "|").joined(separator: "\\|") }.joined(separator: " | ") + " |"
    }
}
