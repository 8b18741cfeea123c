import CPatch
import CPatchCore
import CHotpatchVictims
import Glibc
import Hotpatch

/// Threads that wait in calls which a signal ends early, for good, wait on while a function is replaced; where that cannot be, the
/// patch says how many did not.
func waits() throws {
    // Symbols are read, and the first commit is made, while nobody waits.
    try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract").revert()
    let count = victim_calls_that_wait()
    let (tids, early, ended) = ((0..<count).map { _ in Counter() }, (0..<count).map { _ in Counter() }, Counter())
    for number in 0..<count {
        startThread {
            tids[Int(number)].value = Int(victim_gettid())
            early[Int(number)].value = Int(victim_wait_in(number, 1000))
            ended.add()
        }
    }
    for tid in tids { while tid.value == 0 || state(of: tid.value) == "R" { usleep(1000) } }
    usleep(20_000)
    let patch = try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
    let text = patch.notes.joined()
    let told = text.split(separator: " ").first.flatMap { Int($0) } ?? 0
    let untimed = (0..<count).filter { ["pause", "sigsuspend", "msgrcv"].contains(name($0)) }
    while ended.value < Int(count) - untimed.count { usleep(1000) }
    // Those that it tells of may not have run since.
    for _ in 0..<5000 where (0..<count).filter({ early[Int($0)].value != 0 }).count < told { usleep(1000) }
    let unasked = untimed.filter { early[Int($0)].value != 0 }
    victim_end_waits()
    while ended.value < Int(count) { usleep(1000) }
    let names = (0..<count).filter { early[Int($0)].value != 0 }.map(name)
    try expect(told == names.count, "\(names) ended early, and the patch says: \(text)")
    try expect(unasked.count == untimed.filter { early[Int($0)].value != 0 }.count, "\(names)")
    if Patch.options.parking == .signal { return }
    let allowed = (0..<count).filter { stopEndsCalls && victim_stop_ends($0) != 0 }.map(name)
    try expect(names.allSatisfy(allowed.contains), "\(names) ended early")
}

/// A thread that cannot be held keeps the others waiting for as long as is allowed, all attempts together, and the report says so.
func heldInVain() throws {
    let tid = Counter()
    startThread {
        tid.value = Int(victim_gettid())
        while true { usleep(1000) }
    }
    while tid.value == 0 { usleep(1000) }
    let tracer = victim_trace_and_stop(Int32(tid.value))
    try expect(tracer > 0, "the thread cannot be stopped")
    let report = commitNothing(timeout: 5000, longestPause: 150, parking: HP_PARKING_SIGNAL)
    try expect(
        report.status == HP_COMMIT_DEADLINE.rawValue && report.thread == tid.value,
        "status \(report.status), thread \(report.thread)")
    let held = report.held_ns / 1_000_000
    try expect((140...2500).contains(held), "held for \(held) of 150 ms")
    try expect(
        report.holds > 1 && report.pause_ns < report.held_ns, "\(report.holds) times, at most \(report.pause_ns) ns")
    kill(tracer, SIGKILL)
    waitpid(tracer, nil, 0)
    try expect(commitNothing(timeout: 5000, longestPause: 1000).status == HP_COMMIT_DONE.rawValue, "it runs again")
}

/// A commit that holds all threads and changes nothing.
func commitNothing(
    timeout: UInt64, longestPause: UInt64, parking: hp_parking = HP_PARKING_AUTOMATIC, underway: [Counter] = [],
    hazard: UInt64 = 0
) -> hp_commit_report {
    var block = hp_commit_block()
    var options = hp_commit_options()
    options.timeout_ns = timeout * 1_000_000
    options.hold_ns = longestPause * 1_000_000
    options.parking = parking.rawValue
    options.page_size = pageSize
    let words = underway.map { UInt64(UInt(bitPattern: $0.word)) } + [0, 0]
    options.underway = (words[0], words[1])
    var report = hp_commit_report()
    var hazards = [hp_hazard(start: hazard, end: hazard + 1)]
    hazards.withUnsafeMutableBufferPointer {
        block.hazards = hazard == 0 ? nil : .init($0.baseAddress)
        block.hazard_count = hazard == 0 ? 0 : 1
        hp_commit(&block, &options, &report)
    }
    return report
}

