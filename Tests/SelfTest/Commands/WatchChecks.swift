import Glibc
import HotpatchTestSupport

/// A program in C whose source is saved while it runs: the watcher, the supervisor and the loop are those of the command.
///
/// There is no compiler in this machine. What stands for one takes the object that the source names: Tests/arm64/objects.sh has made it.
func watchesSources() throws {
    let folder = try TemporaryDirectory("watched")
    func save(_ text: String, as name: String) throws {
        let path = "\(folder.path)/\(name)"
        try write(Array(text.utf8), to: path + "~")
        guard rename(path + "~", path) == 0 else { throw TestFailure("cannot replace \(path)") }
    }
    try save(
        """
        #!/bin/sh
        read -r object <"$(dirname "$0")/work.c"
        while [ "$1" != -o ]; do shift; done
        cp "\(victim(""))$object" "$2"

        """, as: "compiler")
    try save("work-plain.o\n", as: "work.c")
    try save(
        """
        [{"directory": "\(folder.path)", "file": "work.c", "output": "work.o",
          "arguments": ["\(folder.path)/compiler", "-g", "-O0", "-c", "work.c", "-o", "work.o"]}]
        """, as: "compile_commands.json")
    try runTool("cp", victim("work-plain.o"), "\(folder.path)/work.o")
    try runTool("cp", victim("work-plain"), "\(folder.path)/worker")

    let watch = try Conversation(
        ["sh", "-c", "cd \"$0\" && exec \"$@\"", folder.path, products + "/HotpatchSelfTest", "watch", "./worker"],
        greeting: nil)
    var unread: [String] = []
    /// The next line that the program says, or the next event of this name. The order of what two processes say is nobody's.
    func next(_ event: String? = nil) throws -> String {
        func isWanted(_ line: String) -> Bool {
            // Events begin lines, also where the program has ended one.
            guard let event else { return !line.isEmpty && !line.hasPrefix("{") }
            return line.contains("\"event\":\"\(event)\"")
        }
        while true {
            if let index = unread.firstIndex(where: isWanted) { return unread.remove(at: index) }
            do { unread.append(try watch.readLine(seconds: 120)) } catch {
                throw TestFailure("no \(event ?? "answer"): \(error), after \(unread)")
            }
        }
    }
    func expectAnswer(_ expected: String, line: Int = #line) throws {
        try watch.say()
        let answer = try next()
        try expect(answer == expected, "\(answer), after \(unread)", line: line)
    }
    let greeting = try next()
    try expect(greeting == "ready", greeting)
    _ = try next("ready")
    try expectAnswer("20 1 one")
    try expectAnswer("22 2 two")
    try save("work-plain-2.o\n", as: "work.c")
    _ = try next("applied")
    try expectAnswer("1330 3 THREE")
    // As it was built: the program gets back what it had.
    try save("work-plain.o\n", as: "work.c")
    _ = try next("restored")
    try expectAnswer("22 4 four")
    kill(watch.pid, SIGTERM)
    let status = watch.finish(seconds: 60)
    try expect(status == -SIGTERM, "it ended with \(status), after \(unread)")
}
