import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchHotLink

/// Which constants are made anew, and why others are not.
@Suite struct LazyConstantTests {
    private static func source(_ number: Int) -> String {
        """
        struct Flags: OptionSet {
            let rawValue: Int
            static let one = Flags(rawValue: \(number))
            static let both: Flags = [.one, Flags(rawValue: \(number + 1))]
        }
        struct Wrapped { var flags: Flags }
        enum Level: String { case low = "l", high = "h" }
        final class Box { var n: Int; init(_ n: Int) { self.n = n } }
        struct Holder { var box: Box }
        nonisolated(unsafe) let box = Box(\(number))
        nonisolated(unsafe) let holder = Holder(box: Box(\(number)))
        let closure: @Sendable () -> Int = { [n = \(number)] in n + make(\(number)) }
        let wrapped = Wrapped(flags: Flags(rawValue: make(\(number))))
        let level = make(\(number)) > 2 ? Level.low : .high
        func make(_ n: Int) -> Int { n + 1 }
        """
    }

    private static let expected: [(variable: String, obstacle: String?)] = [
        ("$s4Shop5FlagsV3oneACvpZ", nil),
        ("$s4Shop5FlagsV4bothACvpZ", nil),
        ("$s4Shop7wrappedAA7WrappedVvp", nil),
        ("$s4Shop5levelAA5LevelOvp", nil),
        ("$s4Shop3boxAA3BoxCvp", "it may hold references"),
        ("$s4Shop6holderAA6HolderVvp", "it may hold references"),
        ("$s4Shop7closureSiyYbcvp", "it may hold references"),
    ]

    @Test func obstacles() throws {
        try check(EditedSource(Self.source(1), Self.source(2)))
    }

    @Test(.enabled(if: Arm64SDK.options != nil)) func obstaclesForArm64() throws {
        try check(EditedSource(Self.source(1), Self.source(2), options: try #require(Arm64SDK.options)))
    }

    private func check(_ edited: EditedSource) throws {
        let constants = try InterfaceComparison(edited.oldFile, edited.newFile).constants
        for (variable, obstacle) in Self.expected {
            let constant = LazyConstant(variable, old: edited.old, new: edited.new, constants: constants)
            let found = try #require(constant, "\(variable)").obstacle
            expect(found, equals: obstacle, "\(variable)")
        }
    }
}
