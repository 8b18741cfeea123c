import Synchronization
#if canImport(Glibc)
    import Glibc
#endif

/// With thread-locals of the same name as those of a file that begins to use such a lock.
let seen = Mutex(0)
let loom = Loom()

print("ready")
fflush(nil)
while let line = readLine() {
    let words = await withTaskGroup(of: String.self) { group in
        for _ in 0..<8 { group.addTask { loom.weave(line.utf8.count) } }
        var words: [String] = []
        for await word in group { words.append(word) }
        return words
    }
    let number = seen.withLock { count in
        count += 1
        return count
    }
    print("\(number): " + words.sorted().joined(separator: ", "))
    fflush(nil)
}
