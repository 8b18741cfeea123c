import Hotpatch
import HotpatchCalls
import HotpatchExpectations
import HotpatchTesting
import Testing

extension HotpatchTestingTests {
    @Suite struct RecorderTests {
        @Test func recordsCallsOfTheFunctionItself() throws {
            let calls = CallRecorder(((String) -> Int).self)
            try withRecording(symbol: "HotpatchTestingTests.price(of:)", calls) {
                expect(price(of: "tea"), equals: 3)
                expect(price(of: "coffee"), equals: 6)
            }
            _ = price(of: "cake")
            expect(calls.all.map(\.arguments), equals: ["tea", "coffee"])
            expect(calls.all.map(\.result), equals: [3, 6])
        }

        @Test func recordsWhatIsThrown() throws {
            let calls = CallRecorder(((Double, String) throws -> Double).self)
            try withRecording(symbol: "HotpatchTestingTests.discount(_:on:)", calls) {
                try expect(discount(50, on: "teas"), equals: 2)
                #expect(throws: SoldOut(item: "")) { try discount(10, on: "") }
            }
            let all = calls.all
            expect(all.count, equals: 2)
            #expect(all[0].arguments == (50, "teas"))
            #expect(all[0].result == 2 && all[0].error == nil)
            #expect(all[1].arguments == (10, ""))
            #expect(all[1].result == nil && all[1].error as? SoldOut == SoldOut(item: ""))
        }

        @Test func recordsCallsOfAMock() throws {
            let calls = CallRecorder(((Int, Float, Double, String, [Int]) -> String).self)
            try withMock(
                symbol: "HotpatchTestingTests.stamp(_:_:_:_:_:)",
                with: { (a: Int, _: Float, _: Double, d: String, _: [Int]) -> String in
                    String(repeating: d, count: a)
                }, recorder: calls
            ) {
                expect(stamp(2, 1.5, 2.5, "ab", [7]), equals: "abab")
            }
            #expect(calls.all[0].arguments == (2, 1.5, 2.5, "ab", [7]))
            expect(calls.all[0].result, equals: "abab")
        }

        @Test func recordsAsyncCalls() async throws {
            let calls = CallRecorder(((String) async throws -> Int).self)
            try await withRecording(symbol: "HotpatchTestingTests.stock(of:)", calls) {
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for number in 1...100 {
                        group.addTask { try await stock(of: String(repeating: "x", count: number)) }
                    }
                    let sum = try await group.reduce(0, +)
                    expect(sum, equals: 50500)
                }
                await #expect(throws: SoldOut.self) { try await stock(of: "") }
            }
            let all = calls.all
            expect(all.count, equals: 101)
            #expect(
                all.allSatisfy { $0.arguments.isEmpty ? $0.error is SoldOut : $0.result == $0.arguments.count * 10 })
        }

        /// More than registers hold, of the function and of the closure: the rest is on the stack.
        @Test func recordsManyArguments() async throws {
            typealias Words = (String, String, String, Int8, String, Bool, Token, Int16) async throws -> String
            let calls = CallRecorder(Words.self)
            try await withRecording(symbol: "HotpatchCalls.wordsLater", calls) {
                let text = await callWordsLater()
                #expect(text.hasPrefix("long enough for the heap, surely b c 4 e true "))
            }
            expect(calls.all.count, equals: 2)
            let (a, b, c, d, e, f, g, h) = calls.all[1].arguments
            #expect((a, b, c, d, e, f) == ("", "", "", -1, "also long enough for the heap", false))
            #expect((g.id, h) == (2, -3))
            #expect(calls.all[0].result?.hasSuffix(" 8") == true && calls.all[1].error is Failure)
        }

        @Test func recordsMethods() throws {
            let calls = CallRecorder(((Till, Int) -> Int).self)
            try withRecording(symbol: "HotpatchTestingTests.Till.counted(_:)", calls) {
                expect(Till(amount: 2).counted(4), equals: 8)
            }
            expect(calls.all[0].arguments.0.amount, equals: 2)
            expect(calls.all[0].arguments.1, equals: 4)
            expect(calls.all[0].result, equals: 8)
        }

        @Test func refuses() throws {
            let calls = CallRecorder(((String) -> Int).self)
            let error = #expect(throws: MockError.self) {
                try withMock(
                    symbol: "HotpatchTestingTests.discount(_:on:)",
                    with: { (_: Double, _: String) throws -> Double in 1 },
                    recorder: calls
                ) { Issue.record("it ran") }
            }
            expect(error?.description.contains("recorder"), equals: true)
            #expect(calls.all.isEmpty)
        }
    }
}
