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
