import HotpatchExpectations
import HotpatchHotLink
import HotpatchTestSupport
import Testing

/// What an edit may do.
@Suite struct LayoutUnchangedTests {
    private static let old = """
        class Counter { var n = 0; func next() -> Int { n += 1; return n } }
        struct Point { var x = 1; func sum() -> Int { x } }
        private struct Hidden: Equatable { var a: Int }
        private enum Mode { case on, off(Int) }
        private class Secret { var hidden = Hidden(a: 1); var mode = Mode.on; func tell() -> Int { hidden.a } }
        func secret() -> Int { Secret().tell() }
        protocol Shape { func area() -> Int }
        extension Shape { func area() -> Int { 1 } }
        struct Square: Shape { }
        struct Removed: Shape { var r: Int }
        func shape() -> some Shape { Square() }
        actor Teller { var n = 0; func tell() -> Int { n } }
        struct Pair<A: Shape> { var a: A }
        protocol Sized { var size: Int { get }; static func make() -> Self }
        extension Int: Sized { var size: Int { 8 }; static func make() -> Int { 0 } }
        """

    private static let new = """
        // A line.

        struct First: Codable, Hashable { var x: Int; var name: String }
        class Counter { var n = 0; func next() -> Int { n += 2; print("now \\(n)"); return n }; final func reset() { n = 0 } }
        extension Counter { func twice() -> Int { n * 2 } }
        struct Point { var x = 2; func sum() -> Int { x + 1 }; func more() -> Int { 7 }; static let zero = Point() }
        private protocol Fresh { func fresh() -> Int }
        private struct Newer: Fresh { func fresh() -> Int { 3 } }
        private struct Hidden: Equatable { var a: Int; func more() -> Int { a } }
        private enum Mode { case on, off(Int); func isOn() -> Bool { if case .on = self { true } else { false } } }
        private class Secret { var hidden = Hidden(a: 7); var mode = Mode.off(1); func tell() -> Int { hidden.more() + Newer().fresh() } }
        func secret() -> Int { Secret().tell() + 1 }
        protocol Shape { func area() -> Int }
        protocol Another { func other() }
        extension Shape { func area() -> Int { 2 }; func added() {} }
        struct Square: Shape, Another { func area() -> Int { 5 }; func other() {} }
        extension Point: Shape {}
        func shape() -> some Shape { print("shape"); return Square() }
        actor Teller { var n = 0; func tell() -> Int { n + 1 }; final func both() -> Int { n } }
        struct Pair<A: Shape> { var a: A; func area() -> Int { a.area() } }
        class Sub: Counter { override func next() -> Int { 3 } }
        protocol Sized { var size: Int { get }; static func make() -> Self }
        extension Int: Sized { var size: Int { 4 }; static func make() -> Int { 1 } }
        extension Point: Sized { var size: Int { 16 }; static func make() -> Point { Point() } }
        """

    @Test func whatKeepsTheLayoutIsNoReason() throws {
        try expect(EditedSource(Self.old, Self.new).reasons, equals: [])
    }

    @Test(.enabled(if: Arm64SDK.options != nil)) func whatKeepsTheLayoutIsNoReasonForArm64() throws {
        try expect(EditedSource(Self.old, Self.new, options: try #require(Arm64SDK.options)).reasons, equals: [])
    }
}
