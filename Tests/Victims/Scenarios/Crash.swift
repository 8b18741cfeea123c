import CHotpatchVictims
import HotpatchCalls
import Hotpatch

/// Ends inside a replacement that was called by an original, for those who look at what is left: it never returns.
@Sendable func crashInside() throws {
    _ = try Patch.replace(
        symbol: "HotpatchCalls.probed",
        wrapping: { (original: @escaping (Probe, Int32, Double, Item) -> Int32) in
            { probe, x, weight, item in x == 0 ? crash(x) : original(probe, x, weight, item) &+ 1 }
        })
    _ = callProbed({ callProbed({ $0 }, $0 &- 1) }, 1)
}

@inline(never) private func crash(_ divisor: Int32) -> Int32 {
    precondition(divisor != 0, "the crash that was asked for")
    return divisor
}

/// The same in async functions.
@Sendable func crashInsideLater() throws {
    _ = try Patch.replace(
        symbol: "HotpatchCalls.probedLater",
        wrapping: { (original: @escaping (Probe, Int32, Item) async throws -> Int32) in
            { probe, x, item in
                let result = try await original(probe, x, item)
                return x == 0 ? crash(result) : result
            }
        })
    Task { await naturalCaller() }
    while true { victim_vfork_sleep(1) }
}

@inline(never) private func naturalCaller() async {
    let result = await callProbedLater({ $0 }, 0)
    print(result)
}
