import CVictims
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
                    let original = try Patch.callOriginal(symbol: "victim_add", as: Add.self)
                    say("original \(original(6, 7))")
                case "in force": say(try patches.map { "\(try $0.isInForce)" }.joined(separator: " "))
                case "revert all":
                    try Patch.revertAll()
                    say("reverted")
                default: say("what?")
                }
            } catch { say("error: \(error)") }
        }
    }
}

/// Prints a line at once.
func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(1, bytes, bytes.count)
}
