import HotpatchEngine
import HotpatchObjects
import HotpatchReload
import HotpatchRemoteTarget
import HotpatchSymbols

/// The exit codes of the command line.
package enum ExitCode: Int32, Sendable {
    case done = 0
    /// The target was not touched.
    case refused = 2
    /// Something failed, and everything was put back.
    case rolledBack = 3
    /// The target may be inconsistent.
    case inconsistent = 4
    /// What was refused was left out, as asked, and the rest was done.
    case doneInPart = 5
    case usage = 64

    init(_ outcome: PatchError.Outcome) {
        self =
            switch outcome {
            case .refused: .refused
            case .rolledBack: .rolledBack
            case .inconsistent: .inconsistent
            }
    }
}

extension RemoteRefusal {
    fileprivate var isLasting: Bool {
        switch self {
        case .not64Bit, .otherArchitecture, .notELF, .notPermitted, .seccomp, .staticallyLinked, .unsupportedLibrary,
            .noVectorState:
            true
        default: false
        }
    }

    fileprivate var isPassing: Bool {
        switch self {
        case .alreadyTraced, .stopped: true
        default: false
        }
    }
}

/// Why a command did not do what it was asked to. Printed as `error: what. why. try this.`
package struct CommandError: Error, Sendable, CustomStringConvertible {
    package var description: String
    package var exitCode: ExitCode
    /// Why what was asked for cannot be done to the process as it is, now or later: the program has to be started again for it. Empty where
    /// it need not.
    package var restartReasons: [String]
    /// The process refuses everything as long as it lives: it may not be traced, for instance.
    package var isLasting = false
    /// The process is stopped, or somebody traces it: nothing can be done to it as long as that lasts.
    package var isPassing = false

    package init(_ description: String, exitCode: ExitCode = .refused, restartReasons: [String] = []) {
        self.description = description
        self.exitCode = exitCode
        self.restartReasons = restartReasons
    }

    /// Any error of the modules below. What does not say otherwise refused before it touched the target.
    package init(_ error: any Error) {
        switch error {
        case let error as CommandError: self = error
        case let error as SymbolError:
            var text = error.description
            if case .ambiguous(_, let candidates) = error, Set(candidates.map(\.image)).count > 1 {
                text += " (--in IMAGE)"
            }
            self.init(text)
        case let error as PatchError:
            if let cause = error.cause as? SymbolError {
                self.init(cause)
            } else {
                self.init(error.description, exitCode: ExitCode(error.outcome))
            }
        case let error as RemoteRefusal:
            self.init(error.description)
            isLasting = error.isLasting
            isPassing = error.isPassing
        case let error as AgentError: self.init(error.description, exitCode: ExitCode(error.outcome))
        default: self.init("\(error)", restartReasons: HotpatchObjects.restartReasons(of: error))
        }
    }

    package var json: JSON {
        .document(["error": .string(description), "exit_code": .number(Int(exitCode.rawValue))])
    }
}
