import CHotpatchVictims
import Glibc
import Hotpatch

/// A program that patches itself when told to, for tests that look at it from outside. Answers each line with a line.
@main
struct FromCode {
    static func main() {
        alarm(120)  // whatever happens to the test
        say("ready")
        var patches: [Patch] = []
        while let line = readLine() {
            do {
                switch line {
                case "patch":
                    patches.append(try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract"))
                    say("patch \(patches.count)")
                case "ask": say("add(6, 7) = \(victim_add(6, 7))")
                case "original":
                    typealias Add = @convention(c) (Int32, Int32) -> Int32
                    let original = try Patch.original(symbol: "victim_add", as: Add.self)
                    say("original \(original(6, 7))")
                case "in force": say(try patches.map { "\(try $0.isInForce)" }.joined(separator: " "))
                case "revert all":
                    try Patch.revertAll()
                    say("reverted")
                case "storm":
                    Storm.begin()
                    say("storming")
                case "calm": say(Storm.end())
                default: say("what?")
                }
            } catch { say("error: \(error)") }
        }
    }
}

/// A thread that patches and reverts without a pause, beside one that sleeps, for which threads are traced (Scenarios/Waits.swift).
enum Storm {
    nonisolated(unsafe) private static let isOver = word()
    nonisolated(unsafe) private static let rounds = word()
    nonisolated(unsafe) private static let wrong = word()
    nonisolated(unsafe) private static var problem = ""
    nonisolated(unsafe) private static var thread = pthread_t()

    private static func word() -> UnsafeMutablePointer<Int> {
        let word = UnsafeMutablePointer<Int>.allocate(capacity: 1)
        word.initialize(to: 0)
        return word
    }

    static func begin() {
        var sleeper = pthread_t()
        pthread_create(
            &sleeper, nil,
            { _ in
                while true { sleep(1) }
            }, nil)
        pthread_create(
            &thread, nil,
            { _ in
                do {
                    while victim_load(Storm.isOver) == 0 {
                        let patch = try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
                        if victim_add(6, 7) != -1 { victim_fetch_add(Storm.wrong, 1) }
                        try patch.revert()
                        if victim_add(6, 7) != 13 { victim_fetch_add(Storm.wrong, 1) }
                        victim_fetch_add(Storm.rounds, 1)
                    }
                } catch { Storm.problem = "\(error)" }
                return nil
            }, nil)
        while victim_load(rounds) < 3 && problem.isEmpty { usleep(1000) }
    }

    static func end() -> String {
        victim_store(isOver, 1)
        pthread_join(thread, nil)
        return "wrong \(victim_load(wrong)) rounds \(victim_load(rounds) > 3) \(problem)"
    }
}

/// Prints a line at once.
func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(1, bytes, bytes.count)
}
