import HotpatchEngine
import HotpatchPlan

/// What is said of an edit, and needs nobody's attention.
enum WatchNotes {
    /// Whoever edits can do nothing about it, or need not.
    /// - Parameter summary: of the commit that it is said of.
    static func isDetail(_ note: String, _ summary: CommitSummary?) -> Bool {
        note.hasSuffix(PlannedPatch.uncheckedJump) || isAutoclosure(note)
            || summary.flatMap(interruptionText).map { $0 == note } ?? false
    }

    /// What an operator or a function took and calls itself, in nearly all cases at once: `a ?? b`. What a method became that is kept as a
    /// value is an implicit closure in another one.
    private static func isAutoclosure(_ note: String) -> Bool {
        guard note.hasPrefix("implicit closure in "), note.contains(" is gone: kept as it was where it is stored")
        else {
            return false
        }
        return !note.dropFirst("implicit closure in ".count).hasPrefix("implicit closure")
    }

    /// A text about objects that nobody has seen, in a folder of the watcher's: about their sources instead.
    static func aboutSources(_ text: String, folder: String) -> String {
        var result = ""
        var rest = Substring(text)
        while let start = rest.indices.first(where: { rest[$0...].hasPrefix(folder + "/") }) {
            result += rest[..<start]
            let inside = rest[start...].dropFirst(folder.count).prefix { !" ,:;\n".contains($0) }
            let path = rest[start..<inside.endIndex]
            guard let name = path.split(separator: "/").last, name.hasSuffix(".o") else {
                result += path
                rest = rest[path.endIndex...]
                continue
            }
            result += name.dropLast(".o".count)
            rest = rest[path.endIndex...]
        }
        // Who edits has no objects to give.
        return (result + rest).split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let end = line.indices.first { line[$0...].hasPrefix(" Give the object that the program was linked from") }
            return end.map { line[..<$0] } ?? line
        }.joined(separator: "\n")
    }
}
