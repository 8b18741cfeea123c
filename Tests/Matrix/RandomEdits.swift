import Glibc
import HotpatchTestSupport

/// One random edit after another of a program that runs, while 64 tasks and 8 threads call what is edited. After each, every function
/// returns what was written last, no call has ever returned what is another function's, and nothing that was counted is lost.
struct RandomEdits {
    let count: Int
    let seed: UInt64

    func run() -> Trial {
        var trial = Trial(name: "random edits, SEED=\(seed)")
        do {
            trial.count = try edit()
        } catch { trial.failure = "\(error)" }
        return trial
    }

    private func edit() throws -> Int {
        let directory = try TemporaryDirectory("edits")
        var generator = SeededGenerator(seed: seed)
        var text = EditedText()
        let build = try Build(.swift, text.source, main: EditedText.main, in: directory.path)
        let victim = try Conversation(build.program)
        let pid = "\(victim.pid)"
        var base = build.objects
        var asked = 0
        var (calls, sum) = (0, 0)

        func check(_ moment: String) throws {
            asked += 1
            let words = try victim.ask("values", seconds: 60).split(separator: " ").compactMap { Int($0) }
            let (values, rest) = (words.prefix(EditedText.count), words.dropFirst(EditedText.count))
            guard Array(values) == text.values else {
                throw TestFailure("the functions return \(Array(values)), not \(text.values), \(moment)")
            }
            // What was counted: questions, wrong results, calls, calls of the actor.
            let counts = Array(rest)
            guard counts.count == 4, counts[0] == asked, counts[1] == 0, counts[2] > calls, counts[3] > sum else {
                throw TestFailure(
                    "questions, wrong results, calls and calls of the actor are \(counts), and were \(asked - 1), 0, "
                        + "\(calls), \(sum), \(moment)")
            }
            (calls, sum) = (counts[2], counts[3])
        }

        try check("at first")
        let first = text
        for number in 1...count {
            let changes = text.change(&generator)
            let objects = try build.compile(text.source, as: "\(number)")
            let result = try apply(objects, base: base, victim.pid)
            let moment = "after edit \(number) (\(changes)): \(result)"
            guard result.status == 0 else { throw TestFailure("it is refused, \(moment)") }
            // What changes nothing is not what runs.
            if result.output.hasPrefix("patch ") { base = objects }
            try check(moment)
        }
        let reverted = try hotpatch("revert", "--all", "--pid", pid)
        guard reverted.status == 0 else { throw TestFailure("cannot revert: \(reverted)") }
        text = first
        try check("after all was reverted")
        return count
    }
}

/// The source that is edited: functions of several kinds, each of which adds a number to its argument. The numbers of each begin with its
/// own thousand, so that what another has computed is known.
private struct EditedText {
    /// How many functions are called.
    static let count = 12

    private enum Kind: Int, CaseIterable {
        case global, helped, method, actor, async, stored, nested, generic, constant, virtual
    }

    private var kinds: [Kind] = Kind.allCases + [.stored, .stored]
    private var numbers = (0..<count).map { $0 * 1000 }
    /// Functions whose number comes from a function that was added; and from a type that was.
    private var isHelped = (0..<count).map { [0, 2, 4, 7].contains($0) }
    private var isTyped = [Bool](repeating: false, count: count)
    /// The order in which closures are stored; those that are not functions are just there.
    private var closures = [5, 10, 11]
    private var comments = 0
    private var edits = 0

    /// What each returns for 0.
    var values: [Int] { numbers }

    // MARK: Edits

