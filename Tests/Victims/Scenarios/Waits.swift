import CPatch
import CPatchCore
import CVictims
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
    timeout: UInt64, longestPause: UInt64, parking: hp_parking = HP_PARKING_AUTOMATIC
) -> hp_commit_report {
    var block = hp_commit_block()
    var options = hp_commit_options()
    options.timeout_ns = timeout * 1_000_000
    options.hold_ns = longestPause * 1_000_000
    options.parking = parking.rawValue
    options.page_size = pageSize
    var report = hp_commit_report()
    hp_commit(&block, &options, &report)
    return report
}

private func name(_ number: Int32) -> String { String(cString: victim_name_of_wait(number)) }

private func state(of thread: Int) -> Substring {
    readFile("/proc/self/task/\(thread)/stat").split(separator: ")").last?.split(separator: " ").first ?? "?"
}

/// Whether a stop ends calls for good (CPatch/Live/arm64/registers.h).
private var stopEndsCalls: Bool {
    #if arch(arm64)
        true
    #else
        false
    #endif
}
