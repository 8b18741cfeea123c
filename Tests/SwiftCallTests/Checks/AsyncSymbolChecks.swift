import Calls
import Hotpatch
import TestSupport

/// Async functions replaced by other symbols: callers allocate the context of the one that they name.
public let asyncSymbolChecks: [AsyncCallCheck] = [
    AsyncCallCheck(description: "an async function by one with a smaller context") {
        let patch = try Patch.replace(symbol: "Calls.longerLater", withSymbol: "Calls.shorterLater")
        defer { try? patch.revert() }
        try equal(await callLongerLater(), "5", "replaced")
        try patch.revert()
        try equal(await callLongerLater(), "408", "reverted")
    },
    AsyncCallCheck(description: "an async function by one with a larger context") {
        try expectRefusal("Calls.shorterLater", by: "Calls.longerLater") { own, replacement in
            own != nil && replacement != nil && own! < replacement!
        }
        try equal(await callShorterLater(), "5", "as it was")
    },
    AsyncCallCheck(description: "an async function and one that is not") {
        try expectRefusal("Calls.shorterLater", by: "Calls.never") { own, replacement in
            own != nil && replacement == nil
        }
        try expectRefusal("Calls.never", by: "Calls.shorterLater") { own, replacement in
            own == nil && replacement != nil
        }
        try equal(await callShorterLater() + callNever(), "53", "as they were")
    },
]

/// By name, and by address.
private func expectRefusal(
    _ symbol: String, by replacement: String, _ isRight: (_ own: Int?, _ replacement: Int?) -> Bool
) throws {
    func expect(_ replace: () throws(PatchError) -> Patch) throws {
        do throws(PatchError) {
            try replace().revert()
            throw PatchError.type("\(symbol) was replaced by \(replacement)")
        } catch {
            guard case .asyncContext(_, _, _, let context) = error, isRight(context.own, context.replacement) else {
                throw TestFailure("\(error)")
            }
        }
    }
    try expect { () throws(PatchError) in try Patch.replace(symbol: symbol, withSymbol: replacement) }
    let code = try Patch.originalAddress(symbol: replacement)
    try expect { () throws(PatchError) in
        try Patch.replace(symbol: symbol, with: UnsafeRawPointer(bitPattern: UInt(code.rawValue))!)
    }
}
