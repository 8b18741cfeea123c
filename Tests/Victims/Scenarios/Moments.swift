import CPatch
import CHotpatchVictims
import Glibc
import Hotpatch
import HotpatchLocalTarget

/// A thread stopped at every single instruction of an entry continues in the stub. The thread steps through the function under its own
/// SIGTRAP handler, which waits inside while the function is replaced.
func interrupted() throws {
    let entry = try Patch.originalAddress(symbol: "victim_stepped").rawValue
    let bytes = UnsafePointer<UInt8>(bitPattern: UInt(entry))!
    let original = (0..<32).map { bytes[$0] }
    for offset in 0..<4 {
        let state = Counter()
        startThread {
            // Its PC, hidden in the frame of a signal handler, is inside the bytes to be overwritten.
            state.add(Int(victim_step_into(Int32(offset))) << 8)
        }
        while victim_step_waiting() == 0 { usleep(1000) }
        let inside = Int(victim_step_offset())
        var options = Patch.options
        let patience = options.timeout
        // It is refused after that, in the bytes of a jump at least.
        options.timeout = (1..<4).contains(inside) ? .milliseconds(1500) : patience * 4
        try Patch.configure(options)
        var patch: Patch?
        var refused: String?
        do throws(PatchError) {
            patch = try Patch.replace(symbol: "victim_stepped", withSymbol: "victim_subtract")
        } catch {
            guard error.code == .busy, let address = error.address else { throw error }
            refused = "\(address)"
        }
        victim_step_release()
        while state.value == 0 { usleep(1000) }
        try expect(state.value >> 8 == 33 || inside == 0, "offset \(inside): the stepped call gave \(state.value >> 8)")
        options.timeout = patience * 4
        try Patch.configure(options)
        // How many bytes are overwritten depends on how far away the stub is: seen where nobody is inside.
        let after = try patch ?? Patch.replace(symbol: "victim_stepped", withSymbol: "victim_subtract")
        let length = (original.indices.last { bytes[$0] != original[$0] } ?? 0) + 1
        try after.revert()
        options.timeout = patience
        try Patch.configure(options)
        let isInside = (1..<length).contains(inside)
        try expect(isInside == (refused != nil), "byte \(inside) of \(length): refused at \(refused ?? "no address")")
    }
}

/// A handler that stays in an interrupted entry for a while only delays the patch.
func handlerThatStays() throws {
    let state = Counter()
    startThread { state.add(Int(victim_step_into(1)) << 8) }
    while victim_step_waiting() == 0 { usleep(1000) }
    startThread {
        usleep(200_000)
        victim_step_release()
    }
    try Patch.replace(symbol: "victim_stepped", withSymbol: "victim_subtract")
    while state.value == 0 { usleep(1000) }
    try expect(state.value >> 8 == 33, "the interrupted call gave \(state.value >> 8)")
    try expect(victim_stepped(40, 2) == 38, "the replacement does not run")
}

/// Dead words on a stack that look like addresses inside an entry, as whoever computes with addresses of code leaves them, keep
/// nobody from patching.
func litteredStack() throws {
    let entry = try Patch.originalAddress(symbol: "victim_stepped").rawValue
    let state = Counter()
    startThread {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 1024) { words in
            for index in words.indices { words[index] = entry + UInt64(index % 5) }
            state.add(1)
            while state.value < 2 { usleep(1000) }
            for index in words.indices where words[index] != entry + UInt64(index % 5) { state.add(1) }
        }
        state.add(1)
    }
    while state.value == 0 { usleep(1000) }
    try Patch.replace(symbol: "victim_stepped", withSymbol: "victim_subtract").revert()
    state.add(1)
    while state.value < 3 { usleep(1000) }
    try expect(state.value == 3, "\(state.value - 3) words of a stack were changed")
}

/// A child has the patches of its parent, and what it reverts is its own.
func patchAfterFork() throws {
    let patch = try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
    let child = victim_fork()
    if child == 0 {
        do {
            guard victim_add(40, 2) == 38 else { _exit(2) }
            try patch.revert()
            guard victim_add(40, 2) == 42 else { _exit(3) }
            try Patch.replace(symbol: "victim_add", with: { _, _ in 7 } as @convention(c) (Int32, Int32) -> Int32)
            _exit(victim_add(40, 2) == 7 ? 0 : 4)
        } catch { _exit(5) }
    }
    var status: Int32 = 0
    waitpid(child, &status, 0)
    try expect(status == 0, "the child ended with status \(status)")
    try expect(victim_add(40, 2) == 38, "the child changed its parent")
    try expect(try patch.isInForce, "the child changed its parent's ledger")
    try patch.revert()
    try expect(victim_add(40, 2) == 42, "the parent cannot revert")
}

