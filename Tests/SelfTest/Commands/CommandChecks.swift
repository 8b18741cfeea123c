import HotpatchCommands
import Glibc
import HotpatchRemoteTarget
import HotpatchTestSupport

/// The commands end to end, on running programs with threads.
let commandChecks: [Check] = [
    Check(name: "apply, list and revert on a program with threads", run: appliesAndReverts),
    Check(name: "every branch into guarded pages stays valid", run: patchesGuardedPages),
    Check(name: "a stub out of a branch's reach", run: patchesFromAfar),
    Check(name: "patches stack and come off in any order", run: stacks),
    Check(name: "what goes back into a function from elsewhere", run: refusesWhatIsEntered),
    Check(name: "eight threads call a function while it is patched", run: patchesUnderLoad),
    Check(name: "functions of several names, copies, versions", run: knowsNames),
    Check(name: "a library bound to what the process does not export", run: bindsWhatIsHidden),
    Check(name: "an async function that needs a larger context, while tasks call it", run: entersThroughThunks),
    Check(name: "a dry run and a refusal leave the process alone", run: leavesAlone),
    Check(name: "with an allocator of its own, only a thread that waits is borrowed", run: borrowsWhoWaits),
    Check(name: "a refused library, in which a thread runs, stays", run: staysLoaded),
    Check(name: "a process that ends over a patch is told from one that was not touched", run: tellsEnds),
    Check(name: "a deleted image with mangled headers, and a FIFO in its place", run: readsHostileFiles),
    Check(name: "root loads nothing that others may write", run: refusesWhatOthersMayWrite),
]

/// An emulated machine takes its time.
let patient = TargetOptions(timeout: .seconds(60))

private func appliesAndReverts() throws { try applyAndRevert(program: "shop") }

/// Nothing is free within the reach of a branch: the entry takes a longer detour.
private func patchesFromAfar() throws { try applyAndRevert(program: "shop", "crowded") }

/// Built with -mbranch-protection=standard: the loader maps its text with PROT_BTI, and its entries sign return addresses.
private func patchesGuardedPages() throws { try applyAndRevert(program: "shop-guarded") }

private func applyAndRevert(program: String, _ option: String = "") throws {
    var shop = try Shop(program: program, option)
    try shop.answers()
    let applied = try Apply(library: victim("price-1000.so"), pid: shop.pid, options: patient).run().text
    try expect(applied.hasPrefix("patch 1 applied to process \(shop.pid): 2 functions, "), applied)
    try shop.answers(price: 1007, tax: 2070)
    let list = try List(pid: shop.pid).run().text
    try expect(list.hasPrefix("patch 1  applied  "), list)
    try expect(list.contains("  in force"), list)
    let reverted = try Revert(pid: shop.pid, choice: .patches([1]), options: patient).run().text
    try expect(reverted.hasPrefix("reverted patch 1: 2 functions, "), reverted)
    try shop.answers()
    let left = try List(pid: shop.pid).run().text
    let hidden = "process \(shop.pid) has no patches in force (list --all shows 1 that was reverted)"
    try expect(left == hidden, left)
    let history = try List(pid: shop.pid, all: true).run().text
    try expect(history.hasPrefix("patch 1  reverted  "), history)
    say("    \(applied.split(separator: "\n")[0])")
}

private func stacks() throws {
    var shop = try Shop(program: "shop")
    _ = try Apply(library: victim("price-1000.so"), pid: shop.pid, options: patient).run()
    _ = try Apply(library: victim("price-3000.so"), pid: shop.pid, options: patient).run()
    try shop.answers(price: 3007, tax: 2070)
    _ = try Revert(pid: shop.pid, choice: .patches([1]), options: patient).run()
    try shop.answers(price: 3007)
    _ = try Apply(library: victim("price-1000.so"), pid: shop.pid, options: patient).run()
    try shop.answers(price: 1007, tax: 2070)
    _ = try Revert(pid: shop.pid, choice: .all, options: patient).run()
    try shop.answers()
}

