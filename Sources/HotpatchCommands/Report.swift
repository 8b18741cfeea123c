import HotpatchReload

/// What a command has to say: for a person, and for a program.
public struct Report: Sendable {
    /// Lines, without a newline at the end.
    public var text: String
    /// A document.
    public var json: JSON
    /// Lines for the standard error: nothing went wrong, and nothing was found either.
    public var notices: [String]
    /// What the command exits with: `done`, or what was done in part.
    public var exitCode: ExitCode

    /// - Parameter json: the members of the document.
    public init(text: String, json: KeyValuePairs<String, JSON>, notices: [String] = [], exitCode: ExitCode = .done) {
        self.text = text
        self.json = .document(json)
        self.notices = notices
        self.exitCode = exitCode
    }
}
