import Glibc
import HotpatchELF
import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchHotLink

/// What the name of a function leaves out of how it is called, and what an edit does to constants.
@Suite struct FingerprintTests {
    private static let old = """
        struct Walker {
            var at = 0
            func step() { print(at) }
            func same() -> Int { at }
            mutating func moved() { at += 1 }
            consuming func eaten() {}
            var place: Int { get { at } }
            var later: Int { get { at } }
            static func make() -> Walker { Walker() }
        }
        final class Box {
            var n = 0
            func go() -> [(Int) -> Int] {
                let k = 3
                var m = 4
                m += k
                return [{ $0 + k }, { x in m += 1; return x + m }, { x in x + k + self.n }, { x in x + k }]
            }
            func outer(_ a: Int) -> Int {
                let b = a * 2
                func inner(_ z: Int) -> Int { z + b }
                return inner(1)
            }
        }
        func any() -> some Equatable { 3 }
        func kept() -> some Equatable { 3 }
        var value: some Equatable { 3 }
        actor Teller { var n = 0; func tell() async throws -> Int { n } }
        final class Watched {
            var log = ""
            var later = 1
            var former = 1 { didSet { log += "x" } }
        }
        struct Seen {
            var log = ""
            var later = 1
            var former = 1 { willSet { log += "x" } }
        }

        let pageSize = 20
        private let limit = 7
        var counter = 1
        private var secret = 5
        private var zeroed = 0
        let becomesVariable = 3
        let lazyText = "a long text that needs its own storage"
        let lazySame = [1, 2]
        private var lazyVariable = "another long text"
        let byClosure: [Int] = { [1, 2] }()
        let becomesLazy = 4
        struct Config { static let size = 20; static let same = 1; static var current = 4; static let ratio: Double? = 0.5 }
        func use() -> Int { secret += 1; zeroed += 1; lazyVariable += "x"; return secret + limit + zeroed + lazyVariable.count }
        """

    private static let new = """
        // Lines above.

        struct Walker {
            var at = 0
            mutating func step() { at += 1 }
            func same() -> Int { at + 1 }
            func moved() { print(at) }
            func eaten() {}
            var place: Int { get throws { at } }
            var later: Int { get async { at } }
            static func make() -> Walker { Walker(at: 2) }
        }
        final class Box {
            var n = 0
            func go() -> [(Int) -> Int] {
                let k = 3
                var m = 4
                m += k
                return [{ m += 1; return $0 + k + m }, { x in x + k }, { y in k + self.n + y }, { other in other + k }]
            }
            func outer(_ a: Int) -> Int {
                let b = a * 2
                func inner(_ z: Int) -> Int { z + b + a }
                return inner(1)
            }
        }
        func any() -> some Equatable { "3" }
        func kept() -> some Equatable { 4 }
        var value: some Equatable { "3" }
        actor Teller { var n = 0; func tell() async throws -> Int { n + 1 } }
        final class Watched {
            var log = ""
            var later = 1 { willSet { log += "x" } didSet { log += "y" } }
            var former = 1
        }
        struct Seen {
            var log = ""
            var later = 1 { didSet { log += "x" } }
            var former = 1
        }

        let pageSize = 50
        private let limit = 8
        var counter = 2
        private var secret = 6
        private var zeroed = 1
        var becomesVariable = 3
        let lazyText = "a longer text that needs its own storage"
        let lazySame = [1, 2]
        private var lazyVariable = "another longer text"
        let byClosure: [Int] = { [1, 3] }()
        let becomesLazy = use()
        struct Config { static let size = 50; static let same = 1; static var current = 5; static let ratio: Double? = 0.25 }
        func use() -> Int { secret += 2; zeroed += 1; lazyVariable += "x"; return secret + limit + zeroed + lazyVariable.count }
        """

    /// A closure's forwarder jumps to it by one byte where they lie side by side, which no linker can lead elsewhere.
    private static let edited = Result {
        try EditedSource(old, new, options: ["-Xfrontend", "-function-sections"])
    }

    private static let expected = [
        "$s4Shop6WalkerV4stepyyF": "is now mutating",
        "$s4Shop6WalkerV5movedyyF": "is no longer mutating",
        "$s4Shop6WalkerV5eatenyyF": "no longer consumes self",
        "$s4Shop6WalkerV5placeSivg": "now throws",
        "$s4Shop6WalkerV5laterSivg": "has become async",
        "$s4Shop3BoxC2goSayS2icGyFS2icfU_": "captures otherwise than before: now 'm', 'k'",
        "$s4Shop3BoxC2goSayS2icGyFS2icfU0_": "captures otherwise than before: now 'k'",
        "$s4Shop3BoxC5outeryS2iF5innerL_yS2iF": "captures otherwise than before: now 'b', 'a'",
        "$s4Shop3anyQryF": "returns 'String' instead of 'Int'",
        "$s4Shop5valueQrvg": "returns 'String' instead of 'Int'",
    ]

    @Test func whatNamesLeaveOut() throws { try check(Self.edited.get()) }

