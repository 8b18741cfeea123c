#if canImport(Glibc)
    import Glibc
#endif

func answer(_ text: String) {
    print(text)
    fflush(nil)
}

var tasks: [Task<Int, Never>] = []
answer("ready")
while let line = readLine() {
    if let count = Int(line) {
        for _ in 0..<count { tasks.append(Task.detached { await passed(1) }) }
        while await gate.count < tasks.count { await Task.yield() }
        answer("\(tasks.count) wait")
    } else {
        await gate.open()
        var sum = 0
        for task in tasks { sum += await task.value }
        tasks = []
        answer("\(sum)")
    }
}
