import HotpatchCalls
import Glibc
import Hotpatch
import HotpatchTestSupport

/// Async functions replaced by other symbols: callers allocate the context of the one that they name.
public let asyncSymbolChecks: [AsyncCallCheck] = [
    AsyncCallCheck(description: "an async function by one with a smaller context") {
        let patch = try Patch.replace(symbol: "HotpatchCalls.longerLater", withSymbol: "HotpatchCalls.shorterLater")
        defer { try? patch.revert() }
        try equal(await callLongerLater(), "5", "replaced")
        try patch.revert()
        try equal(await callLongerLater(), "408", "reverted")
    },
    larger("shorterLater", "longerLater", callShorterLater, callLongerLater),
    larger("shorterMany", "longerMany", callShorterMany, callLongerMany),
    larger("shorterResult", "longerResult", callShorterResult, callLongerResult),
    larger("shorterLarge", "longerLarge", callShorterLarge, callLongerLarge),
    larger("shorterGeneric", "longerGeneric", callShorterGeneric, callLongerGeneric),
    larger("Sleeper.shorter", "Sleeper.longer", callShorterMethod, callLongerMethod),
    larger("Adder.shorter", "Adder.longer", callShorterMutating, callLongerMutating),
    AsyncCallCheck(description: "an async function by several with larger contexts, one over the other") {
        let (own, longer) = (await callShorterLater(), await callLongerLater())
        let longest = await callLongestLater()
        try expectLarger("shorterLater", "longestLater")
        for isLastFirst in [true, false] {
            let first = try Patch.replace(symbol: "HotpatchCalls.shorterLater", withSymbol: "HotpatchCalls.longerLater")
            defer { try? first.revert() }
            // Its callers are the replacement's: they allocate enough for what they name.
            let second = try Patch.replace(
                symbol: "HotpatchCalls.shorterLater", withSymbol: "HotpatchCalls.longestLater")
            defer { try? second.revert() }
            try equal(await callShorterLater(), longest, "replaced twice")
            try (isLastFirst ? second : first).revert()
            try equal(await callShorterLater(), isLastFirst ? longer : longest, "one reverted")
            try (isLastFirst ? first : second).revert()
            try equal(await callShorterLater(), own, "both reverted")
        }
    },
    AsyncCallCheck(description: "the original of an async function, called by a larger one") {
        let patch = try Patch.replace(symbol: "HotpatchCalls.shorterLater", withSymbol: "HotpatchCalls.wrappingLater")
        defer { try? patch.revert() }
        try expectLarger("shorterLater", "wrappingLater")
        let original: @Sendable (Int) async -> Int = try patch.original()
        originalLater.withLock { $0 = original }
        try equal(await callShorterLater(), "5006", "replaced")
        let results = await withTaskGroup(of: String.self) { group in
            for _ in 0..<200 { group.addTask { await callShorterLater() } }
            return await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        try equal(results.sorted().joined(), "5006", "many tasks")
    },
    AsyncCallCheck(
        description: "an async function reverted and replaced anew while tasks are suspended in a larger one"
    ) {
        try expectLarger("shorterLater", "heldLater")
        var patch = try Patch.replace(symbol: "HotpatchCalls.shorterLater", withSymbol: "HotpatchCalls.heldLater")
        defer {
            try? patch.revert()
            letGo()
        }
        async let waiting = withTaskGroup(of: String.self) { group in
            for _ in 0..<100 { group.addTask { await callShorterLater() } }
            return await group.reduce(into: [String]()) { $0.append($1) }
        }
        for _ in 0..<20_000 where heldCount < 100 { try await Task.sleep(nanoseconds: 1_000_000) }
        try equal("\(heldCount)", "100", "suspended")
        try patch.revert()
        try equal(await callShorterLater(), "5", "reverted")
        patch = try Patch.replace(symbol: "HotpatchCalls.shorterLater", withSymbol: "HotpatchCalls.longerLater")
        try equal(await callShorterLater(), "408", "replaced anew")
        letGo()
        try equal(Set(await waiting).sorted().joined(), "4004", "resumed")
    },
    AsyncCallCheck(description: "an async function patched and reverted while 1,000 tasks call it") {
        let expected: Set = ["5", "408"]
        let results = try await withThrowingTaskGroup(of: Set<String>.self) { group in
            for _ in 0..<1000 {
                group.addTask {
                    var found: Set<String> = []
                    for _ in 0..<20 { found.insert(await callShorterLater()) }
                    return found
                }
            }
            for _ in 0..<10 {
                let patch = try Patch.replace(
                    symbol: "HotpatchCalls.shorterLater", withSymbol: "HotpatchCalls.longerLater")
                try await Task.sleep(nanoseconds: 1_000_000)
                try patch.revert()
                await Task.yield()
            }
            return try await group.reduce(into: Set<String>()) { $0.formUnion($1) }
        }
        guard results.isSubset(of: expected) else { throw TestFailure("\(results.sorted())") }
    },
    AsyncCallCheck(description: "an async function and one that is not") {
        try expectRefusal(
            "HotpatchCalls.shorterLater", by: "HotpatchCalls.never", because: "The one is async, and the other is not")
        try expectRefusal(
            "HotpatchCalls.never", by: "HotpatchCalls.shorterLater", because: "The other is async, and the one is not")
        try equal(await callShorterLater() + callNever(), "53", "as they were")
    },
]

/// A function replaced by one that needs more than its callers allocate: by name, and by address.
/// - Parameters:
///   - natural: calls it, and
///   - wanted: calls the other.
private func larger(
    _ function: String, _ other: String, _ natural: @escaping @Sendable () async -> String,
    _ wanted: @escaping @Sendable () async -> String
) -> AsyncCallCheck {
    AsyncCallCheck(description: "\(function) by \(other), with a larger context") {
        try await balanced {
            try expectLarger(function, other)
            let (own, expected) = (await natural(), await wanted())
            guard own != expected else { throw TestFailure("the replacement makes no difference") }
            let code = try Patch.originalAddress(symbol: "HotpatchCalls.\(other)")
            for byName in [true, false] {
                let patch =
                    byName
                    ? try Patch.replace(symbol: "HotpatchCalls.\(function)", withSymbol: "HotpatchCalls.\(other)")
                    : try Patch.replace(
                        symbol: "HotpatchCalls.\(function)", with: UnsafeRawPointer(bitPattern: UInt(code.rawValue))!)
                defer { try? patch.revert() }
                try equal(await natural(), expected, "replaced")
                let results = await withTaskGroup(of: String.self) { group in
                    for _ in 0..<100 { group.addTask { await natural() } }
                    return await group.reduce(into: Set<String>()) { $0.insert($1) }
                }
                try equal(results.sorted().joined(separator: "|"), expected, "many tasks")
                let active = try Patch.replacement(for: "HotpatchCalls.\(function)")
                try equal("\(active?.address.description ?? "")", "\(code)", "what is in force")
                try patch.revert()
                try equal(await natural(), own, "reverted")
            }
        }
    }
}

/// The records say so: else a check checks nothing.
private func expectLarger(_ function: String, _ other: String) throws {
    func size(_ name: String) throws -> Int {
        let index = try symbols.get()
        guard let size = index.asyncContextSize(of: try index.function(named: "HotpatchCalls.\(name)")) else {
            throw TestFailure("\(name) has no async record")
        }
        return size
    }
    let (own, larger) = (try size(function), try size(other))
    guard own < larger else { throw TestFailure("\(function) needs \(own) bytes, \(other) \(larger)") }
}

/// By name, and by address.
private func expectRefusal(_ symbol: String, by replacement: String, because reason: String) throws {
    func expect(_ replace: () throws(PatchError) -> Patch) throws {
        do throws(PatchError) {
            try replace().revert()
            throw PatchError.type("\(symbol) was replaced by \(replacement)")
        } catch {
            guard error.code == .asyncContext, error.message.contains(reason) else { throw TestFailure("\(error)") }
        }
    }
    try expect { () throws(PatchError) in try Patch.replace(symbol: symbol, withSymbol: replacement) }
    let code = try Patch.originalAddress(symbol: replacement)
    try expect { () throws(PatchError) in
        try Patch.replace(symbol: symbol, with: UnsafeRawPointer(bitPattern: UInt(code.rawValue))!)
    }
}