/// A loop whose rarely run half lies elsewhere is refused; a call in tail position is none.
private func refusesWhatIsEntered() throws {
    let entered = try Conversation(victim("entered"))
    let before = try entered.ask()
    for function in ["looped", "looped_nameless"] {
        do {
            _ = try Apply(library: victim("entered_patch.so"), pid: entered.pid, only: [function]).run()
            throw TestFailure("applied \(function)")
        } catch let error as CommandError {
            try expect("\(error)".contains("jumps back to the entry"), "\(error)")
        }
        let after = try entered.ask()
        try expect(after == before, after)
    }
    for function in ["tail", "unsized_padded"] {
        _ = try Apply(library: victim("entered_patch.so"), pid: entered.pid, only: [function]).run()
        let after = try entered.ask()
        try expect(after.contains(" \(function) 1007"), after)
        _ = try Revert(pid: entered.pid, choice: .all).run()
    }
    let after = try entered.ask()
    try expect(after == before, after)
}

private func patchesUnderLoad() throws {
    let load = try Conversation(victim("load"))
    for _ in 0..<3 {
        _ = try Apply(library: victim("load_patch.so"), pid: load.pid, options: patient).run()
        let answer = try load.ask()
        try expect(answer == "wrong 0 patched 1 alive 1", answer)
        _ = try Revert(pid: load.pid, choice: .all, options: patient).run()
    }
    let answer = try load.ask()
    try expect(answer == "wrong 0 patched 1 alive 1", answer)
}

private func knowsNames() throws {
    let names = try Conversation(victim("names"))
    func expectAnswer(_ expected: String, line: Int = #line) throws {
        let answer = try names.ask()
        try expect(answer == expected, answer, line: line)
    }
    try expectAnswer("de 119 at 119 rate 6 new 65 old 55")
    let folded = try Apply(library: victim("names-folded.so"), pid: names.pid).run().text
    try expect(folded.contains("    also changes vat_at, which is the same code"), folded)
    try expect(folded.contains("note: rate is not replaced"), folded)
    _ = try Apply(library: victim("names-versioned.so"), pid: names.pid).run()
    try expectAnswer("de 1100 at 1100 rate 6 new 65 old 1005")
    _ = try Revert(pid: names.pid, choice: .all).run()
    do {
        _ = try Apply(library: victim("names-both.so"), pid: names.pid).run()
        throw TestFailure("one code was replaced by two functions")
    } catch let error as CommandError {
        try expect("\(error)".contains("cannot replace vat_at and vat_de by different functions"), "\(error)")
    }
    try expectAnswer("de 119 at 119 rate 6 new 65 old 55")
}

private func bindsWhatIsHidden() throws {
    let program = try Conversation(victim("hidden"))
    func expectAnswer(_ expected: String, line: Int = #line) throws {
        let answer = try program.ask()
        try expect(answer == expected, answer, line: line)
    }
    try expectAnswer("price 21 counter 101 own 3")
    let applied = try Apply(library: victim("hidden-patch.so"), pid: program.pid).run().text
    try expect(applied.contains("note: what the process has and does not export was bound"), applied)
    try expectAnswer("price 1040 counter 111 own 3")
    _ = try Revert(pid: program.pid, choice: .all).run()
    try expectAnswer("price 21 counter 112 own 3")
    do {
        _ = try Apply(library: victim("hidden-thread-local.so"), pid: program.pid).run()
        throw TestFailure("a thread-local variable was bound")
    } catch let error as CommandError { try expect("\(error)".contains("They are thread-local"), "\(error)") }
}

