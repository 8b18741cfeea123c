import Glibc
import Hotpatch
import Synchronization

// A program that links edited objects into itself when told to. Beside it lies what is edited: Tests/Victims/commands/desk.
let routes = Dictionary(uniqueKeysWithValues: makeRoutes(Counter()))
let stored = plainLabel()
nonisolated(unsafe) var patches: [ObjectPatch] = []

// A busy machine gives a build for debugging little to link with.
try Patch.configure(Patch.Options(timeout: .seconds(30)))

func answer(_ text: String) {
    print(text)
    fflush(nil)
}

/// "apply NEW BASE …": "patch 1: a function, another"
func apply(_ paths: [String]) -> String {
    do {
        let pairs = stride(from: 0, to: paths.count - 1, by: 2).map { (object: paths[$0], base: paths[$0 + 1]) }
        guard let patch = try Patch.apply(objects: pairs) else { return "nothing" }
        patches.append(patch)
        let names = patch.functions.sorted().joined(separator: ", ")
        return "patch \(patch.id): \(names)" + patch.notes.map { " (\($0))" }.joined()
    } catch {
        return "\(error.code) \(error.outcome): " + error.message.split(separator: "\n").joined(separator: " | ")
    }
}

func revert(_ number: Int) -> String {
    do {
        try patches[number - 1].revert()
        return try patches[number - 1].isInForce ? "in force" : "reverted"
    } catch { return "\(error.code)" }
}

/// Threads that call what is patched all the time, and never see anything but what was there at some time.
nonisolated(unsafe) var odd = 0
func startCallers() {
    for _ in 0..<4 {
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { _ in
                while true {
                    if !shelf().hasPrefix("shelf v") { odd += 1 }
                }
            }, nil)
    }
}

@_silgen_name("prctl") @discardableResult
func hide(_ option: Int32, _: UInt, _: UInt, _: UInt, _: UInt) -> Int32

/// What was told of changes that were made from outside, a text each.
let told = Mutex<[String]>([])

answer("ready")
while let line = readLine() {
    let words = line.split(separator: " ").map(String.init)
    if let route = routes[line] {
        answer(await route(7))
    } else {
        switch words.first {
        case "apply": answer(apply(Array(words.dropFirst())))
        case "revert": answer(revert(Int(words[1])!))
        case "callers":
            startCallers()
            answer("calling")
        case "odd": answer("\(odd)")
        case "listen":
            HotReload.onChange { change in
                told.withLock { $0.append("\(change.patch): \(change.functions.joined(separator: ", "))") }
            }
            answer("listening")
        case "told": answer(told.withLock { $0.joined(separator: "; ") })
        case "loop":
            // Not to be traced by whoever lacks the right to trace everybody.
            hide(4 /* PR_SET_DUMPABLE */, 0, 0, 0, 0)
            do {
                try ReloaderLoop.start()
                answer("listening")
            } catch { answer("\(error)") }
        case "facts": answer("\(facts()) \(Limits.pageSize)")
        case "sums": answer(sums())
        case "shelf": answer(shelf())
        default: answer(probe(stored))
        }
    }
}
