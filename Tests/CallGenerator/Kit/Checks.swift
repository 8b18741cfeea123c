// Part of every generated test program: what holds of each signature.

import Glibc
import Hotpatch
import Malloc
import Target

/// What has been found of one signature; printed after it.
struct Tally {
    var checks = 0
    var failed = 0
    var refused: [String: Int] = [:]
}

nonisolated(unsafe) var tally = Tally()
/// How often a closure that calls the original was entered.
nonisolated(unsafe) var wrapperCalls = 0

private let targetIsOptimised = getenv("TARGET").map { String(cString: $0) } == "-O"

/// Says which signature is at work, so that a crash can be told from where it was. No buffer keeps it back.
func say(_ text: String) {
    let line = text + "\n"
    _ = line.withCString { write(1, $0, strlen($0)) }
}

/// Bytes that are allocated. The allocator's cache per thread is off (GLIBC_TUNABLES), so that what is freed counts as free.
private func allocatedBytes() -> Int { Int(mallinfo2().uordblks) }

/// One signature, checked in both directions. The optimiser would make a copy for each, which takes most of the time.
struct Signature<F> {
    let index: Int
    let symbol: String
    /// Its caller in the target module, and its caller here.
    let natural: [(Int) async -> String]
    /// Calls a function value as the natural callers call the function.
    let call: (F, Int) async -> String
    let closure: F
    /// Makes a closure that calls what it is given.
    let wrap: (F) -> F
    /// Whether the optimiser may have made the function a mere jump to a copy, of which DWARF says nothing.
    var isOptimised = false
    var isAsync = false
    /// What a member of a struct or enum does with `self`.
    var selfUse: Patch.SelfUse? = nil

    private func fail(_ what: String, _ found: String, _ expected: String) {
        tally.failed += 1
        say("FAIL \(index) \(symbol): \(what)\n  found    \(found)\n  expected \(expected)")
    }

    private func expect(_ what: String, _ found: String, _ expected: String) {
        tally.checks += 1
        if found != expected { fail(what, found, expected) }
    }

    /// What a call returns and leaves behind: neither objects nor memory.
    @_semantics("optimize.sil.specialize.generic.never")
    private func expect(_ what: String, _ expected: [String], _ body: (Int) async -> String) async {
        say("@ \(what)")
        let living = Token.living
        for k in 0..<2 { expect("\(what), \(k)", await body(k), expected[k]) }
        // A third and a fourth time: caches are filled now.
        _ = await body(1)
        let before = allocatedBytes()
        _ = await body(0)
        let after = allocatedBytes()
        tally.checks += 1
        await expectNoMore(than: living, "\(what), objects left over")
        // Tasks, which async functions make, are freed by other threads when it suits them.
        if !isAsync, before != after { fail("\(what), bytes left over", "\(after - before)", "0") }
    }

    /// An actor is let go by the thread that ran it, soon after the call.
    private func expectNoMore(than living: Int, _ what: String) async {
        for attempt in 0..<1000 where isAsync && Token.living != living {
            await Task.yield()
            if attempt > 10 { usleep(100) }
        }
        expect(what, "\(Token.living - living)", "0")
    }

    @_semantics("optimize.sil.specialize.generic.never")
    func run() async {
        say("# \(index)")
        let living = Token.living
        guard await isCompiledWell() else {
            tally.refused["miscompiled", default: 0] += 1
            return
        }
        do {
            try await withItsWord { try await checkAll(selfUse: $0) }
        } catch {
            let kind = kind(of: error)
            // No caller can give its word on that; and there are two bugs of the compiler.
            if kind == "unknownThrows" && isOptimised && targetIsOptimised || kind == "asyncStackVector" && isAsync
                || kind == "overlappingRegisters"
            {
                tally.refused[kind, default: 0] += 1
            } else {
                fail("refused", "\(kind): \(error)", "no refusal")
            }
            return
        }
        // The closures that replaced it are kept, and hold no objects.
        await expectNoMore(than: living, "all objects")
    }

    /// Whether the program does the same each time while nothing is patched. There are types that the compiler gets wrong; a crash
    /// here is its own, too.
    @_semantics("optimize.sil.specialize.generic.never")
    private func isCompiledWell() async -> Bool {
        say("@ \(unpatched)")
        var isSame = true
        for k in 0..<2 {
            let (expected, replaced) = (await natural[0](k), await call(closure, k))
            for natural in natural + natural where await natural(k) != expected { isSame = false }
            if await call(closure, k) != replaced { isSame = false }
        }
        return isSame
    }

    /// Gives the caller's word on `self` where it is asked for, which it may be only in optimised code: DWARF says nothing there of
    /// what is empty, unused or kept nowhere.
    @_semantics("optimize.sil.specialize.generic.never")
    private func withItsWord(_ body: (Patch.SelfUse?) async throws -> Void) async throws {
        do { try await body(nil) } catch {
            guard kind(of: error) == "unknownMutating", targetIsOptimised, let selfUse else { throw error }
            tally.refused["unknownMutating", default: 0] += 1
            try await body(selfUse)
        }
    }

