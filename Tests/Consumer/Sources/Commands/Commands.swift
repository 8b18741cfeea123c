import Calls
import Engine
import Hotpatch
import Memory

@main struct Commands {
    static func main() throws {
        let patch = try Patch.replace(symbol: "Calls.horn(_:)", with: { (times: Int) -> String in "silence \(times)" })
        print(horn(2))
        try patch.revert()
        print(horn(2), Engine(tank: Tank(content: 1)).warning(at: 5) ?? .battery)
    }
}
