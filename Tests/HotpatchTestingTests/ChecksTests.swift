import CHotpatchVictims
import Foundation
import Glibc
import Hotpatch
import HotpatchExpectations
import HotpatchTestSupport
import HotpatchTesting
import Synchronization
import Testing

struct Shelf {
    final class Label { var text = "tea" }
    @inline(never) @_optimize(none) static func ask(_ number: Int) -> Int { number }
    @inline(never) @_optimize(none) static func askElsewhere(_ number: Int) -> Int { number }
    @inline(never) @_optimize(none) static func askLater(_ number: Int) async -> Int { number }
}

extension HotpatchTestingTests {
    /// A mock that proves nothing is an issue of the test.
    @Suite(.serialized) struct ChecksTests {
        private static let ask = "HotpatchTestingTests.Shelf.ask"
        private static let text = "HotpatchTestingTests.Shelf.Label.text.getter"

        /// Runs it, and expects these issues: a text that each must have.
        private func expectIssues(
            _ texts: String..., sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
        ) async {
            let found = Mutex<[String]>([])
            try? await withKnownIssue(isIntermittent: true, sourceLocation: sourceLocation) {
                try await body()
            } matching: { issue in
                expect(issue.sourceLocation?.fileName, equals: "ChecksTests.swift", sourceLocation: sourceLocation)
                found.withLock { $0.append(issue.comments.map(\.rawValue).joined() + "\(issue.error ?? Stopped())") }
                return true
            }
            let all = found.withLock { $0 }
            expect(all.count, equals: texts.count, "\(all)", sourceLocation: sourceLocation)
            for (text, issue) in zip(texts, all) {
                #expect(issue.contains(text), "\(issue)", sourceLocation: sourceLocation)
            }
        }

        /// Code of the same module reads the memory.
        @Test func aStoredProperty() async {
            await expectIssues("reads and writes the memory itself") {
                try withMock(symbol: Self.text, with: { (_: Shelf.Label) -> String in "milk" }) {
                    expect(Shelf.Label().text, equals: "tea")
                }
            }
            await expectIssues("reads and writes the memory itself") {
                try withPatch(symbol: Self.text, with: { (_: Shelf.Label) -> String in "milk" }) {
                    expect(Shelf.Label().text, equals: "tea")
                }
            }
        }

        @Test func aFunctionThatNobodyCalls() async {
            await expectIssues("never ran: nothing called the function. Callers may have it inlined") {
                try withMock(symbol: Self.ask, with: { (_: Int) -> Int in 1 }) {}
            }
            await expectIssues("never ran: nothing called the function") {
                try await withMock(
                    symbol: Self.ask, wrapping: { (original: @escaping (Int) -> Int) in original }
                ) { await Task.yield() }
            }
            await expectIssues("the patch of static HotpatchTestingTests.Shelf.askLater(Swift.Int) async -> Swift.Int")
            {
                try await withPatch(
                    symbol: "HotpatchTestingTests.Shelf.askLater", with: { (_: Int) async -> Int in 1 }
                ) { await Task.yield() }
            }
        }

        @Test func aFunctionThatIsCalledWhereTheMockDoesNotHold() async {
            await expectIssues("only where it does not hold, in another task, thread or queue") {
                let name = "HotpatchTestingTests.Shelf.askElsewhere"
                try await withMock(symbol: name, with: { (_: Int) -> Int in 1 }) {
                    await expect(onAThread { Shelf.askElsewhere(7) }, equals: 7)
                }
            }
        }

        @Test func nothingToReport() async throws {
            try await withMock(symbol: Self.ask, with: { (_: Int) -> Int in 1 }) {
                await expect(Task { Shelf.ask(7) }.value, equals: 1)
            }
            // It is known to be called, or that it may not be.
            try withMock(symbol: Self.ask, with: { (_: Int) -> Int in 1 }, checks: .copies) {}
            let calls = CallRecorder(((Int) -> Int).self)
            try withMock(symbol: Self.ask, with: { (_: Int) -> Int in 1 }, recorder: calls) {}
            try withRecording(symbol: Self.ask, calls) {}
            #expect(throws: Stopped.self) {
                try withMock(symbol: Self.ask, with: { (_: Int) -> Int in 1 }) { throw Stopped() }
            }
        }

