import HotpatchExpectations
import Testing

@testable import HotpatchEngine

@Suite struct NanosecondsTests {
    @Test func times() {
        expect(Duration.seconds(2).nanoseconds, equals: 2_000_000_000)
        expect(Duration.milliseconds(1500).nanoseconds, equals: 1_500_000_000)
        expect((Duration.seconds(1) + .nanoseconds(7)).nanoseconds, equals: 1_000_000_007)
    }

    /// A time that has no nanosecond, and one that has too many.
    @Test func ends() {
        #expect(Duration.zero.nanoseconds == 1 && Duration.seconds(-3).nanoseconds == 1)
        expect(Duration(secondsComponent: 0, attosecondsComponent: 5).nanoseconds, equals: 1)
        expect(Duration.seconds(Int64.max).nanoseconds, equals: .max)
        expect(Duration.seconds(9_223_372_036).nanoseconds, equals: 9_223_372_036_000_000_000)
        expect((Duration.seconds(9_223_372_036) + .milliseconds(999)).nanoseconds, equals: .max)
    }
}
