import CHotpatchVictims
import Glibc
import Hotpatch
import HotpatchLocalTarget

/// A program that patches itself. `Scenarios NAME [PARKING [WRITER [PAGE-SIZE]]]` runs one scenario and exits with 0 where all
/// it expects holds; otherwise it says what did not, and exits with 1. A fault or a hang stays inside.
@main
struct Scenarios {
    static let all: [(name: String, run: @Sendable () throws -> Void)] = [
        ("libc", patchLibc), ("hammer", hammer), ("sleepers", sleepers), ("interrupted", interrupted),
        ("vfork", patchDuringVfork), ("signals", signalsDuringVfork), ("fork", patchAfterFork),
        ("blockers", threadsThatBlockSignals),
        ("births", births),
        ("heap", growHeap),
        ("mapped", noPageLeftOpen), ("reloaded", reloaded), ("traced", tracedByAnother), ("stub", revertInsideOriginal),
        ("guarded", guardedPage), ("busy", handlerThatStays), ("littered", litteredStack), ("forks", forkWhilePatching),
        ("operation", forkDuringAnOperation), ("waits", waits), ("held", heldInVain),
        ("timeouts", timeoutsThatPass), ("storm", signalsThatNobodyHandles), ("forgotten", forkDuringACommit),
        ("missing", pagesThatAHeldThreadBrings), ("order", orderOfACommit),
        ("mocks", mocksThatFail), ("pages", wholePages), ("ledger", smallLedger), ("thunks", thunksWithoutMemory),
        ("crash", crashInside),
        ("crash-later", crashInsideLater), ("reading", readingThatEnds),
        ("names", namesOfOneCode), ("files", filesOfLimitedLength), ("everything", requestOfEverything),
        ("reloader", reloaderLoop),
    ]

    static func main() {
        alarm(240)  // a hang is a failure
        let arguments = CommandLine.arguments.dropFirst().map { $0 }
        guard let scenario = all.first(where: { $0.name == arguments.first }) else {
            print(all.map(\.name).joined(separator: "\n"))
            exit(64)
        }
        let parkings: [String: LocalTarget.Options.Parking] = ["signal": .signal, "ptrace": .ptrace]
        let writers: [String: LocalTarget.Options.Writer] = ["procMem": .procMem, "mprotect": .mprotect]
        var options = LocalTarget.Options()
        // An emulator is slow, and so is a machine with more to do than it can.
        options.timeout = .seconds(40)
        options.longestPause = .seconds(10)
        options.readingTimeout = .seconds(600)
        options.parking = arguments.dropFirst().first.flatMap { parkings[$0] } ?? .automatic
        options.writer = arguments.dropFirst(2).first.flatMap { writers[$0] } ?? .automatic
        if let size = arguments.dropFirst(3).first.flatMap({ Int($0) }) { options.pageSize = size }
        do {
            try Patch.configure(options)
            pageSize = options.pageSize
            try scenario.run()
        } catch {
            print("\(scenario.name): \(error)")
            exit(1)
        }
        // Not exit(): threads of the scenario may still be running.
        fflush(nil)
        _exit(0)
    }
}

/// Numbers of rounds: as many as `most`, or as two seconds allow, ten where LONG is set; an emulator is slow.
func rounds(_ most: Int, atLeast fewest: Int) -> some Sequence<Int> {
    let enough = time(nil) + (getenv("LONG") == nil ? 2 : 10)
    return (0..<most).lazy.prefix { $0 < fewest || time(nil) < enough }
}

/// The size of pages that patching goes by.
nonisolated(unsafe) var pageSize = 0

struct Unexpected: Error, CustomStringConvertible {
    var description: String
}

func expect(_ condition: Bool, _ what: @autoclosure () -> String, line: Int = #line) throws {
    if !condition { throw Unexpected(description: "line \(line): \(what())") }
}

/// A word that threads count in, outside Swift's exclusivity and ARC.
struct Counter: @unchecked Sendable {
    let word: UnsafeMutablePointer<Int>

    init() {
        word = .allocate(capacity: 1)
        word.initialize(to: 0)
    }

    var value: Int {
        get { victim_load(word) }
        nonmutating set { victim_store(word, newValue) }
    }

    func add(_ amount: Int = 1) { victim_fetch_add(word, amount) }
}

/// Starts a POSIX thread: unlike libdispatch's, it takes signals.
func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body)).toOpaque()
    pthread_create(
        &thread, nil,
        { argument in
            Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
            return nil
        }, box)
    pthread_detach(thread)
}
