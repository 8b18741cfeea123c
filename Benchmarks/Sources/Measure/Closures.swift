import Dispatch
import Hotpatch
import HotpatchTesting
import HotpatchSwiftCall
import Synchronization
import Workload

/// What a call costs where a closure replaces the function, and where an original is called as a function value: beside the direct
/// call, the patch by symbol, and Swift's own `dynamic`. All variants take turns in every round.
enum Closures {
    static let rounds = 401
    static let calls = 20_000
    private static let state = "one Swift function, caches warm, direct calls"

    private struct Variant {
        let name: String
        /// Nanoseconds over the direct call.
        var goal: Double?
        let run: () async throws -> Void
    }

    static func measure(_ table: inout Table) throws {
        try plan(&table)
        for suffix in ["", "Four", "Async"] {
            try Patch.replace(
                symbol: "Workload.ClosureSubjects.bySymbol\(suffix)",
                withSymbol: "Workload.ClosureSubjects.replacement\(suffix)")
        }
        try measureOne(&table)
        try measureFour(&table)
        try measureAsync(&table)
        try measureMocks(&table)
        try Patch.revertAll()
    }

    private static func measureOne(_ table: inout Table) throws {
        try Patch.replace(symbol: "Workload.ClosureSubjects.byClosure", with: { (a: Int) -> Int in a &* 3 ^ 8 })
        precondition(ClosureLoops.byClosure(1) == 3 * 3 ^ 8)
        let original = try Patch.original(
            symbol: "Workload.ClosureSubjects.replacement", as: ClosureLoops.One.self)
        try add(
            &table, "(Int) -> Int",
            [
                Variant(name: "direct") { _ = ClosureLoops.plain(calls) },
                Variant(name: "replaced by a symbol") { _ = ClosureLoops.bySymbol(calls) },
                Variant(name: "dynamic, replaced") { _ = ClosureLoops.dynamic(calls) },
                Variant(name: "replaced by a closure", goal: 12) { _ = ClosureLoops.byClosure(calls) },
                Variant(name: "original as a function value", goal: 15) { _ = ClosureLoops.value(original, calls) },
            ])
    }

    private static func measureFour(_ table: inout Table) throws {
        try Patch.replace(
            symbol: "Workload.ClosureSubjects.byClosureFour",
            with: { (name: String, count: Int, price: Double, isNew: Bool) throws -> Int in
                if count < 0 { throw ClosureSubjects.Failure() }
                return name.utf8.count &+ count ^ Int(truncatingIfNeeded: price.bitPattern) ^ (isNew ? 8 : 18)
            })
        let isReached = try ClosureLoops.byClosureFour(1) == 6 ^ Int(truncatingIfNeeded: 1.5.bitPattern) &+ 3 ^ 8
        precondition(isReached)
        let original = try Patch.original(
            symbol: "Workload.ClosureSubjects.replacementFour", as: ClosureLoops.Four.self)
        try add(
            &table, "(String, Int, Double, Bool) throws -> Int",
            [
                Variant(name: "direct") { _ = try ClosureLoops.plainFour(calls) },
                Variant(name: "replaced by a symbol") { _ = try ClosureLoops.bySymbolFour(calls) },
                Variant(name: "dynamic, replaced") { _ = try ClosureLoops.dynamicFour(calls) },
                Variant(name: "replaced by a closure", goal: 25) { _ = try ClosureLoops.byClosureFour(calls) },
                Variant(name: "original as a function value", goal: 25) { _ = try ClosureLoops.value(original, calls) },
            ])
    }