/// Callers allocate 16 bytes. Tasks that are suspended in the replacement return through its thunk, reverted or not.
private func entersThroughThunks() throws {
    let program = try Conversation(victim("later"), "100")
    func expectAnswer(_ expected: String, to question: String = "", line: Int = #line) throws {
        let answer = try program.ask(question, seconds: 120)
        try expect(answer == expected, answer, line: line)
    }
    try expectAnswer("sum 4950")
    try expectAnswer("begun", to: "begin")
    _ = try Apply(library: victim("later-patch.so"), pid: program.pid, options: patient).run()
    try expectAnswer("sum 49500")
    try expect(try List(pid: program.pid).run().text.contains(" through 0x"), "list")
    _ = try Revert(pid: program.pid, choice: .all, options: patient).run()
    try expectAnswer("wrong 0", to: "end")
    try expectAnswer("sum 4950")
}

private func leavesAlone() throws {
    var shop = try Shop(program: "shop")
    let before = try maps(of: shop.pid)
    _ = try Apply(library: victim("price-1000.so"), pid: shop.pid, dryRun: true, options: patient).run()
    for (library, pid, reason) in [
        ("missing.so", shop.pid, "nowhere"), ("none.so", shop.pid, "cannot open"),
        ("price-1000.so", 0x3fff_ffff, "process"),
    ] {
        do {
            _ = try Apply(library: victim(library), pid: pid, options: patient).run()
            throw TestFailure("applied \(library)")
        } catch let error as CommandError {
            try expect("\(error)".contains(reason), "\(error)")
        }
    }
    try expect(try maps(of: shop.pid) == before, "the mappings have changed")
    try shop.answers()
}

private func borrowsWhoWaits() throws {
    let busy = try Conversation(victim("allocator"))
    do {
        var options = TargetOptions()
        options.timeout = .seconds(2)
        _ = try Apply(library: victim("price-3000.so"), pid: busy.pid, options: options).run()
        throw TestFailure("applied")
    } catch let error as CommandError {
        try expect("\(error)".contains("perhaps in the process's own allocator"), "\(error)")
    }
    try expect(try busy.ask() == "price 70", "the busy one")
    let waiting = try Conversation(victim("allocator"), "waits")
    _ = try Apply(library: victim("price-3000.so"), pid: waiting.pid).run()
    try expect(try waiting.ask() == "price 3007", "the waiting one")
}

private func staysLoaded() throws {
    var shop = try Shop(program: "shop")
    do {
        _ = try Apply(library: victim("refusing.so"), pid: shop.pid).run()
        throw TestFailure("applied")
    } catch let error as CommandError {
        try expect("\(error)".contains("stays loaded in process \(shop.pid)"), "\(error)")
        try expect(error.exitCode == .refused, "\(error.exitCode)")
    }
    usleep(100_000)
    try shop.answers(noted: "applied")

    // The loader takes the file for what is loaded, whatever is written into it since.
    let library = "/tmp/hotpatch-written-\(getpid()).so"
    defer { unlink(library) }
    let reasons = ["refusing-at-once.so": "stays loaded", "price-3000.so": "was written to after process \(shop.pid)"]
    for (source, reason) in reasons.sorted(by: { $0.key > $1.key }) {
        try runTool("cp", victim(source), library)
        do {
            _ = try Apply(library: library, pid: shop.pid).run()
            throw TestFailure("\(source) applied")
        } catch let error as CommandError {
            try expect("\(error)".contains(reason) && error.exitCode == .refused, "\(error)")
        }
    }
    kill(shop.pid, SIGKILL)
}

private func tellsEnds() throws {
    func mustFail(_ library: String, _ pid: Int32, _ code: ExitCode, _ reason: String, line: Int = #line) throws {
        do {
            let options = TargetOptions(timeout: .seconds(60), allowSeccomp: true)
            _ = try Apply(library: victim(library), pid: pid, options: options).run()
            throw TestFailure("line \(line): applied")
        } catch let error as CommandError {
            try expect(error.exitCode == code && "\(error)".contains(reason), "\(error)", line: line)
        }
    }
    let shop = try Shop(program: "shop")
    try mustFail("ending.so", shop.pid, .inconsistent, "was killed by signal")
    for call in ["mmap", "clone3"] {
        let filtered = try Conversation(victim("filtered"), call)
        // Its parent is this very program: where that traces it at its end, it is told there how it ended, and nowhere else.
        try mustFail("price-1000.so", filtered.pid, .inconsistent, "(SIGSYS)")
    }
    let strict = try Conversation(victim("filtered"), "strict")
    try mustFail("price-1000.so", strict.pid, .refused, "strict seccomp mode")
    try expect(try strict.ask() == "price 70", "the strict one was touched")
}

