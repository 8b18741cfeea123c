// An async Swift program, and the patch libraries for it. A line is answered with what it computes; between `begin` and `end`
// tasks compute all the time: as many as the argument says.
#if canImport(Glibc)
    import Glibc
#endif

#if UNIT
    public func unit() -> Int { 7 }
#endif

#if PATCH
    public func work(_ item: Int) async -> Int {
        let known = item
        await Task.yield()
        return known * 10
    }
#elseif LARGE
    public func work(_ item: Int) async -> Int {
        let known = [item, item * 2]
        let text = String(item)
        try? await Task.sleep(nanoseconds: 1000)
        let before = known.reduce(0, +)
        await Task.yield()
        return (before - item * 2) * 100 + (text == String(item) ? 0 : 1)
    }
#elseif SMALL
    public func work(_ item: Int) async -> Int { 10 }
#elseif BLOCKING
    @_silgen_name("$s5later4workyS2iYaF") public func work(_ item: Int) -> Int { item * 10 }
#else
    import Synchronization

    @inline(never) public func work(_ item: Int) async -> Int { item }
    @inline(never) public func unit() -> Int { getpid() > 0 ? 1 : 0 }

    let isOver = Atomic<Bool>(false)
    let taskCount = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 1000

    func crowd() async -> (calls: Int, wrong: Int) {
        await withTaskGroup(of: (calls: Int, wrong: Int).self) { group in
            for task in 1...taskCount {
                group.addTask {
                    var (calls, wrong) = (0, 0)
                    repeat {
                        if ![1, 10, 100].contains(Double(await work(task)) / Double(task)) { wrong += 1 }
                        calls += 1
                        await Task.yield()
                    } while !isOver.load(ordering: .relaxed)
                    return (calls, wrong)
                }
            }
            return await group.reduce((0, 0)) { ($0.0 + $1.calls, $0.1 + $1.wrong) }
        }
    }

    @main struct Later {
        static func main() async {
            alarm(300)
            setvbuf(stdout, nil, Int32(_IOLBF), 0)
            print("ready")
            var tasks = Task { (calls: 0, wrong: 0) }
            while let line = readLine() {
                switch line {
                case "begin":
                    isOver.store(false, ordering: .relaxed)
                    tasks = Task.detached { await crowd() }
                    print("begun")
                case "end":
                    isOver.store(true, ordering: .relaxed)
                    let result = await tasks.value
                    print(result.calls >= taskCount ? "wrong \(result.wrong)" : "only \(result.calls)")
                case "unit": print("unit \(unit())")
                default:
                    var sum = 0
                    for item in 0..<100 { sum += await work(item) }
                    print("sum \(sum)")
                }
            }
        }
    }
#endif
