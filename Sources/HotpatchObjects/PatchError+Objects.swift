import HotpatchELF
import HotpatchEngine
import HotpatchHotLink
import HotpatchSymbols

extension PatchError {
    /// An error of linking objects, as the libraries tell of it.
    package static func linking(_ error: any Error) -> PatchError {
        switch error {
        case let error as PatchError: error
        case let error as ReadError: .symbol(SymbolError(error))
        case LinkError.restart: .object(error, needsRestart: true)
        default: .object(error)
        }
    }
}

/// Why what an error keeps from being done cannot be done to the process as it is, now or later. Empty where it may be another time.
package func restartReasons(of error: any Error) -> [String] {
    switch error {
    case LinkError.restart(_, let reasons): reasons
    case is LinkError, is FixupError, is ObjectsError: ["\(error)"]
    default: []
    }
}
