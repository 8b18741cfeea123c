import Calls
import Engine
import Hotpatch
import Memory

@main struct Commands {
    static func main() throws {
        let patch = try Patch.replace(symbol: "Calls.horn(_:)", with: { (times: Int) -> String in "silence \(times)" })
        print(horn(2))
        try patch.revert()
        print(reason("Calls.whistle(_:)"), reason("Calls.horn(_:)"))
        print(horn(2), Engine(tank: Tank(content: 1)).warning(at: 5) ?? .battery)
    }

    /// Why a function cannot be replaced by a closure of a type that is no function's here, as a program reads it.
    static func reason(_ name: String) -> String {
        do {
            try Patch.replace(symbol: name, with: { (_: Float) -> Float in 0 })
            return "replaced"
        } catch let error as PatchError where error.code == .functionNotFound {
            return "unknown"
        } catch let error as PatchError {
            switch error.code {
            case .closureType, .closure: return "\(error.code), \(error.outcome)"
            default: return error.message
            }
        } catch {
            return "\(error)"
        }
    }
}
