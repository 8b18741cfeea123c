import Calls
import Engine
import Hotpatch
import Memory
import Symbols

@main struct Commands {
    static func main() throws {
        let patch = try Patch.replace(symbol: "Calls.horn(_:)", with: { (times: Int) -> String in "silence \(times)" })
        print(horn(2))
        try look(at: patch)
        try patch.revert()
        print(reason("Calls.whistle(_:)"), reason("Calls.horn(_:)"))
        print(horn(2), Engine(tank: Tank(content: 1)).warning(at: 5) ?? .battery)
    }

    /// Members of types that Hotpatch has from other modules.
    static func look(at patch: Patch) throws {
        var options = Patch.options
        options.timeout = .seconds(5)
        try Patch.configure(options)
        let isRight =
            patch.function.demangledName.hasPrefix("Calls.horn(") && patch.function.image.isMainProgram
            && patch.replacementAddress.rawValue != 0 && Patch.SelfUse.mutated != .borrowed
            && Patch.options.timeout == .seconds(5)
        if !isRight { print(patch.function.demangledName, patch.replacementAddress, Patch.options) }
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