    @_semantics("optimize.sil.specialize.generic.never")
    private func checkAll(selfUse: Patch.SelfUse?) async throws {
        let original = try Patch.original(symbol: symbol, as: F.self, selfUse: selfUse)
        var expected: [String] = []
        var replaced: [String] = []
        for k in 0..<2 {
            expected.append(await natural[0](k))
            replaced.append(await call(closure, k))
        }
        for (index, natural) in natural.enumerated() { await expect("natural caller \(index)", expected, natural) }
        await expect("original", expected) { await call(original, $0) }

        let patch = try Patch.replace(symbol: symbol, with: closure, selfUse: selfUse)
        for (index, natural) in natural.enumerated() { await expect("replaced, caller \(index)", replaced, natural) }
        let patchOriginal = try patch.original(as: F.self)
        await expect("original of the patch", expected) { await call(patchOriginal, $0) }
        if isAsync { await expectConcurrently(expected, replaced, patchOriginal) }
        try patch.revert()
        expect("reverted", await natural[0](0), expected[0])

        // By its mangled name, with a closure that calls the original.
        let mangled = patch.function.name
        let wrapped = try Patch.replace(symbol: mangled, wrapping: wrap, selfUse: selfUse)
        for (index, natural) in natural.enumerated() {
            wrapperCalls = 0
            await expect("wrapped, caller \(index)", expected, natural)
            tally.checks += 1
            if wrapperCalls != 4 { fail("wrapped, caller \(index), calls", "\(wrapperCalls)", "4") }
        }
        try wrapped.revert()
    }

    /// Many tasks at once call the patched function and its original, and half of them are cancelled.
    @_semantics("optimize.sil.specialize.generic.never")
    private func expectConcurrently(_ expected: [String], _ replaced: [String], _ original: F) async {
        say("@ concurrently")
        let living = Token.living
        let count = concurrentTasks
        nonisolated(unsafe) let checked = self
        nonisolated(unsafe) let original = original
        var wrong: [String] = []
        await withTaskGroup(of: String?.self) { group in
            for number in 0..<count {
                group.addTask {
                    let isCancelled = number / 4 % 2 == 1
                    if isCancelled { withUnsafeCurrentTask { $0?.cancel() } }
                    return await CallLog.$current.withValue(CallLog()) {
                        let k = number % 2
                        let isReplaced = number / 2 % 2 == 0
                        let found = isReplaced ? await checked.natural[0](k) : await checked.call(original, k)
                        let text = found.replacing("; cancelled", with: "")
                        guard text == (isReplaced ? replaced : expected)[k] else { return text }
                        return (text == found) == !isCancelled
                            ? nil : "cancellation, which was \(isCancelled): \(found)"
                    }
                }
            }
            for await text in group { if let text { wrong.append(text) } }
        }
        tally.checks += count
        if let first = wrong.first {
            fail("concurrently, \(wrong.count) of \(count)", first, "\(expected), \(replaced)")
        }
        await expectNoMore(than: living, "concurrently, objects left over")
    }
}

private let unpatched = "unpatched"
private let concurrentTasks = getenv("TASKS").flatMap { Int(String(cString: $0)) } ?? 1000

/// The name of the case that says why.
func kind(of error: any Error) -> String {
    func name(_ value: Any) -> String {
        let mirror = Mirror(reflecting: value)
        return mirror.children.first?.label ?? "\(value)"
    }
    guard let error = error as? PatchError else { return name(error) }
    // What it tells of is no part of what clients see.
    guard let cause = Mirror(reflecting: error).descendant("cause", "some") else { return error.code.rawValue }
    return name(Mirror(reflecting: cause).descendant("refused", "reason") ?? cause)
}

/// Has the main thread run all tasks where `ONE_THREAD` is set: for an emulator on which libdispatch's threads, which block all signals,
/// cannot be held.
func useOneThread() throws {
    guard getenv("ONE_THREAD") != nil else { return }
    typealias Enqueue = @convention(c) (UnsafeRawPointer) -> Void
    try Patch.replace(
        symbol: "swift_task_enqueueGlobal",
        with: { MainActor.shared.enqueue(unsafeBitCast($0, to: UnownedJob.self)) } as Enqueue)
}

/// Runs the signatures from `FIRST` on, which a run after a crash is told, or `COUNT` of them.
func runAll(_ signatures: [() async -> Void]) async throws {
    var options = Patch.options
    options.timeout = .seconds(20)  // an emulator is slow
    try Patch.configure(options)
    let first = getenv("FIRST").flatMap { Int(String(cString: $0)) } ?? 0
    let count = getenv("COUNT").flatMap { Int(String(cString: $0)) } ?? signatures.count
    for signature in signatures.dropFirst(first).prefix(count) {
        tally = Tally()
        await signature()
        let refused = tally.refused.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        say("TALLY \(tally.checks) \(tally.failed)\(refused)")
    }
}