/// HostileFileTests has more of these.
private func readsHostileFiles() throws {
    let folder = try TemporaryDirectory("hostile")
    let file = folder.path + "/other.so"
    for offset in [0x10, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_F000] as [UInt64] {
        var bytes = try [UInt8](readingFile: victim("other.so"))
        // p_offset of the third program header.
        let place = 64 + 2 * 56 + 8
        withUnsafeBytes(of: offset.littleEndian) { bytes.replaceSubrange(place..<place + 8, with: $0) }
        try write(bytes, to: file)
        let mapper = try Conversation(victim("mapper"))
        try expect(try mapper.ask("map \(file)") == "done", "it is not mapped")
        unlink(file)
        try expect(mkfifo(file, 0o644) == 0, "mkfifo")
        let applied = try Apply(library: victim("price-1000.so"), pid: mapper.pid).run().text
        let answer = try mapper.ask()
        try expect(answer == "price 1007 rate 0", "\(answer) after \(applied)")
        unlink(file)
    }
}

private func refusesWhatOthersMayWrite() throws {
    guard geteuid() == 0 else { return }
    let folder = try TemporaryDirectory("trust")
    let library = folder.path + "/patch.so"
    try write(try [UInt8](readingFile: victim("price-1000.so")), to: library)
    let mapper = try Conversation(victim("mapper"))
    chmod(library, 0o757)
    do {
        _ = try Apply(library: library, pid: mapper.pid).run()
        throw TestFailure("applied what everybody may write to")
    } catch let error as CommandError {
        try expect("\(error)".contains("everybody may write to"), "\(error)")
    }
    _ = try Apply(library: library, pid: mapper.pid, allowUnsafeOwner: true).run()
    let answer = try mapper.ask()
    try expect(answer == "price 1007 rate 0", answer)
}

func write(_ bytes: [UInt8], to path: String) throws {
    guard let file = fopen(path, "w") else { throw TestFailure("cannot write \(path)") }
    defer { fclose(file) }
    guard fwrite(bytes, 1, bytes.count, file) == bytes.count else { throw TestFailure("cannot write \(path)") }
    chmod(path, 0o755)
}

/// Tests/Victims/commands/shop.c.
private struct Shop {
    private let program: Conversation
    private var orders = 0

    init(program: String, _ option: String = "") throws {
        self.program = try Conversation(victim(program), "2", option)
    }

    var pid: Int32 { program.pid }

    mutating func answers(price: Int = 70, tax: Int = 7, noted: String = "nothing", line: Int = #line) throws {
        orders += 1
        let answer = try program.ask()
        try expect(
            answer
                == "price \(price) tax \(tax) discount 5 margin 17 rebate 60 countdown 13 noted \(noted) orders \(orders)",
            answer, line: line)
    }
}

/// What the script beside the programs has compiled from Tests/Victims.
func victim(_ name: String) -> String {
    (getenv("HOTPATCH_VICTIMS").map { String(cString: $0) } ?? products) + "/" + name
}

/// The lines of /proc/PID/maps without the stacks and heaps, which may grow.
func maps(of pid: Int32) throws -> [Substring] {
    let file = open("/proc/\(pid)/maps", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw TestFailure("no maps of \(pid)") }
    defer { close(file) }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = read(file, &buffer, buffer.count), count > 0 { text += buffer[..<count] }
    return String(decoding: text, as: UTF8.self).split(separator: "\n").filter { !$0.contains("[") }
}
