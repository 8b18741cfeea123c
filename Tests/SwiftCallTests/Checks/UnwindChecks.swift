import CHotpatchVictims
import HotpatchCalls
import Glibc
import Hotpatch
import HotpatchMemory
import HotpatchSwiftCall
import HotpatchSymbols
import HotpatchTestSupport

typealias Probed = (Probe, Int32, Double, Item) -> Int32
typealias ProbedClosure = ((Int32) throws -> Int32, Int32) throws -> Int32
typealias ProbedError = (Probe, Int32, Item) throws -> Item
typealias ProbedLarge = (Probe, String, String, String, Double, Int32, Large) -> Large
typealias ProbedLater = (Probe, Int32, Item) async throws -> Int32
typealias ProbedLaterLarge = (Probe, Twelve, Twelve, Twelve, Int32) async -> Int32

// The stack from inside what adapters call: nothing of it may be missing.
public let unwindChecks: [CallCheck] = [
    CallCheck(description: "the stack inside a replacement") {
        try balanced {
            let expected = try stack(look).after("HotpatchCalls.callProbed(")
            let patch = try Patch.replace(
                symbol: "HotpatchCalls.probed", with: { probe, x, _, _ in probe(x) } as Probed)
            defer { try? patch.revert() }
            let names = try stack(look)
            try names.expect(["hp_call_entry", "HotpatchCalls.callProbed("])
            try equal("\(names.after("HotpatchCalls.callProbed("))", "\(expected)", "the callers")
        }
    },
    CallCheck(description: "the stack inside an original") {
        try balanced {
            let expected = try stack(look).after("HotpatchCalls.callProbed(")
            let patch = try Patch.replace(
                symbol: "HotpatchCalls.probed",
                wrapping: { (original: @escaping Probed) in { notLast(original($0, $1, $2, $3)) } })
            defer { try? patch.revert() }
            let names = try stack(look)
            try names.expect(["HotpatchCalls.probed(", "hp_call_entry", "hp_call_entry", "HotpatchCalls.callProbed("])
            try equal("\(names.after("HotpatchCalls.callProbed("))", "\(expected)", "the callers")
        }
    },
    CallCheck(description: "the stack inside a converted closure") {
        try balanced {
            let expected = try stack(lookFromClosure).after("HotpatchCalls.callProbedClosure(")
            let patch = try Patch.replace(
                symbol: "HotpatchCalls.probedClosure",
                wrapping: { (original: @escaping ProbedClosure) in
                    { f, x in notLast(try original({ notLast(try f($0)) }, x)) }
                })
            defer { try? patch.revert() }
            let names = try stack(lookFromClosure)
            try names.expect([
                "closure #1 (Swift.Int32) -> Swift.Int32 in HotpatchCalls.callProbedClosure", "hp_call_entry",
                "hp_call_entry",
                "HotpatchCalls.probedClosure(", "hp_call_entry", "hp_call_entry", "HotpatchCalls.callProbedClosure(",
            ])
            try equal("\(names.after("HotpatchCalls.callProbedClosure("))", "\(expected)", "the callers")
        }
    },
    CallCheck(description: "an error through a replacement that calls its original") {
        try balanced {
            let patch = try Patch.replace(
                symbol: "HotpatchCalls.probedError",
                wrapping: { (original: @escaping ProbedError) in
                    { probe, x, item in
                        // Thrown by the original, caught, and thrown by the original once more.
                        do { return Item(1, try original(probe, x, item).price + 1) } catch {
                            return try original(probe, x &+ 1, item)
                        }
                    }
                })
            defer { try? patch.revert() }
            try equal("\(callProbedError(nothing, 3))", "8", "no error")
            try equal("\(callProbedError(nothing, -1))", "7", "an error that is caught")
            try equal("\(callProbedError(nothing, -2))", "-1", "an error that goes through")
        }
    },

    CallCheck(description: "a C++ exception through a C function's original") {
        let original = OriginalOfHalf()
        let patch = try Patch.replace(
            symbol: "victim_cxx_half", with: { half($0) } as @convention(c) (Int32) -> Int32, original: original.pointer
        )
        defer { try? patch.revert() }
        try equal("\(victim_cxx_catch(8)) \(victim_cxx_catch(3))", "104 -1", "patched")
        try patch.revert()
        try equal("\(victim_cxx_catch(8)) \(victim_cxx_catch(3))", "4 -1", "reverted")
    },
    // What the Swift frames own is left behind; they know nothing of exceptions.
    CallCheck(description: "a C++ exception through adapters both ways") {
        let patch = try Patch.replace(
            symbol: "HotpatchCalls.probed",
            wrapping: { (original: @escaping Probed) in { original($0, $1, $2, $3) &+ 100 } })
        defer { try? patch.revert() }
        func call(_ number: Int) -> Int32 {
            victim_cxx_call(
                { callProbed(victim_cxx_throwing, Int32(Int(bitPattern: $0))) },
                UnsafeMutableRawPointer(bitPattern: number))
        }
        try equal("\(call(8)) \(call(3)) \(call(6))", "104 -1 103", "patched")
    },
    CallCheck(description: "the end of a thread inside adapters") {
        let patch = try Patch.replace(
            symbol: "HotpatchCalls.probed", wrapping: { (original: @escaping Probed) in { original($0, $1, $2, $3) } })
        defer { try? patch.revert() }
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { _ in
                // glibc unwinds the whole stack by force.
                _ = callProbed({ _ in pthread_exit(UnsafeMutableRawPointer(bitPattern: 77)) }, 1)
                return nil
            }, nil)
        var result: UnsafeMutableRawPointer?
        pthread_join(thread, &result)
        try equal("\(Int(bitPattern: result))", "77", "the thread's result")
    },
]

public let asyncUnwindChecks: [AsyncCallCheck] = [
    AsyncCallCheck(description: "the stack inside async functions") {
        func run() async throws -> [String] { try await stackLater { await callProbedLater(lookAround, 5) } }
        let expected = try await run().after("(1) suspend resume partial function for HotpatchCalls.probedLater(")
        let patch = try Patch.replace(
            symbol: "HotpatchCalls.probedLater",
            wrapping: { (original: @escaping ProbedLater) in { try await original($0, $1, $2) } })
        defer { try? patch.revert() }
        let names = try await run()
        // Callers of async functions are not on the stack: behind the original is what runs the job.
        try names.expect(["(1) suspend resume partial function for HotpatchCalls.probedLater("])
        try equal(
            "\(names.after("(1) suspend resume partial function for HotpatchCalls.probedLater("))", "\(expected)",
            "what runs the job")
    }
]

// MARK: At every instruction

#if arch(x86_64)
    public let stepChecks: [CallCheck] = [
        stepCheck(
            "a replacement", "HotpatchCalls.probed", { callProbed(nothing, 5) },
            wrapping: { (_: @escaping Probed) in { probe, x, _, _ in probe(x) } }),
        stepCheck(
            "an original", "HotpatchCalls.probed", { callProbed(nothing, 5) },
            wrapping: { (original: @escaping Probed) in { original($0, $1, $2, $3) } }),
        stepCheck(
            "a closure", "HotpatchCalls.probedClosure", { callProbedClosure(nothing, 5) },
            wrapping: { (original: @escaping ProbedClosure) in { f, x in try original({ try f($0) }, x) } }),
        stepCheck(
            "an error", "HotpatchCalls.probedError", { callProbedError(nothing, -5) },
            wrapping: { (original: @escaping ProbedError) in { try original($0, $1, $2) } }),
        stepCheck(
            "large values", "HotpatchCalls.probedLarge", { callProbedLarge(nothing, 5) },
            wrapping: { (original: @escaping ProbedLarge) in { original($0, $1, $2, $3, $4, $5, $6) } }),
    ]

    public let asyncStepChecks: [AsyncCallCheck] = [
        asyncStepCheck(
            "a result", "HotpatchCalls.probedLater", { await callProbedLater(nothing, 5) },
            wrapping: { (original: @escaping ProbedLater) in { try await original($0, $1, $2) } }),
        asyncStepCheck(
            "an error", "HotpatchCalls.probedLater", { await callProbedLater(nothing, -5) },
            wrapping: { (original: @escaping ProbedLater) in { try await original($0, $1, $2) } }),
        stackStepCheck,
    ]
#else
    public let stepChecks: [CallCheck] = []
    public let asyncStepChecks: [AsyncCallCheck] = []
#endif

private func stepCheck<F>(
    _ name: String, _ symbol: String, _ call: @escaping @Sendable () -> Int32,
    wrapping wrap: @escaping @Sendable (F) -> F
) -> CallCheck {
    CallCheck(description: "the stack at every instruction: \(name)") {
        let patch = try Patch.replace(symbol: symbol, wrapping: wrap)
        defer { try? patch.revert() }
        // What is done once: symbols bound, metadata made.
        _ = call()
        stepped(call)
        try Steps().check(entry: "hp_call_entry")
    }
}

private func asyncStepCheck<F>(
    _ name: String, _ symbol: String, _ call: @escaping @Sendable () async -> Int32,
    wrapping wrap: @escaping @Sendable (F) -> F
) -> AsyncCallCheck {
    AsyncCallCheck(description: "the stack at every instruction: async, \(name)") {
        let expected = await call()
        let patch = try Patch.replace(symbol: symbol, wrapping: wrap)
        defer { try? patch.revert() }
        try equal("\(await call())", "\(expected)", "the result")
        await steppedLater(body: call)
        // r13 and r14 hold an error and the context of a call: what is called changes them.
        let steps = Steps(ignoring: 1 << 13 | 1 << 14)
        try steps.check(entry: "hp_call_async_entry")
        try steps.check(entry: "hp_call_async_resumed")
    }
}

/// Inside the entries only. The compiler describes async functions as if they took no arguments off the stack, and so do the
/// entries, for which it is not the same number each time: the caller is known, and its frame seems to lie lower than it does.
private let stackStepCheck = AsyncCallCheck(
    description: "the stack at every instruction: async, arguments on the stack"
) {
    let patch = try Patch.replace(
        symbol: "HotpatchCalls.probedLaterLarge", with: { probe, _, _, _, x in probe(x) } as ProbedLaterLarge)
    defer { try? patch.revert() }
    let original = try patch.original(as: ProbedLaterLarge.self)
    func call() async -> Int32 {
        func twelve(_ n: Int) -> Twelve {
            func four(_ n: Int) -> Four { (n, n << 4, n << 8, n << 12) }
            return (four(n), four(n + 1), four(n + 2))
        }
        return await original(nothing, twelve(1), twelve(4), twelve(7), 5)
    }
    try equal("\(await call())", "55565", "the result")
    let index = try symbols.get()
    let first = try index.function(named: "hp_call_async_closure_entry")
    let last = try index.function(named: "hp_call_async_resumed")
    await steppedLater(first.address..<(last.address + Int(last.size)), body: call)
    let steps = Steps(ignoring: 1 << 13 | 1 << 14)
    try steps.check(entry: "hp_call_async_entry")
    try steps.check(entry: "hp_call_async_resumed")
}

@inline(never) private func stepped(_ body: () -> Int32) {
    victim_step_begin(1, 0, 0)
    _ = body()
    victim_step_end()
}

@inline(never) private func steppedLater(
    _ code: Range<Address> = Address(0)..<Address(0), body: () async -> Int32
) async {
    victim_step_begin(1, code.lowerBound.rawValue, code.upperBound.rawValue)
    _ = await body()
    victim_step_end()
}

private struct Steps {
    /// An instruction, and what could not be told of the frame.
    struct Lost: Hashable, CustomStringConvertible {
        let pc: UInt64
        let what: UInt64
        var description: String { String(pc, radix: 16) + "/" + String(what, radix: 16) }
    }

    private var names: [String: (steps: Int, lost: Set<Lost>)] = [:]

    /// - Parameter ignoring: bits of registers that the frames do not keep.
    init(ignoring: UInt64 = 0) {
        var steps: UnsafePointer<victim_step>?
        let count = victim_steps(&steps)
        for step in UnsafeBufferPointer(start: steps, count: count) {
            let name = name(of: step.pc) ?? "nowhere"
            names[name, default: (0, [])].steps += 1
            if step.lost & ~ignoring != 0, Self.isOurs(step.pc) {
                names[name]?.lost.insert(Lost(pc: step.pc, what: step.lost))
            }
        }
    }

    /// In this program. Libraries have code that no unwinder gets out of: Swift Testing's hook of errors, for one. And nothing
    /// describes what is made at run time, thunks and the moved beginnings of patched functions: a stack that is unwound from
    /// just there, by a profiler's signal, ends there. A call leaves neither on the stack.
    private static func isOurs(_ pc: UInt64) -> Bool { victim_is_in_program(pc) != 0 }

    func check(entry: String) throws {
        guard let steps = names[entry]?.steps, steps > 20 else {
            throw TestFailure("\(names[entry]?.steps ?? 0) instructions of \(entry) were executed")
        }
        // The compiler describes its async functions only up to where they jump to the next.
        let lost = names.filter { !$0.value.lost.isEmpty && !$0.key.contains("async ") }
        guard lost.isEmpty else {
            let lines = lost.map { name, found in
                "\(name): \(found.lost.map { "\($0)" }.sorted().joined(separator: " "))"
            }
            throw TestFailure("no way out of \(lines.sorted().joined(separator: "; "))")
        }
    }
}

// MARK: Names

/// Written by what is called from C, read when that is over. Checks are one at a time.
nonisolated(unsafe) private var lastSeen: [UInt64] = []

private let nothing: Probe = { $0 }
private let lookAround: Probe = { x in
    lastSeen = [UInt64](unsafeUninitializedCapacity: 512) { buffer, count in
        count = Int(victim_frames(buffer.baseAddress, Int32(buffer.count)))
    }
    return x
}

/// A call whose result is its argument is no tail call, which would leave nothing on the stack.
@inline(never) @_optimize(none) private func notLast(_ result: Int32) -> Int32 { result }

/// One caller for all: the stacks are compared.
private let look: @Sendable () -> Int32 = { callProbed(lookAround, 5) }
private let lookFromClosure: @Sendable () -> Int32 = { callProbedClosure(lookAround, 5) }

private func name(of pc: UInt64) -> String? {
    (try? symbols.get())?.function(containing: Address(pc))?.symbol.demangledName
}

/// The names of the functions on the stack, innermost first, where `body` called `lookAround`.
@inline(never) private func stack(_ body: () -> Int32) throws -> [String] {
    lastSeen = []
    _ = body()
    return try namesSeen()
}

@inline(never) private func stackLater(_ body: () async -> Int32) async throws -> [String] {
    lastSeen = []
    _ = await body()
    return try namesSeen()
}

private func namesSeen() throws -> [String] {
    guard !lastSeen.isEmpty, lastSeen.count < 512 else { throw TestFailure("\(lastSeen.count) frames") }
    // A frame goes on behind its call, which may be another function.
    return lastSeen.map { name(of: $0 - 1) ?? "nowhere" }
}

extension [String] {
    /// What is behind the first that begins so.
    fileprivate func after(_ prefix: String) -> [String] {
        guard let index = firstIndex(where: { $0.hasPrefix(prefix) }) else { return [] }
        return Array(self[(index + 1)...])
    }

    /// These, in this order, with anything between them.
    fileprivate func expect(_ prefixes: [String]) throws {
        var rest = self[...]
        for prefix in prefixes {
            guard let index = rest.firstIndex(where: { $0.hasPrefix(prefix) }) else {
                throw TestFailure("no \(prefix) in \(self)")
            }
            rest = rest[(index + 1)...]
        }
        guard !rest.isEmpty else { throw TestFailure("nothing behind \(self)") }
    }
}

// MARK: Originals of C functions

/// For a replacement that is a C function, and so captures nothing.
private struct OriginalOfHalf {
    nonisolated(unsafe) static let word = UnsafeMutablePointer<UnsafeRawPointer?>.allocate(capacity: 1)
    var pointer: Patch.OriginalPointer { Self.word }
    init() { Self.word.initialize(to: nil) }
}

private func half(_ number: Int32) -> Int32 {
    unsafeBitCast(OriginalOfHalf.word.pointee, to: (@convention(c) (Int32) -> Int32).self)(number) &+ 100
}