/// A child that was forked while another thread patched can patch.
func forkWhilePatching() throws {
    let state = Counter()
    startThread { patchForEver(state) }
    // Not before the first is done: the runtime makes types for what calls the library, too, and a fork may come amid that.
    for round in rounds(40, atLeast: 5) {
        while state.value <= round { usleep(100) }
        try forkAChildThatPatches("child \(round)")
    }
}

/// A fork waits for the operation under way, and not for one that takes too long. Either way the child can begin its own.
func forkDuringAnOperation() throws {
    for (microseconds, isOver) in [(100_000, true), (5_000_000, false)] as [(UInt32, Bool)] {
        let state = Counter()
        startThread {
            hp_begin_operation()
            state.add(1)
            usleep(microseconds)
            state.add(1)
            hp_end_operation()
        }
        while state.value == 0 { usleep(100) }
        let child = victim_fork()
        if child == 0 {
            let seen = state.value
            alarm(30)
            hp_begin_operation()
            hp_end_operation()
            _exit(Int32(seen))
        }
        var status: Int32 = 0
        waitpid(child, &status, 0)
        try expect(status >> 8 == (isOver ? 2 : 1) && status & 0x7f == 0, "\(microseconds): \(status)")
        hp_begin_operation()
        hp_end_operation()
        try expect(state.value == 2, "the operation of another thread has not ended")
    }
}

private func patchForEver(_ state: Counter) {
    while let patch = try? Patch.replace(symbol: "victim_stepped", withSymbol: "victim_subtract") {
        try? patch.revert()
        state.add(1)
    }
}

private func forkAChildThatPatches(_ name: String) throws {
    let child = victim_fork()
    if child == 0 {
        alarm(60)
        do {
            let patch = try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
            guard victim_add(40, 2) == 38 else { _exit(2) }
            try patch.revert()
            _exit(victim_add(40, 2) == 42 ? 0 : 3)
        } catch {
            print(error)
            fflush(nil)
            _exit(4)
        }
    }
    var status: Int32 = 0
    waitpid(child, &status, 0)
    try expect(status == 0, "\(name) ended with status \(status)")
}

/// The heap can grow by a gigabyte with a pool beside the program.
func growHeap() throws {
    try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
    let start = UInt(bitPattern: sbrk(0))
    for _ in 0..<16 { try expect(Int(bitPattern: sbrk(64 << 20)) != -1, "the heap cannot grow") }
    try expect(UInt(bitPattern: sbrk(0)) - start >= 1 << 30, "the heap has not grown")
    try expect(victim_add(40, 2) == 38, "the heap grew over the pool")
}

/// No page is writable and executable, before, between and after; text is as it was.
func noPageLeftOpen() throws {
    func open() -> [String] {
        readFile("/proc/self/maps").split(separator: "\n").map(String.init).filter { $0.contains("rwx") }
    }
    // Pages that were written are mappings of their own to the kernel: adjoining ones count as one.
    func text() -> [String] {
        var ranges: [[Substring]] = []
        for line in readFile("/proc/self/maps").split(separator: "\n")
        where line.contains("r-xp") && line.contains("HotpatchScenarios") {
            let ends = line.split(separator: " ")[0].split(separator: "-")
            if let last = ranges.indices.last, ranges[last][1] == ends[0] {
                ranges[last][1] = ends[1]
            } else {
                ranges.append(ends)
            }
        }
        return ranges.map { $0.joined(separator: "-") }
    }
    let before = text()
    let patch = try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
    try expect(open().isEmpty, "writable and executable: \(open())")
    try expect(text() == before, "the program's text is mapped otherwise: \(text()), before \(before)")
    try patch.revert()
    try expect(open().isEmpty && text() == before, "after the revert: \(text())")
    try expect(readFile("/proc/self/maps").contains("hotpatch-ledger"), "the ledger is not in the maps")
}

/// All that is mapped for patches begins and ends with a page, text and data in pages of their own.
func wholePages() throws {
    struct Mapping: Hashable {
        var start, end: UInt
        var permissions, name: Substring
    }
    func mappings() -> [Mapping] {
        readFile("/proc/self/maps").split(separator: "\n").map { line in
            let fields = line.split(separator: " ", maxSplits: 5)
            let ends = fields[0].split(separator: "-").map { UInt($0, radix: 16)! }
            return Mapping(start: ends[0], end: ends[1], permissions: fields[1], name: fields.dropFirst(5).first ?? "")
        }
    }
    let before = Set(mappings().map(\.start))
    for name in ["victim_add", "getppid", "clock_getres", "cos"] {
        try Patch.replace(symbol: name, withSymbol: "victim_subtract")
    }
    try expect(victim_add(40, 2) == 38, "the replacement does not run")
    let new = mappings().filter { mapping in !before.contains(mapping.start) }
    // The kernel may show what was written and what was not as two mappings.
    var stubs: [Mapping] = []
    for text in new where text.permissions == "r-xp" && text.name.allSatisfy({ $0 == " " }) {
        if let last = stubs.indices.last, stubs[last].end == text.start {
            stubs[last].end = text.end
        } else {
            stubs.append(text)
        }
    }
    try expect(!stubs.isEmpty, "nothing was mapped for stubs: \(new)")
    let slots = stubs.map { text in mappings().first { $0.start == text.end } }
    try expect(slots.allSatisfy { $0?.permissions == "rw-p" }, "no data behind the stubs \(stubs): \(slots)")
    let ledgers = new.filter { $0.name.contains("hotpatch-ledger") }
    try expect(!ledgers.isEmpty, "the ledger is not in the maps")
    for mapping in stubs + slots.compactMap({ $0 }) + ledgers {
        try expect((mapping.start | mapping.end) % UInt(pageSize) == 0, "\(mapping) in pages of \(pageSize)")
    }
    try Patch.revertAll()
    try expect(victim_add(40, 2) == 42, "the original does not run")
}