    private static func measureAsync(_ table: inout Table) throws {
        try Patch.replace(
            symbol: "Workload.ClosureSubjects.byClosureAsync", with: { (a: Int) async -> Int in a &* 3 ^ 8 })
        let original = try Patch.original(
            symbol: "Workload.ClosureSubjects.replacementAsync", as: ClosureLoops.Async.self)
        let reached = try blocking { await ClosureLoops.byClosureAsync(1) }
        precondition(reached == 3 * 3 ^ 8)
        try add(
            &table, "(Int) async -> Int",
            [
                Variant(name: "direct") { _ = await ClosureLoops.plainAsync(calls) },
                Variant(name: "replaced by a symbol") { _ = await ClosureLoops.bySymbolAsync(calls) },
                Variant(name: "dynamic, replaced") { _ = await ClosureLoops.dynamicAsync(calls) },
                Variant(name: "replaced by a closure", goal: 60) { _ = await ClosureLoops.byClosureAsync(calls) },
                Variant(name: "original as a function value", goal: 60) {
                    _ = await ClosureLoops.value(original, calls)
                },
            ])
    }

    /// A mock of one task: what its calls cost, and those of everybody else meanwhile.
    private static func measureMocks(_ table: inout Table) throws {
        let variants = [
            Variant(name: "direct") { _ = ClosureLoops.plain(calls) },
            Variant(name: "mocked for this task") { _ = ClosureLoops.mocked(calls) },
            Variant(name: "mocked for another task") { await Task.detached { _ = ClosureLoops.mocked(calls) }.value },
        ]
        let samples = try blocking {
            try await withMock(symbol: "Workload.ClosureSubjects.mocked", with: { (a: Int) -> Int in a &* 3 ^ 8 }) {
                try await sample(variants)
            }
        }
        table.add("(Int) -> Int, direct, beside mocks", state, samples[0], unit: "ns")
        for (variant, sample) in zip(variants, samples).dropFirst() {
            table.add("(Int) -> Int, \(variant.name)", state, sample, minus: samples[0], unit: "ns")
        }
    }

    /// The first variant is the one that the others are compared with.
    private static func add(_ table: inout Table, _ what: String, _ variants: [Variant]) throws {
        let samples = try blocking { try await sample(variants) }
        table.add("\(what), \(variants[0].name)", state, samples[0], unit: "ns")
        for (variant, sample) in zip(variants, samples).dropFirst() {
            table.add("\(what), \(variant.name)", state, sample, minus: samples[0], unit: "ns", goal: variant.goal)
        }
    }

    private static func sample(_ variants: [Variant]) async throws -> [Sample] {
        var samples = [Sample](repeating: Sample(), count: variants.count)
        for variant in variants { for _ in 0..<3 { try await variant.run() } }
        for round in 0..<rounds {
            for turn in variants.indices {
                let number = (round + turn) % variants.count
                let start = now()
                try await variants[number].run()
                samples[number].add(Double(now() - start) / Double(calls))
            }
        }
        return samples
    }

    private static func blocking<T>(_ body: @escaping () async throws -> T) throws -> T {
        let done = DispatchSemaphore(value: 0)
        nonisolated(unsafe) var result: Result<T, any Error>?
        nonisolated(unsafe) let body = body
        Task.detached {
            do { result = .success(try await body()) } catch { result = .failure(error) }
            done.signal()
        }
        done.wait()
        return try result!.get()
    }

    // MARK: Plans

    /// A plan from metadata, and the look-up of one that is known.
    private static func plan(_ table: inout Table) throws {
        try plan(&table, ClosureLoops.One.self, "(Int) -> Int")
        try plan(&table, ClosureLoops.Four.self, "(String, Int, Double, Bool) throws -> Int")
    }

    private static func plan<F>(_ table: inout Table, _ type: F.Type, _ what: String) throws {
        var made = Sample()
        var known = Sample()
        for _ in 0..<rounds {
            made.add(try nanoseconds { for _ in 0..<100 { _ = try CallPlan(type) } } / 100_000)
            known.add(try nanoseconds { for _ in 0..<1000 { _ = try Adapter(type) } } / 1000)
        }
        table.add("plan of \(what)", "caches warm", made, unit: "µs", goal: 4)
        table.add("plan of \(what), made before", "caches warm", known, unit: "ns")
    }
}