        @Suite(.mock(symbol: "HotpatchTestingTests.Shelf.ask", with: { (_: Int) -> Int in 1 }))
        struct OfASuite {
            @Test func thatCalls() { expect(Shelf.ask(7), equals: 1) }
            @Test func thatDoesNot() {}
        }

        /// Where the compiler optimises, it has made copies of what a test mocks.
        @Test func copies() async throws {
            typealias Inlined = @convention(c) (Int32) -> Int32
            let name = "victim_inlined"
            await expectIssues("has copies, which the mock does not reach: inlined into", "never ran") {
                try withMock(symbol: name, with: { _ in 1 } as Inlined) { expect(victim_calls_inlined(2), equals: 12) }
            }
            await expectIssues("has copies, which the patch does not reach: inlined into", "It has copies") {
                try withPatch(symbol: name, with: { _ in 1 } as Inlined) { expect(victim_calls_inlined(2), equals: 12) }
            }
            try withMock(symbol: name, with: { _ in 1 } as Inlined, checks: []) {
                expect(victim_calls_inlined(2), equals: 12)
            }
        }

        // MARK: Functions that end or wait

        @Test(arguments: ["exit", "_exit", "abort"])
        func whatNeverReturns(_ name: String) throws {
            let error = #expect(throws: MockError.self) {
                try withMock(symbol: name, with: { _ in } as @convention(c) (Int32) -> Void) { Issue.record("it ran") }
            }
            expect(error?.description.contains("\(name) never returns"), equals: true)
            #expect(throws: MockError.self) {
                try withPatch(symbol: name, with: { _ in } as @convention(c) (Int32) -> Void) { Issue.record("it ran") }
            }
        }

        @Test func usleepAndItsLike() throws {
            try withMock(symbol: "usleep", with: { _ in 42 } as @convention(c) (UInt32) -> Int32) {
                expect(usleep(30_000_000), equals: 42)
            }
            try withMock(symbol: "sleep", with: { _ in 42 } as @convention(c) (UInt32) -> UInt32) {
                expect(sleep(30), equals: 42)
            }
        }

        @Test func sleepingTasks() async throws {
            let start = ContinuousClock.now
            try await withoutDelays {
                try await Task.sleep(for: .seconds(60))
                try await Task.sleep(for: .seconds(60), tolerance: .seconds(1))
                try await Task.sleep(nanoseconds: 60_000_000_000)
                try await Task.sleep(until: .now + .seconds(60), clock: .suspending)
                try await ContinuousClock().sleep(for: .seconds(60))
                try await SuspendingClock().sleep(for: .seconds(60), tolerance: .seconds(1))
                async let child: Void = Task.sleep(for: .seconds(60))
                try await child
                let cancelled = Task { try await Task.sleep(for: .seconds(60)) }
                cancelled.cancel()
                await #expect(throws: CancellationError.self) { try await cancelled.value }
            }
            #expect(ContinuousClock.now - start < .seconds(30))
            // Others sleep meanwhile.
            try await withoutDelays {
                let slept = try await Task.detached {
                    let start = ContinuousClock.now
                    try await Task.sleep(for: .milliseconds(20))
                    return ContinuousClock.now - start
                }.value
                #expect(slept >= .milliseconds(20))
            }
        }

        /// Callers of clocks come to what they wait by on another way.
        @Test func aClockThatNobodyAsks() async {
            await expectIssues("never ran") {
                try await withMock(
                    symbol: "Swift.ContinuousClock.sleep(until:tolerance:)",
                    with: { (_: ContinuousClock, _: ContinuousClock.Instant, _: Duration?) async throws -> Void in },
                    selfUse: .borrowed
                ) { try await Task.sleep(for: .milliseconds(1)) }
            }
        }
    }
}
