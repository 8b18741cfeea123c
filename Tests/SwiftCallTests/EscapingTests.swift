import HotpatchExpectations
import Testing

@testable import HotpatchSwiftCall

/// A closure that does not escape may lie on its caller's stack: a closure that keeps it must not stand for the function.
@Suite struct EscapingTests {
    private typealias F = (Int) -> Int

    /// What of a function does not escape, and what of its closures' parameters.
    @Test(arguments: [
        ("$s1Z4bothyyS2iXE_S2icS2iXEtF", [[true], [false], [true]]),
        ("$s1Z6nestedyyyySiXEXEF", [[true, true]]),
        ("$s1Z14nestedEscapingyyyySicXEF", [[true, false]]),
        ("$s1Z4autoyySiyXK_SiyXAtF", [[true], [false]]),
        ("$s1Z5XEven2XES3iXE_tF", [[true]]),
        ("$s1Z4noneyySiF", [[]]),
    ])
    func reads(_ symbol: String, _ marks: [[Bool]]) throws {
        try expect(SwiftSignature(mangled: symbol).escapeMarks.map(\.marks), equals: marks)
    }

    private func matches(_ symbol: String, _ type: Any.Type) throws -> Bool {
        do {
            _ = try SwiftSignature(mangled: symbol).match(type: type, FunctionFacts())
        } catch let error as SignatureError {
            guard case .unsuitable = error else { throw error }
            #expect(error.description.contains("@escaping"))
            return false
        }
        return true
    }

    @Test func compares() throws {
        let both = "$s1Z4bothyyS2iXE_S2icS2iXEtF"
        #expect(try matches(both, ((F, @escaping F, F) -> Void).self))
        // The original would keep what a caller of the function value only lends.
        #expect(try !matches(both, ((F, F, F) -> Void).self))
        #expect(try !matches(both, ((@escaping F, @escaping F, F) -> Void).self))
        #expect(try !matches(both, ((F, @escaping F, @escaping F) -> Void).self))

        typealias Taker = ((Int) -> Void) -> Void
        typealias Keeper = (@escaping (Int) -> Void) -> Void
        #expect(try matches("$s1Z6nestedyyyySiXEXEF", ((Taker) -> Void).self))
        #expect(try !matches("$s1Z6nestedyyyySiXEXEF", ((Keeper) -> Void).self))
        #expect(try !matches("$s1Z14nestedEscapingyyyySicXEF", ((Taker) -> Void).self))
        #expect(try matches("$s1Z14nestedEscapingyyyySicXEF", ((Keeper) -> Void).self))

        let auto = "$s1Z4autoyySiyXK_SiyXAtF"
        #expect(try matches(auto, ((() -> Int, @escaping () -> Int) -> Void).self))
        #expect(try !matches(auto, ((@escaping () -> Int, @escaping () -> Int) -> Void).self))
        #expect(try matches("$s1Z5XEven2XES3iXE_tF", ((F) -> Int).self))
        #expect(try !matches("$s1Z5XEven2XES3iXE_tF", ((@escaping F) -> Int).self))
    }
}