/// Waits that every commit interrupts end when their time is over, not later and not earlier, and what they wait for reaches them.
func timeoutsThatPass() throws {
    // Those that a stop makes fail for good have nothing to wait on.
    let numbers = stopEndsCalls ? [] : (0..<victim_calls_that_wait()).filter { victim_stop_ends($0) != 0 }
    let (ended, early, harmed, over) = (Counter(), Counter(), Counter(), Counter())
    for number in numbers {
        startThread {
            if victim_wait_in(number, 300) != 0 { early.add() }
            ended.add()
        }
    }
    let (patient, restless) = (Line(milliseconds: 60_000), Line(milliseconds: 150))
    if !stopEndsCalls {
        startThread {
            if patient.receive() != 1 { harmed.add() }
            ended.add()
        }
        // The same call at the same place, again and again: each has its own time.
        startThread {
            while over.value == 0 {
                let start = milliseconds()
                let isEarly = restless.receive() != 1 && (errno != EAGAIN || milliseconds() - start < 149)
                if isEarly { harmed.add() }
            }
            ended.add()
        }
    }
    let timed = numbers.count
    var rounds = 0
    while ended.value < timed || rounds < 20 {
        try expect(rounds < 200, "\(ended.value) of \(timed) waits of 300 ms ended")
        let report = commitNothing(timeout: 20_000, longestPause: 10_000, parking: HP_PARKING_PTRACE)
        try expect(report.status == HP_COMMIT_DONE.rawValue, "status \(report.status), error \(report.error)")
        usleep(50_000)
        if rounds % 2 == 0 { restless.send() }
        rounds += 1
    }
    patient.send()
    over.value = 1
    while !stopEndsCalls && ended.value < timed + 2 { usleep(1000) }
    try expect(early.value == 0 && harmed.value == 0, "\(early.value) failed, \(harmed.value) wrong")
}

private func milliseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// What is sent is waited for with recv(2), and no longer than so many milliseconds.
private struct Line {
    private let ends: [Int32]