    /// One to three edits.
    mutating func change(_ generator: inout SeededGenerator) -> String {
        edits += 1
        var done: [String] = []
        var mayEditClosures = true
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            let index = Int.random(in: 0..<Self.count, using: &generator)
            switch Int.random(in: 0..<12, using: &generator) {
            case 0:
                comments += 1
                done.append("a comment")
            case 1 where mayEditClosures:
                // Which of several new ones an old one has become, nobody can tell: one edit of closures at a time.
                closures.insert(100 + edits, at: Int.random(in: 0...closures.count, using: &generator))
                mayEditClosures = false
                done.append("a closure is inserted")
            case 2 where mayEditClosures:
                let other = Int.random(in: 0..<closures.count, using: &generator)
                closures.swapAt(Int.random(in: 0..<closures.count, using: &generator), other)
                mayEditClosures = false
                done.append("closures are swapped")
            case 3 where mayEditClosures && closures.contains { $0 >= 100 }:
                closures.remove(at: closures.lastIndex { $0 >= 100 }!)
                mayEditClosures = false
                done.append("a closure is removed")
            case 4 where kinds[index] != .stored && kinds[index] != .constant:
                isHelped[index].toggle()
                done.append("function \(index) is \(isHelped[index] ? "helped" : "not helped")")
            case 5 where kinds[index] != .stored && kinds[index] != .constant:
                isTyped[index].toggle()
                done.append("function \(index) has \(isTyped[index] ? "a" : "no") type of its own")
            default:
                if kinds[index] == .stored {
                    guard mayEditClosures else { continue }
                    mayEditClosures = false
                }
                numbers[index] = index * 1000 + Int.random(in: 1..<1000, using: &generator)
                done.append("function \(index) adds \(numbers[index])")
            }
        }
        return done.joined(separator: ", ")
    }

    // MARK: Text

    private func result(_ index: Int, _ argument: String = "n") -> String {
        if isTyped[index] {
            return "\(argument) + ((Own\(index)(number: \(numbers[index])) as Any as? any Numbered)?.value() ?? -1)"
        }
        return argument + (isHelped[index] ? " + help\(index)()" : " + \(numbers[index])")
    }

    var source: String {
        var lines = [
            "nonisolated(unsafe) var state = 0", "let bank = Bank()", "let routes = makeRoutes(1)",
            "nonisolated(unsafe) let animal: Animal = Dog()", "protocol Numbered { func value() -> Int }",
        ]
        lines += (0..<comments).map { "// \($0)" }
        for index in 0..<Self.count {
            if isHelped[index] { lines.append("private func help\(index)() -> Int { \(numbers[index]) }") }
            if isTyped[index] {
                lines.append("private struct Own\(index): Numbered { var number: Int; func value() -> Int { number } }")
            }
        }
        lines += [
            "func f0(_ n: Int) -> Int { \(result(0)) }", "private func private1(_ n: Int) -> Int { \(result(1)) }",
            "func f1(_ n: Int) -> Int { private1(n) }",
            "final class Tool: Sendable { func f2(_ n: Int) -> Int { \(result(2)) } }", "let tool = Tool()",
            "actor Bank { var calls = 0; func f3(_ n: Int) -> Int { calls += 1; return \(result(3)) } }",
            "func f4(_ n: Int) async -> Int { await Task.yield(); return \(result(4)) }",
            "func f6(_ n: Int) -> Int { func inner(_ m: Int) -> Int { \(result(6, "m")) }; return inner(n) }",
            "func f7<T: BinaryInteger>(_ n: T) -> Int { \(result(7, "Int(n)")) }", "let constant = \(numbers[8])",
            "func f8(_ n: Int) -> Int { n + constant }", "class Animal { func f9(_ n: Int) -> Int { -1 } }",
            "class Dog: Animal { override func f9(_ n: Int) -> Int { \(result(9)) } }",
            "func makeRoutes(_ one: Int) -> [String: @Sendable (Int) async -> Int] {",
            "    var routes: [String: @Sendable (Int) async -> Int] = [:]",
        ]
        for closure in closures {
            // Some of them await, some capture.
            let body =
                closure >= 100
                ? "n - \(closure)" : closure == 10 ? "await later(n) + \(numbers[10])" : "n * one + \(numbers[closure])"
            lines.append("    routes[\"\(closure)\"] = { n in \(body) }")
        }
        lines += [
            "    return routes", "}", "func later(_ n: Int) async -> Int { n }",
            "func call(_ index: Int, _ n: Int) -> Int {", "    switch index {", "    case 0: return f0(n)",
            "    case 1: return f1(n)", "    case 2: return tool.f2(n)", "    case 6: return f6(n)",
            "    case 7: return f7(n)", "    case 8: return f8(n)", "    case 9: return animal.f9(n)",
            "    default: return n + index * 1000", "    }", "}",
            "func callAsync(_ index: Int, _ n: Int) async -> Int {", "    switch index {",
            "    case 3: return await bank.f3(n)", "    case 4: return await f4(n)",
            "    case 5, 10, 11: return await routes[\"\\(index)\"]!(n)", "    default: return call(index, n)", "    }",
            "}",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    /// Calls them from tasks and threads, and says what they return.
    static let main = """
        import Glibc
        import Synchronization

        let wrong = Atomic<Int>(0)
        let calls = Atomic<Int>(0)
        @Sendable func check(_ index: Int, _ n: Int, _ result: Int) {
            calls.add(1, ordering: .relaxed)
            if (result - n) / 1000 != index { wrong.add(1, ordering: .relaxed) }
        }
        // Closures at the top level belong to the main actor.
        func start() {
        for _ in 0..<8 {
            var thread = pthread_t()
            pthread_create(&thread, nil, { argument in
                while true {
                    for index in 0..<\(count) { check(index, 7, call(index, 7)) }
                    usleep(2000)
                }
            }, nil)
        }
        for number in 0..<64 {
            Task.detached {
                while true {
                    for index in 0..<\(count) { check(index, number, await callAsync(index, number)) }
                    try? await Task.sleep(nanoseconds: 20_000_000)
                }
            }
        }
        }
        start()
        print("ready")
        fflush(nil)
        while readLine() != nil {
            state += 1
            // Each is called at least once between two questions.
            let before = calls.load(ordering: .relaxed)
            while calls.load(ordering: .relaxed) < before + 10 { usleep(1000) }
            var words: [Int] = []
            for index in 0..<\(count) { words.append(await callAsync(index, 0)) }
            words += [state, wrong.load(ordering: .relaxed), calls.load(ordering: .relaxed), await bank.calls]
            print(words.map(String.init).joined(separator: " "))
            fflush(nil)
        }
        """
}
