import HotpatchReload

/// What a command has to say: for a person, and for a program.
package struct Report: Sendable {
    /// Lines, without a newline at the end.
    package var text: String
    /// A document.
    package var json: JSON
    /// Lines for the standard error: nothing went wrong, and nothing was found either.
    package var notices: [String]
    /// What the command exits with: `done`, or what was done in part.
    package var exitCode: ExitCode

    /// - Parameter json: the members of the document.
    package init(text: String, json: KeyValuePairs<String, JSON>, notices: [String] = [], exitCode: ExitCode = .done) {
        self.text = text
        self.json = .document(json)
        self.notices = notices
        self.exitCode = exitCode
    }
}
