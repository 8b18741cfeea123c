import CPatch
import CHotpatchVictims
import Glibc
import Hotpatch

/// Threads that call a function without pause while it is replaced and reverted again and again: every call must give the one
/// answer or the other.
func hammer() throws {
    let wrong = Counter()
    let calls = Counter()
    let old = Counter()
    for _ in 0..<4 {
        startThread {
            while true {
                let answer = victim_add(40, 2)
                let branched = victim_branch_first(0)
                if answer == 42 { old.add() } else if answer != 38 { wrong.add() }
                if branched != 100 && branched != -5 { wrong.add() }
                calls.add()
            }
        }
    }
    for round in rounds(60, atLeast: 6) {
        let before = calls.value
        let patches = try Patch.transaction {
            try $0.replace(symbol: "victim_add", withSymbol: "victim_subtract")
            try $0.replace(symbol: "victim_branch_first", with: { _ in -5 } as @convention(c) (Int32) -> Int32)
        }
        try expect(victim_add(40, 2) == 38, "round \(round): the replacement does not run")
        if round % 3 == 0 { while calls.value < before + 50 { sched_yield() } }
        try patches[0].revert()
        try expect(victim_add(40, 2) == 42, "round \(round): the original does not run")
        try expect(wrong.value == 0, "round \(round): \(wrong.value) wrong answers in \(calls.value) calls")
    }
    try expect(calls.value > 1000 && old.value > 0, "the threads hardly ran: \(calls.value) calls")
}

/// A thread that sleeps in a function's system call keeps sleeping while the function is replaced, and returns as it should.
func sleepers() throws {
    let answers = Counter()
    var ends: [Int32] = [0, 0]
    pipe(&ends)
    let end = ends[0]
    for _ in 0..<20 { startThread { answers.add(Int(victim_wait(end))) } }
    usleep(50_000)
    for _ in rounds(20, atLeast: 5) {
        let patch = try Patch.replace(
            symbol: "read", in: "libc.so.6", with: victim_passthrough(0)!, original: victim_original(0))
        try patch.revert()
    }
    try expect(answers.value == 0, "a read was interrupted: \(answers.value)")
    for _ in 0..<20 { Glibc.write(ends[1], [UInt8(3)], 1) }
    for _ in 0..<500 where answers.value < 60 { usleep(10_000) }
    try expect(answers.value == 60, "the sleepers' answers add up to \(answers.value)")
}

/// Threads that come and go while functions are replaced.
func births() throws {
    let wrong = Counter()
    let born = Counter()
    for _ in 0..<3 {
        startThread {
            while true {
                var thread = pthread_t()
                let result = pthread_create(
                    &thread, nil,
                    { _ in
                        let answer = victim_add(1, 1)
                        return answer == 2 || answer == 0 ? nil : UnsafeMutableRawPointer(bitPattern: 1)
                    }, nil)
                if result != 0 { continue }
                var value: UnsafeMutableRawPointer?
                pthread_join(thread, &value)
                born.add()
                if value != nil { wrong.add() }
            }
        }
    }
    for _ in rounds(100, atLeast: 5) {
        let patch = try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
        try patch.revert()
    }
    while born.value < 100 { sched_yield() }
    try expect(wrong.value == 0, "\(wrong.value) of \(born.value) threads got a wrong answer")
}

/// Threads that block every signal, as libdispatch's workers do.
func threadsThatBlockSignals() throws {
    let calls = Counter()
    let wrong = Counter()
    for _ in 0..<3 {
        startThread {
            var all = sigset_t()
            sigfillset(&all)
            pthread_sigmask(SIG_BLOCK, &all, nil)
            while true {
                let answer = victim_add(40, 2)
                if answer != 42 && answer != 38 { wrong.add() }
                calls.add()
            }
        }
    }
    while calls.value < 100 { sched_yield() }
    for _ in rounds(50, atLeast: 5) {
        let patch = try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
        try expect(victim_add(40, 2) == 38, "the replacement does not run")
        try patch.revert()
    }
    try expect(wrong.value == 0, "\(wrong.value) wrong answers")
}

/// A thread whose caller is in vfork cannot be held: the patch is refused in time, and nothing has changed.
func patchDuringVfork() throws {
    // Symbols are read while there is time.
    _ = try Patch.originalAddress(symbol: "victim_add")
    let patient = Patch.options
    var options = patient
    options.timeout = .milliseconds(300)
    try Patch.configure(options)
    let (done, stop) = (Counter(), Counter())
    startThread {
        victim_vfork_until(stop.word)
        done.add()
    }
    usleep(200_000)
    do {
        try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
        throw Unexpected(description: "patched while a thread could not be held")
    } catch let error as PatchError {
        guard error.code == .deadline else { throw error }
        try expect(error.thread != nil && error.thread != ownThread(), "the error names thread \(error.thread ?? 0)")
    }
    try expect(victim_add(40, 2) == 42, "something changed")
    // The others run on meanwhile.
    let report = commitNothing(timeout: 100, longestPause: 100)
    try expect(report.status == HP_COMMIT_DEADLINE.rawValue, "status \(report.status)")
    try expect(report.held_ns == 0, "held for \(report.held_ns) ns")
    stop.add()
    while done.value == 0 { usleep(10_000) }
    try Patch.configure(patient)
    try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
    try expect(victim_add(40, 2) == 38, "the second try does nothing")
}

/// Threads that receive signals while one that was there before them cannot be held: they are let go without having been looked at,
/// and still get every signal.
func signalsDuringVfork() throws {
    _ = try Patch.originalAddress(symbol: "victim_add")
    var options = Patch.options
    options.timeout = .milliseconds(500)
    try Patch.configure(options)
    let (done, lost, ended) = (Counter(), Counter(), Counter())
    nonisolated(unsafe) let stop = UnsafeMutablePointer<Int>.allocate(capacity: 1)
    stop.initialize(to: 0)
    startThread {
        victim_vfork_until(stop)
        done.add()
    }
    usleep(200_000)
    for _ in 0..<3 {
        startThread {
            lost.add(victim_lose_signals(stop))
            ended.add()
        }
    }
    // An emulator takes a second for each.
    for _ in 0..<2 {
        do {
            try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
            throw Unexpected(description: "patched while a thread could not be held")
        } catch let error as PatchError where error.code == .deadline {}
    }
    victim_store(stop, 1)
    while ended.value < 3 { usleep(10_000) }
    try expect(lost.value == 0, "\(lost.value) signals were lost")
    while done.value == 0 { usleep(10_000) }
}

private func ownThread() -> Int32 { Int32(victim_gettid()) }
