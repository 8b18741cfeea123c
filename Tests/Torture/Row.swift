import Glibc
import HotpatchTestSupport

/// How much of it: a row takes seconds, or minutes.
enum Length {
    case short
    case long

    func count(_ short: Int, _ long: Int) -> Int { self == .short ? short : long }
}

/// One torment.
struct Row: Sendable {
    let name: String
    let run: @Sendable (inout Rig) throws -> Figure

    init(_ name: String, run: @escaping @Sendable (inout Rig) throws -> Figure) {
        self.name = name
        self.run = run
    }
}

/// What came of it.
struct Figure {
    var tries = 0
    /// Processes that died, hung, or computed what they should not; and patchers that crashed or did not end in time.
    var harmed = 0
    var text = ""

    mutating func harm(_ what: String) {
        harmed += 1
        // The first ones tell the kind.
        if harmed <= 3 { text += (text.isEmpty ? "" : "; ") + what }
    }
}

/// What a row has to work with.
struct Rig {
    let length: Length
    let victims: String
    var generator: SeededGenerator

    init(length: Length, victims: String, seed: UInt64) {
        self.length = length
        self.victims = victims
        generator = SeededGenerator(seed: seed)
    }

    func figure(of row: Row) -> Figure {
        var rig = self
        do { return try row.run(&rig) } catch { return Figure(tries: 0, harmed: 1, text: "\(error)") }
    }

    func path(_ name: String) -> String { victims + "/" + name }

    func start(_ arguments: String...) throws -> Conversation {
        try Conversation([path(arguments[0])] + arguments.dropFirst())
    }

    mutating func random(below limit: Int) -> Int { Int.random(in: 0..<max(1, limit), using: &generator) }

    /// How many the program says were harmed: "harmed N …".
    func harmed(_ answer: String) throws -> Int {
        let words = answer.split(whereSeparator: { " :".contains($0) })
        guard words.count >= 2, words[0] == "harmed", let count = Int(words[1]) else {
            throw TestFailure("the program says \(answer)")
        }
        return count
    }
}

/// Patches and reverts a program over and over, and asks it in between.
///
/// - Parameters:
///   - refusals: whether the command may refuse.
extension Rig {
    mutating func patchOverAndOver(
        _ program: Conversation, library: String = "fix.so", times: Int, refusals: Bool = false,
        into figure: inout Figure,
        between: (inout Rig) throws -> Void = { _ in }
    ) throws {
        var refused = 0
        for _ in 0..<times {
            figure.tries += 1
            try between(&self)
            let applied = try Patcher.run("apply", path(library), "--pid", "\(program.pid)")
            switch applied.status {
            case 0:
                let reverted = try Patcher.run("revert", "--all", "--pid", "\(program.pid)")
                if reverted.status != 0 {
                    if reverted.status == 2, refusals { refused += 1 } else { figure.harm("revert: \(reverted)") }
                }
            case 2 where refusals: refused += 1
            default: figure.harm("apply: \(applied)")
            }
            let answer = try program.ask()
            if try harmed(answer) != 0 {
                figure.harm(answer)
                return
            }
        }
        if refused > 0 { figure.text += (figure.text.isEmpty ? "" : "; ") + "\(refused) refused" }
    }
}
