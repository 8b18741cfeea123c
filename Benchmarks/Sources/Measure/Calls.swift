import HotpatchEngine
import Hotpatch
import Subjects
import Workload

/// What a call costs, patched and through the stub. All variants take turns in every round, in an order that rotates.
enum Calls {
    static let rounds = 401
    /// Far less than a time slice of the scheduler, so that most rounds run undisturbed.
    static let calls = 100_000

    /// What the same jump costs where no patcher made it.
    static let jump = "unpatched, with a jump by the compiler"

    typealias Function = @convention(c) (Int32, Int32) -> Int32

    static func measure(_ table: inout Table) throws {
        let stubbed = try Patch.replace(symbol: "subject_stubbed", withSymbol: "subject_replacement")
        try Patch.replace(symbol: "subject_patched", withSymbol: "subject_replacement")
        let workStubbed = try Patch.replace(symbol: "subject_work_stubbed", withSymbol: "subject_work_replacement")
        try Patch.replace(symbol: "subject_work_patched", withSymbol: "subject_work_replacement")
        try Patch.replace(symbol: "Workload.swiftPatched", withSymbol: "Workload.swiftReplacement")
        let original = try stubbed.original(as: Function.self)
        let workOriginal = try workStubbed.original(as: Function.self)

        let state = "one C function, caches warm"
        add(
            &table, "C add(int, int)", state + ", calls through one pointer",
            [
                ("unpatched", { _ = subject_loop(subject_plain, calls) }),
                ("patched", { _ = subject_loop(subject_patched, calls) }),
                (jump, { _ = subject_loop(subject_jump, calls) }),
                ("original through the stub", { _ = subject_loop(original, calls) }),
            ])
        add(
            &table, "C add(int, int)", state + ", direct calls",
            [
                ("unpatched", { _ = subject_loop_plain(calls) }),
                ("patched", { _ = subject_loop_patched(calls) }),
                (jump, { _ = subject_loop_jump(calls) }),
            ])
        add(
            &table, "C loop of 16 multiply-adds", state + ", calls through one pointer", calls: calls / 10,
            [
                ("unpatched", { _ = subject_loop(subject_work_plain, calls / 10) }),
                ("patched", { _ = subject_loop(subject_work_patched, calls / 10) }),
                ("original through the stub", { _ = subject_loop(workOriginal, calls / 10) }),
            ])
        add(
            &table, "Swift add(Int, Int), symbol to symbol", "one Swift function, caches warm, direct calls",
            [
                ("unpatched", { _ = SwiftLoops.plain(calls) }),
                ("patched", { _ = SwiftLoops.patched(calls) }),
            ])
        try Patch.revertAll()
    }

    /// The first variant is the reference of the ratios.
    private static func add(
        _ table: inout Table, _ what: String, _ state: String, calls: Int = calls,
        _ variants: [(name: String, run: () -> Void)]
    ) {
        var samples = [Sample](repeating: Sample(), count: variants.count)
        for variant in variants { for _ in 0..<3 { variant.run() } }
        for round in 0..<rounds {
            for turn in variants.indices {
                let number = (round + turn) % variants.count
                samples[number].add(nanoseconds(variants[number].run) / Double(calls))
            }
        }
        table.add("\(what), \(variants[0].name)", state, samples[0], unit: "ns")
        for number in variants.indices.dropFirst() {
            let name = variants[number].name
            let goal: Double? = name == jump ? nil : name == "patched" ? 1.15 : 2.0
            table.add(
                "\(what), \(variants[number].name)", state, samples[number], over: samples[0], unit: "ns", goal: goal)
        }
    }
}
