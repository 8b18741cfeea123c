import CHotpatchVictims
import Dispatch
import Foundation
import Hotpatch
import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchTesting

extension HotpatchTestingTests {
    /// Mocks that hold for a task. All of these may run at the same time.
    @Suite struct MockTests {
        private static let name = "HotpatchTestingTests.price(of:)"

        @Test func holdsInItsScope() throws {
            let total = try withMock(symbol: Self.name, with: { (item: String) -> Int in item.count * 100 }) {
                price(of: "tea")
            }
            expect(total, equals: 300)
            expect(price(of: "tea"), equals: 3)
        }

        /// Callers of vector functions of arm64 rely on registers that the search for a mock does not keep. The sign is the symbol's,
        /// so that a symbol with it is refused everywhere.
        @Test func aVariantOfTheConventionIsRefused() throws {
            var function = try Patch.function(symbol: Self.name, in: nil)
            function.isVariantCall = true
            #expect {
                try MockedFunctions.shared.begin(function)
            } throws: { error in
                guard (error as? MockError)?.code == .variantCall else { return false }
                return "\(error)".contains("cannot be mocked for one task") && "\(error)".contains("Use Patch.replace")
            }
        }

        /// The toolchain's libraries have no DWARF: nothing tells whether a getter throws.
        @Test func aGetterOfALibrary() throws {
            let name = "static Swift.ContinuousClock.now.getter"
            let fixed = ContinuousClock.now
            try withMock(symbol: name, with: { () -> ContinuousClock.Instant in fixed }) {
                expect(ContinuousClock.now, equals: fixed)
            }
            #expect(ContinuousClock.now > fixed)
            typealias Now = () -> ContinuousClock.Instant
            #expect {
                try withMock(symbol: name, wrapping: { (original: @escaping Now) in { original() } }) {}
            } throws: { "\($0)".contains("nothing tells whether it throws") }
            #expect {
                try withMock(symbol: name, with: { () throws -> ContinuousClock.Instant in fixed }) {}
            } throws: { "\($0)".contains("A closure that does not throw") }
            #expect(throws: PatchError.self) { try Patch.original(symbol: name, as: Now.self) }
        }

        @Test func holdsForNobodyElse() async throws {
            try await withMock(symbol: Self.name, with: { (_: String) -> Int in 42 }) {
                expect(price(of: "tea"), equals: 42)
                await expect(Task.detached { price(of: "tea") }.value, equals: 3)
                await expect(onAThread { price(of: "tea") }, equals: 3)
                let queued = await withCheckedContinuation { continuation in
                    DispatchQueue.global().async { continuation.resume(returning: price(of: "tea")) }
                }
                expect(queued, equals: 3)
            }
        }

        @Test func holdsForChildren() async throws {
            try await withMock(symbol: Self.name, with: { (_: String) -> Int in 42 }) {
                async let child = price(of: "tea")
                await expect(child, equals: 42)
                let sum = await withTaskGroup(of: Int.self) { group in
                    for _ in 0..<10 { group.addTask { price(of: "tea") } }
                    return await group.reduce(0, +)
                }
                expect(sum, equals: 420)
                await expect(Task { price(of: "tea") }.value, equals: 42)
            }
        }

        @Test func endsForTasksThatOutliveIt() async throws {
            let (signals, begin) = AsyncStream<Void>.makeStream()
            let task = try withMock(symbol: Self.name, with: { (_: String) -> Int in 42 }, checks: []) {
                Task {
                    for await _ in signals {}
                    return price(of: "tea")
                }
            }
            begin.finish()
            await expect(task.value, equals: 3)
        }

        @Test func theInnermostHolds() throws {
            try withMock(symbol: Self.name, with: { (_: String) -> Int in 1 }) {
                try withMock(symbol: Self.name, with: { (_: String) -> Int in 2 }) {
                    expect(price(of: "tea"), equals: 2)
                    try withMock(
                        symbol: "HotpatchTestingTests.discount(_:on:)",
                        with: { (_: Double, _: String) throws -> Double in 9 }
                    ) {
                        expect(price(of: "tea"), equals: 2)
                        try expect(discount(1, on: ""), equals: 9)
                    }
                }
                expect(price(of: "tea"), equals: 1)
            }
        }

        @Test func aThousandTasksWithMocksOfTheirOwn() async throws {
            let wrong = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<1000 {
                    group.addTask {
                        try await withMock(symbol: Self.name, with: { (_: String) -> Int in number }) {
                            var isRight = price(of: "tea") == number
                            await Task.yield()
                            async let child = price(of: "tea")
                            if await child != number { isRight = false }
                            return isRight && price(of: "tea") == number
                        }
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 0 : 1) }
            }
            expect(wrong, equals: 0)
        }

        @Test func callsTheOriginal() throws {
            try withMock(
                symbol: "HotpatchTestingTests.discount(_:on:)",
                wrapping: { (original: @escaping (Double, String) throws -> Double) in
                    { percent, item in try original(percent * 2, item) + 1000 }
                }
            ) {
                try expect(discount(25, on: "teas"), equals: 1002)
                #expect(throws: SoldOut(item: "")) { try discount(25, on: "") }
            }
        }

        @Test func ofAnAsyncFunction() async throws {
            let name = "HotpatchTestingTests.stock(of:)"
            try await withMock(
                symbol: name,
                wrapping: { (original: @escaping (String) async throws -> Int) in
                    { item in
                        await Task.yield()
                        return try await original(item) + 1
                    }
                }
            ) {
                try await expect(stock(of: "tea"), equals: 31)
                await #expect(throws: SoldOut(item: "")) { try await stock(of: "") }
                try await expect(Task.detached { try await stock(of: "tea") }.value, equals: 30)
            }
            try await expect(stock(of: "tea"), equals: 30)
        }

        @Test func inATaskThatIsCancelled() async throws {
            let task = Task {
                try await withMock(
                    symbol: "HotpatchTestingTests.stock(of:)",
                    with: { (_: String) async throws -> Int in
                        try Task.checkCancellation()
                        return 1
                    }
                ) {
                    withUnsafeCurrentTask { $0?.cancel() }
                    return try await stock(of: "tea")
                }
            }
            await #expect(throws: CancellationError.self) { try await task.value }
        }

        @Test func ofMembers() async throws {
            try withMock(
                symbol: "HotpatchTestingTests.Till.put(_:)",
                with: { (till: inout Till, coins: Int) in till.amount -= coins }
            ) {
                var till = Till()
                till.put(5)
                expect(till.amount, equals: -5)
            }
            try await withMock(
                symbol: "HotpatchTestingTests.Warehouse.shelf(_:)",
                with: { (_: Warehouse, number: Int) -> Int in -number }
            ) {
                await expect(Warehouse(1).shelf(7), equals: -7)
            }
            await expect(Warehouse(1).shelf(7), equals: 107)
        }

        /// The dispatcher keeps every register that arguments may be in.
        @Test func passesArgumentsOn() async throws {
            let name = "HotpatchTestingTests.stamp(_:_:_:_:_:)"
            typealias Stamp = (Int, Float, Double, String, [Int]) -> String
            let long = String(repeating: "long ", count: 10)
            try await withMock(
                symbol: name, wrapping: { (original: @escaping Stamp) in { "<" + original($0, $1, $2, $3, $4) + ">" } }
            ) {
                expect(stamp(1, 2.5, 3.25, long, [4, 5]), equals: "<1 2.5 3.25 \(long) [4, 5]>")
                await expect(onAThread { stamp(1, 2.5, 3.25, long, [4, 5]) }, equals: "1 2.5 3.25 \(long) [4, 5]")
            }
        }

        @Test func ofACFunction() async throws {
            try await withMock(symbol: "getppid", with: { 42 } as @convention(c) () -> Int32) {
                expect(getppid(), equals: 42)
                #expect(await onAThread { getppid() } != 42)
            }
            #expect(getppid() != 42)
        }

        /// If a name has two versions, the one is mocked that was asked for.
        @Test func ofAVersion() throws {
            let directory = try TemporaryDirectory("versions")
            let victims = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/Victims"
            let path = directory.path + "/libversioned.so"
            try runTool(
                "cc", "-shared", "-fPIC", "-O1", "-o", path, victims + "/symbols_versions.c",
                "-Wl,--version-script=" + victims + "/symbols_versions.map")
            let library = try #require(dlopen(path, RTLD_NOW))
            typealias Versioned = @convention(c) () -> Int32
            func call(_ version: String) throws -> Int32 {
                guard let address = dlvsym(library, "versioned", version) else {
                    throw TestFailure("there is no versioned@\(version)")
                }
                return unsafeBitCast(address, to: Versioned.self)()
            }
            for (name, expected) in [("versioned@V1", [42, 2]), ("versioned@V2", [1, 42]), ("versioned", [1, 42])] {
                try withMock(symbol: name, in: path, with: { 42 } as Versioned) {
                    let calls = try [call("V1"), call("V2")]
                    expect(calls, equals: expected.map(Int32.init))
                }
            }
        }

        // MARK: Ends

        @Test func endsWhereTheBodyThrows() async throws {
            // A function that no test mocks meanwhile.
            let name = "HotpatchTestingTests.Till.counted(_:)"
            #expect(throws: Stopped.self) {
                try withMock(symbol: name, with: { (_: Till, _: Int) -> Int in 42 }) {
                    expect(Till(amount: 2).counted(3), equals: 42)
                    throw Stopped()
                }
            }
            try expect(Patch.replacement(for: name), equals: nil)
            await #expect(throws: Stopped.self) {
                try await withMock(symbol: name, with: { (_: Till, _: Int) -> Int in 42 }) {
                    await Task.yield()
                    throw Stopped()
                }
            }
            try expect(Patch.replacement(for: name), equals: nil)
            expect(Till(amount: 2).counted(3), equals: 6)
        }

        @Test func releasesWhatItCaptures() throws {
            weak var released: Counted?
            for _ in 0..<10 {
                let counted = Counted(3)
                released = counted
                try withMock(symbol: Self.name, with: { (_: String) -> Int in counted.value }) {
                    expect(price(of: "tea"), equals: 3)
                }
            }
            #expect(released == nil)
        }

        // MARK: Refusals

        @Test func refusesAnotherType() throws {
            #expect(throws: PatchError.self) {
                try withMock(symbol: Self.name, with: { (_: Int) -> Int in 42 }) { Issue.record("it ran") }
            }
            #expect(throws: PatchError.self) {
                try withMock(symbol: "HotpatchTestingTests.nothing", with: { () -> Int in 42 }) {
                    Issue.record("it ran")
                }
            }
            expect(price(of: "tea"), equals: 3)
        }
    }
}

/// dlvsym(3), which the Glibc module does not show.
@_silgen_name("dlvsym")
private func dlvsym(
    _ handle: UnsafeMutableRawPointer?, _ name: UnsafePointer<CChar>, _ version: UnsafePointer<CChar>
) -> UnsafeMutableRawPointer?