    init(milliseconds: Int) {
        var ends: [Int32] = [0, 0]
        socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
        var time = timeval(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
        setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        self.ends = ends
    }

    func send() { Glibc.send(ends[1], "a", 1, 0) }

    func receive() -> Int {
        var byte: UInt8 = 0
        return recv(ends[0], &byte, 1, 0)
    }
}

/// A signal that is ignored stops a thread that is traced, and ends its call, which without us it would not: it goes on, and where
/// that cannot be, the report says so.
func signalsThatNobodyHandles() throws {
    let (failed, rounds, turn, over) = (Counter(), Counter(), Counter(), Counter())
    let line = Line(milliseconds: 20)
    startThread {
        while over.value == 0 {
            if line.receive() < 0, errno == EINTR { failed.add() }
            rounds.add()
        }
        over.add()
    }
    startThread {
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        // Not while the main thread is in pthread_create(3), which blocks all signals: what is blocked is not ignored.
        while turn.value == 0 { usleep(1000) }
        while over.value == 0 {
            for signal in [SIGURG, SIGCHLD, SIGWINCH] { kill(getpid(), signal) }
            usleep(20)
        }
        over.add()
    }
    // From the main thread, by whose mask the kernel knows what is ignored, and from another.
    let (mended, told, undone, again, done) = (Counter(), Counter(), Counter(), Counter(), Counter())
    @Sendable func commit() {
        for _ in 0..<60 {
            let report = commitNothing(timeout: 20_000, longestPause: 10_000, parking: HP_PARKING_PTRACE)
            if report.status != HP_COMMIT_DONE.rawValue { undone.add() }
            mended.add(Int(report.restarted_calls))
            told.add(Int(report.interrupted_calls))
            again.add(Int(report.holds) - 1)
            usleep(2000)
        }
        done.add()
    }
    startThread {
        while turn.value < 2 { usleep(1000) }
        commit()
    }
    while rounds.value == 0 { usleep(1000) }
    turn.value = 1
    commit()
    let failedByMain = failed.value
    turn.value = 2
    while done.value < 2 { usleep(1000) }
    over.value = 1
    while over.value < 3 { usleep(1000) }
    try expect(undone.value == 0, "\(undone.value) commits failed")
    try expect(
        failed.value <= told.value,
        "\(failed.value) calls failed, \(failedByMain) first; \(again.value) tried again, \(told.value) told of")
    if stopEndsCalls { return }
    try expect(mended.value > 60 && told.value == 0, "\(mended.value) mended, \(told.value) told of")
}

/// A child that is forked while a commit is under way has none: the words that say so are its own, and nobody else would clear them.
func forkDuringACommit() throws {
    hp_begin_operation()  // from now on forks are attended to
    hp_end_operation()
    let (tid, committing) = (Counter(), Counter())
    startThread {
        tid.value = Int(victim_gettid())
        while true { usleep(1000) }
    }
    while tid.value == 0 { usleep(1000) }
    let tracer = victim_trace_and_stop(Int32(tid.value))
    try expect(tracer > 0, "the thread cannot be stopped")
    let words = [Counter(), Counter()]
    startThread {
        committing.value = 1
        _ = commitNothing(timeout: 20_000, longestPause: 10_000, parking: HP_PARKING_SIGNAL, underway: words)
        committing.value = 2
    }
    while words[1].value == 0 { usleep(1000) }
    let child = victim_fork()
    if child == 0 { _exit(words.contains { $0.value != 0 } ? 1 : 0) }
    let isUnderWay = words.allSatisfy { $0.value != 0 }
    var status: Int32 = 0
    waitpid(child, &status, 0)
    kill(tracer, SIGKILL)
    waitpid(tracer, nil, 0)
    try expect(isUnderWay && committing.value == 1, "the commit was over before the fork")
    try expect(status == 0, "in the child a commit is under way: \(status)")
    while committing.value != 2 { usleep(1000) }
    try expect(words.allSatisfy { $0.value == 0 }, "the commit is over, and under way")
}

/// A process that has given up root cannot open its memory, and the pages above a stack may come from a thread that is held: that is
/// found out in time, and everybody runs on.
func pagesThatAHeldThreadBrings() throws {
    let (isThere, beats) = (Counter(), Counter())
    startThread { victim_wait_below_missing_pages(isThere.word) }
    startThread {
        while true {
            usleep(1000)
            beats.add()
        }
    }
    while isThere.value == 0 { usleep(1000) }
    if isThere.value < 0 { return }  // userfaultfd(2) is not permitted
    try expect(setuid(65534) == 0, "root cannot be given up")
    try expect(open("/proc/self/mem", O_RDONLY) < 0, "memory can be opened")
    let hazard: UInt64 = 0x1234_5678_9abc
    var report = hp_commit_report()
    // On a busy machine nobody may have begun to read a stack when the time is over.
    for _ in 0..<10 where report.thread <= 0 {
        report = commitNothing(timeout: 2000, longestPause: 150, parking: HP_PARKING_SIGNAL, hazard: hazard)
    }
    try expect(
        report.status == HP_COMMIT_DEADLINE.rawValue && report.error == EFAULT && report.thread > 0,
        "status \(report.status), error \(report.error), thread \(report.thread)")
    try expect(report.held_ns < 3_000_000_000, "held for \(report.held_ns) ns")
    let count = beats.value
    for _ in 0..<5000 where beats.value == count { usleep(1000) }
    try expect(beats.value > count, "they are held for good")
    let without = commitNothing(timeout: 5000, longestPause: 1000, parking: HP_PARKING_SIGNAL)
    try expect(without.status == HP_COMMIT_DONE.rawValue, "status \(without.status), error \(without.error)")
}

private func name(_ number: Int32) -> String { String(cString: victim_name_of_wait(number)) }

private func state(of thread: Int) -> Substring {
    readFile("/proc/self/task/\(thread)/stat").split(separator: ")").last?.split(separator: " ").first ?? "?"
}

/// Whether a stop ends calls for good (CPatch/Machine/arm64/registers.h).
private var stopEndsCalls: Bool {
    #if arch(arm64)
        true
    #else
        false
    #endif
}
