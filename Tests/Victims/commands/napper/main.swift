#if canImport(Glibc)
    import Glibc
#endif

actor Gate {
    static let shared = Gate()
    private var waiting: [CheckedContinuation<String, Never>] = []
    func wait() async -> String { await withCheckedContinuation { waiting.append($0) } }
    func open() -> Int {
        let all = waiting
        waiting = []
        for one in all { one.resume(returning: "woken") }
        return all.count
    }
    var count: Int { waiting.count }
}

func answer(_ text: String) {
    print(text)
    fflush(nil)
}

var tasks: [Task<String, Never>] = []
answer("ready")
while let line = readLine() {
    switch line {
    case "start":
        let number = tasks.count
        tasks.append(Task { await nap(number) })
        while await Gate.shared.count < 1 { await Task.yield() }
        answer("waits")
    case "open":
        while await Gate.shared.open() == 0 { await Task.yield() }
        answer(await tasks.removeLast().value)
    default: answer(other())
    }
}
