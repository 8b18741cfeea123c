import Glibc
import HotpatchTestSupport

/// A program that is watched, in a folder of its own, whose sources are edited.
final class Watched {
    let folder: String
    let conversation: Conversation
    /// Lines that were read while others were waited for.
    private var seen: [String] = []

    /// - Parameters:
    ///   - folder: holds what is watched.
    ///   - rights: what gives the watcher others than the test has.
    init(_ folder: String, _ options: [String] = [], command: [String], rights: [String] = []) throws {
        self.folder = folder
        let command = ["\(products)/swift-hotpatch", "watch", "--json"] + options + ["--"] + command
        conversation = try Conversation(
            ["sh", "-c", "cd \"$0\" && exec \"$@\"", folder] + rights + command, greeting: nil)
    }

    /// The next event of one of these names. Others before it are passed over.
    func event(_ names: String..., seconds: Int = 120) throws -> Parsed {
        let deadline = time(nil) + seconds
        while time(nil) < deadline {
            let line = try next(seconds)
            guard line.hasPrefix("{") else { continue }
            let event = Parsed(line + "\n")
            if names.contains(where: { event["event"] == .string($0) }) { return event }
        }
        throw TestFailure("no event \(names), after \(seen.joined(separator: "\n"))")
    }

    private func next(_ seconds: Int) throws -> String {
        do {
            let line = try conversation.readLine(seconds: seconds)
            seen.append(line)
            return line
        } catch { throw TestFailure("\(error), after \(seen.joined(separator: "\n"))") }
    }

    func ask(_ question: String) throws -> String {
        try conversation.say(question)
        while true {
            let line = try next(60)
            if line.hasPrefix("= ") { return String(line.dropFirst(2)) }
        }
    }

    /// Replaces texts of a file, each of which it has once, as an editor saves: another file takes its place.
    func save(_ file: String, _ edits: (old: String, new: String)...) throws { try save(file, edits) }

    func save(_ file: String, _ edits: [(old: String, new: String)]) throws {
        var text = String(decoding: try Workshop.bytes(of: "\(folder)/\(file)"), as: UTF8.self)
        for (old, new) in edits {
            let parts = text.components(of: old)
            guard parts.count == 2 else { throw TestFailure("\(file) has \(old) \(parts.count - 1) times") }
            text = parts[0] + new + parts[1]
        }
        try write(text, to: file)
    }

    /// The file has a time before any build, as a copy that is put back has.
    func saveAsOld(_ file: String, _ edit: (old: String, new: String)) throws {
        let aside = "\(file).aside"
        try runTool("cp", "\(folder)/\(file)", "\(folder)/\(aside)")
        try save(aside, [edit])
        try runTool("touch", "-d", "yesterday", "\(folder)/\(aside)")
        guard rename("\(folder)/\(aside)", "\(folder)/\(file)") == 0 else {
            throw TestFailure("cannot replace \(file)")
        }
    }

    func write(_ text: String, to file: String) throws {
        let path = "\(folder)/\(file)"
        guard let stream = fopen(path + "~", "w") else { throw TestFailure("cannot write \(path)") }
        fputs(text, stream)
        fclose(stream)
        guard rename(path + "~", path) == 0 else { throw TestFailure("cannot replace \(path)") }
    }

    /// Gives a folder of sources back what it was. What nobody has edited stays as it is, and need not be compiled again.
    static func restore(_ folder: String, as original: String) throws {
        let script = """
            cd "$1" && find . -type f ! -exec test -e "$0/{}" \\; -delete
            cd "$0" && find . -type f ! -exec cmp -s {} "$1/{}" \\; -exec cp --parents {} "$1" \\; && chmod -R u+w "$1"
            """
        try runTool("sh", "-ec", script, original, folder)
    }

    /// Asks until the answer is this one.
    func wait(for answer: String, to question: String, seconds: Int = 120) throws {
        let deadline = time(nil) + seconds
        var last = ""
        while time(nil) < deadline {
            last = try ask(question)
            if last == answer { return }
            usleep(5_000)
        }
        throw TestFailure("\(question) is answered with \(last), not \(answer), after \(seen.joined(separator: "\n"))")
    }

    /// Ends both.
    func finish() -> Int32 {
        kill(conversation.pid, SIGTERM)
        return conversation.finish(seconds: 20)
    }
}
