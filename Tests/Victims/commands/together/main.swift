// One program of the files beside it, of desk, kennel and loom, and of objects/work.c: a machine that is emulated takes its time to read each.
import Synchronization
#if canImport(Glibc)
    import Glibc
#endif

@_silgen_name("work") func work(_ x: Int32) -> Int32

let routes = Dictionary(uniqueKeysWithValues: makeRoutes(Counter()))
let stored = plainLabel()
let animals: [Animal] = [Animal(), Dog(), Puppy(), Cub(), Boxed(1)]
/// With thread-locals of the same name as those of a file that begins to use such a lock.
let seen = Mutex(0)
let loom = Loom()

func answer(_ text: String) {
    print(text)
    fflush(nil)
}

answer("ready")
while let line = readLine() {
    if let route = routes[line] {
        answer(await route(7))
    } else {
        switch line {
        case "facts": answer("\(facts()) \(Limits.pageSize)")
        case "sums": answer(sums())
        case "shelf": answer(shelf())
        case "words": answer(Words.text())
        case "walk": answer(animals.map { $0.walk() }.joined(separator: ", "))
        case "legs": answer(animals.map { "\($0.legs)" }.joined(separator: " "))
        case "rest":
            var words: [String] = []
            for animal in animals { words.append(await animal.rest()) }
            answer(words.joined(separator: " "))
        case "weave":
            let words = await withTaskGroup(of: String.self) { group in
                for _ in 0..<4 { group.addTask { loom.weave(2) } }
                var words: [String] = []
                for await word in group { words.append(word) }
                return words
            }
            let number = seen.withLock { count in
                count += 1
                return count
            }
            answer("\(number): " + words.sorted().joined(separator: ", "))
        case "work": answer("\(work(10))")
        default: answer(probe(stored))
        }
    }
}
