// Edited while tasks wait in it.

actor Gate {
    private var waiting: [CheckedContinuation<Void, Never>] = []
    var count: Int { waiting.count }
    func wait() async { await withCheckedContinuation { waiting.append($0) } }
    func open() {
        for one in waiting { one.resume() }
        waiting = []
    }
}

let gate = Gate()

func passed(_ n: Int) async -> Int {
    await gate.wait()
    return n
}