    @Test(.enabled(if: Arm64SDK.options != nil)) func whatNamesLeaveOutForArm64() throws {
        let edited = try EditedSource(Self.old, Self.new, options: try #require(Arm64SDK.options))
        try check(edited)
        try checkConstants(edited)
    }

    private func check(_ edited: EditedSource) throws {
        let before = try #require(Fingerprint.all(of: edited.oldFile))
        let after = try #require(Fingerprint.all(of: edited.newFile))
        var found: [String: String] = [:]
        for (name, now) in after {
            if let former = before[name], let difference = now.difference(from: former) { found[name] = difference }
        }
        expect(
            Set(found.map { "\($0.key) \($0.value)" }).symmetricDifference(
                Self.expected.map { "\($0.key) \($0.value)" }), equals: [])
        expect(after["$s4Shop6TellerC4tellSiyYaKF"]?.isAsync, equals: true)
        expect(after["$s4Shop6TellerC4tellSiyYaKF"]?.throwsError, equals: true)
        #expect(after["$s4Shop6WalkerV4makeACyFZ"] != nil)
    }

    @Test func withoutDebuggingInformationNothingIsKnown() throws {
        let directory = try TemporaryDirectory("fingerprint")
        try runTool("objcopy", "--strip-debug", try Self.edited.get().oldFile.path, "\(directory.path)/bare.o")
        try expect(Fingerprint.all(of: ElfImage(path: "\(directory.path)/bare.o")), equals: nil)
    }

    @Test func functionsOfCAreKnownByTheirTypes() throws {
        let edited = try EditedSource(
            """
            extern "C" int scale(int x) { return x; }
            extern "C" int same(const char *text) { return text[0]; }
            extern "C" int result(void) { return 1; }
            """,
            """
            extern "C" int scale(double x) { return x; }
            extern "C" int same(const char *other) { return other[1]; }
            extern "C" long result(void) { return 1; }
            """, language: .cxx)
        let before = try #require(Fingerprint.all(of: edited.oldFile))
        let after = try #require(Fingerprint.all(of: edited.newFile))
        func difference(_ name: String) throws -> String? {
            try #require(after[name]).difference(from: try #require(before[name]))
        }
        try expect(difference("scale"), equals: "takes other arguments")
        try expect(difference("same"), equals: nil)
        try expect(difference("result"), equals: "returns 'long' instead of 'int'")
    }

    // MARK: Constants

    @Test func constantsAreStored() throws { try checkConstants(Self.edited.get()) }

    private func checkConstants(_ edited: EditedSource) throws {
        let constants = try InterfaceComparison(edited.oldFile, edited.newFile).constants
        var found: [String: ConstantChange] = [:]
        for change in ConstantChange.all(old: edited.old, new: edited.new, constants: constants) {
            found[Self.name(of: change)] = change
        }
        func bytes(_ number: UInt8) -> [UInt8] { [number, 0, 0, 0, 0, 0, 0, 0] }
        func isKept(_ part: String) -> Bool {
            found.contains { if case .kept = $0.value { $0.key.contains(part) } else { false } }
        }
        let pageSize = "$s4Shop8pageSizeSivp"
        let size = "$s4Shop6ConfigV4sizeSivpZ"
        expect(found[pageSize], equals: .store(name: pageSize, old: bytes(20), new: bytes(50)))
        expect(found[size], equals: .store(name: size, old: bytes(20), new: bytes(50)))
        let limit = try #require(found.first { $0.key.contains("5limit") })
        expect(limit.value, equals: .store(name: limit.key, old: bytes(7), new: bytes(8)))
        let ratio = "$s4Shop6ConfigV5ratioSdSgvpZ"
        let half: [UInt8] = [0, 0, 0, 0, 0, 0, 0xE0, 0x3F, 0]
        let quarter: [UInt8] = [0, 0, 0, 0, 0, 0, 0xD0, 0x3F, 0]
        expect(found[ratio], equals: .store(name: ratio, old: half, new: quarter))
        for name in ["7counter", "6secret", "6zeroed", "7current"] { #expect(isKept(name), "\(name)") }
        let text = "$s4Shop8lazyTextSSvp"
        expect(found[text], equals: .lazy(name: text, initialiser: "$s4Shop8lazyText_WZ", isLet: true))
        let closure = "$s4Shop9byClosureSaySiGvp"
        expect(found[closure], equals: .lazy(name: closure, initialiser: "$s4Shop9byClosure_WZ", isLet: true))
        let lazyVariable = try #require(found.first { $0.key.contains("12lazyVariable") })
        if case .lazy(_, _, let isLet) = lazyVariable.value {
            expect(isLet, equals: false)
        } else {
            Issue.record("\(lazyVariable)")
        }
        for name in ["$s4Shop11becomesLazySivp", "$s4Shop15becomesVariableSivp"] {
            if case .impossible = found[name] {
            } else {
                Issue.record("\(name): \(found[name].map { "\($0)" } ?? "nothing")")
            }
        }
        expect(found.count, equals: 13, "\(found.keys.sorted())")
        let unknown = ConstantChange.all(old: edited.old, new: edited.new, constants: nil)
        #expect(unknown.contains(.lazy(name: text, initialiser: "$s4Shop8lazyText_WZ", isLet: nil)))
    }

    private static func name(of change: ConstantChange) -> String {
        switch change {
        case .store(let name, _, _), .kept(let name, _), .lazy(let name, _, _), .impossible(let name, _),
            .relink(let name), .resized(let name):
            name
        }
    }
}