/// Patching and reverting for ever takes two mappings for the ledger, and no memory for what is out of use.
func smallLedger() throws {
    let kept = try Patch.replace(symbol: "getppid", withSymbol: "getpid")
    for _ in rounds(200, atLeast: 100) {
        try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract").revert()
    }
    try expect(victim_add(40, 2) == 42, "the original does not run")
    try expect(try kept.isInForce, "what is kept is not in force")
    var ledgers = 0
    var isRetired = false
    var retired: [Int] = []
    for line in readFile("/proc/self/smaps").split(separator: "\n") {
        let words = line.split(separator: " ")
        if words[0].contains("-"), let start = UInt(words[0].split(separator: "-")[0], radix: 16) {
            let isLedger = line.contains("hotpatch-ledger")
            ledgers += isLedger ? 1 : 0
            let mark = isLedger ? UnsafeRawPointer(bitPattern: start)!.loadUnaligned(as: UInt64.self) : 0
            isRetired = isLedger && withUnsafeBytes(of: mark) { $0.elementsEqual("RETIRED!".utf8) }
        } else if isRetired, words[0] == "Rss:" {
            retired.append(Int(words[1])! << 10)
        }
    }
    try expect(ledgers == 2, "\(ledgers) mappings for the ledger")
    try expect(retired.count == 1 && retired[0] <= pageSize, "what is out of use takes \(retired) bytes")
    try kept.revert()
}

/// A page whose branch targets are guarded stays so, whatever way its text is written (Arm ARM D8.4.6).
func guardedPage() throws {
    guard victim_guard() != 0 else { return }
    func check(_ moment: String) throws {
        // The mapping of the page, up to its flags: "bt" is PROT_BTI.
        let lines = readFile("/proc/self/smaps").split(separator: "\n")
        let address = UInt(bitPattern: dlsym(nil, "victim_guarded"))
        let mapping = lines.firstIndex { line in
            let ends = line.split(separator: " ")[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            return ends.count == 2 && ends[0] <= address && address < ends[1]
        }
        let flags = lines[(mapping ?? 0)...].first { $0.hasPrefix("VmFlags:") } ?? ""
        try expect(flags.contains(" bt"), "\(moment): the page has \(flags)")
        try expect(victim_guard_holds() != 0, "\(moment): a branch into the function is let through")
    }
    try check("before")
    let patch = try Patch.replace(symbol: "victim_guarded", with: { 7 } as @convention(c) () -> Int32)
    try expect(victim_guarded() == 7, "the replacement does not run")
    try check("patched")
    try patch.revert()
    try expect(victim_guarded() == 1, "the original does not run")
    try check("reverted")
}

/// A thread that is inside the original, called through the stub, when it is reverted finishes there.
func revertInsideOriginal() throws {
    var ends: [Int32] = [0, 0]
    pipe(&ends)
    let end = ends[0]
    let answers = Counter()
    let patch = try Patch.replace(symbol: "victim_wait", with: { _ in -7 } as @convention(c) (Int32) -> Int32)
    let original = try patch.original(as: (@convention(c) (Int32) -> Int32).self)
    for _ in 0..<4 { startThread { answers.add(Int(original(end))) } }
    usleep(50_000)
    try expect(victim_wait(end) == -7, "the replacement does not run")
    try patch.revert()
    let again = try Patch.replace(symbol: "victim_wait", with: { _ in -8 } as @convention(c) (Int32) -> Int32)
    try expect(victim_wait(end) == -8, "the second replacement does not run")
    try again.revert()
    for _ in 0..<4 { Glibc.write(ends[1], [UInt8(5)], 1) }
    for _ in 0..<500 where answers.value < 20 { usleep(10_000) }
    try expect(answers.value == 20, "the originals' answers add up to \(answers.value)")
}

func readFile(_ path: String) -> String {
    let file = open(path, O_RDONLY)
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let count = read(file, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
    return String(decoding: bytes, as: UTF8.self)
}
