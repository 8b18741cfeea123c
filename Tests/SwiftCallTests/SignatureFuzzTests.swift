import Glibc
import HotpatchDemangle
import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchSwiftCall

/// Names and types that nobody has written: each ends in a value or an error, and soon. `MUTANTS` says how many (default 4,000),
/// `SEED` which.
@Suite struct SignatureFuzzTests {
    private static let count = getenv("MUTANTS").flatMap { Int(String(cString: $0)) } ?? 4000

    /// Pieces of the demangler's language, and of the mangling's.
    private static let words: [String] = [
        " -> ", "() -> ()", "(", ")", "<", ">", "[", "]", " : ", ", ", ".", "...", "?", " & ", "any ", "some ",
        "inout ",
        "__owned ", "__shared ", "sending ", "isolated ", "_const ", "@escaping ", "@Sendable ", "@isolated(any) ",
        "@convention(c) ", "@Swift.MainActor ", "@autoclosure ", "nonisolated(nonsending) ", " async", " throws",
        " throws(",
        ".Type", ".Protocol", "(extension in Shop):", "(in _A1)", "(P in _A1)", "(unknown context at $1).", "Self", "A",
        "A1",
        "A.Element", " == ", "Swift.Int", "Swift.Optional<", "Shop.Cart", "static ", "`self`", "`", ".getter : ",
        ".setter : ", ".subscript", ".init(", "__allocating_init(", " infix(", "+ prefix", " with unmangled suffix \"",
        "#1 ",
        "repeat ", "Pack{", "each ", "~Swift.Copyable", "-1", "4", "é", "👍", "\u{0}", "\u{7f}", "$s", " in ",
        " where A: ",
    ]
    private static let fragments: [String] = [
        "Si", "SS", "Sg", "V", "C", "O", "P", "F", "fC", "fc", "vg", "vs", "ig", "is", "Z", "Ya", "K", "YK", "Yb", "z",
        "n", "h",
        "t", "_t", "y", "x", "q_", "l", "lF", "Qr", "D", "m", "Xp", "_p", "XE", "c", "d", "A", "AA", "S2i", "4Shop",
        "5price",
        "TA", "TR", "Tu", "TY0_", "Tm", "WOh", "fU_", "L_", "LL", "33_A1B871D5C60CAE851E4FB20D25D6EF8C", "0", "9",
        "99999999",
        "s", "So", "SC", "E", "Rz", "r", "Rvz", "Rv_", "SiRVz", "xxQp", "G", "Bi64_", "Yi", "Yc", "YA", "YT", "Yu", "$",
        ".", "_", "ScM", "e",
    ]

    private static let rows = SignatureTests.table("accepted.txt") + SignatureTests.table("refused.txt")
    private static let texts = rows.map { SwiftDemangler.demangle($0.symbol) ?? $0.symbol }
    private static let closures = SignatureTests.table("accepted.txt").map { $0.rest[1] }

    private static func mutate(
        _ text: String, with words: [String], others: [String], using random: inout SeededGenerator
    ) -> String {
        var bytes = Array(text.utf8)
        for _ in 0..<Int.random(in: 1...5, using: &random) {
            let index = Int.random(in: 0...bytes.count, using: &random)
            let end = min(bytes.count, index + Int.random(in: 0...12, using: &random))
            switch Int.random(in: 0..<7, using: &random) {
            case 0: bytes.removeSubrange(index..<end)
            case 1, 2: bytes.insert(contentsOf: words.randomElement(using: &random)!.utf8, at: index)
            case 3: bytes.replaceSubrange(index..<end, with: words.randomElement(using: &random)!.utf8)
            case 4: if index < bytes.count { bytes[index] = UInt8.random(in: 1...255, using: &random) }
            case 5:
                let piece = Array(bytes[index..<end])
                for _ in 0..<Int.random(in: 1...20, using: &random) { bytes.insert(contentsOf: piece, at: index) }
            default:
                // The rest of another.
                let other = Array(others.randomElement(using: &random)!.utf8)
                let from = Int.random(in: 0...other.count, using: &random)
                bytes.replaceSubrange(index..., with: other[from...])
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// An issue for each that takes this thread more than a second of a processor, a thousand times what it should.
    private static func timed(_ text: String, _ body: () -> Void) {
        func now() -> Duration {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
        }
        let start = now()
        body()
        let time = now() - start
        if time > .seconds(1) { Issue.record("\(time) for \(text)") }
    }

    private static let facts = FunctionFacts(selfUse: .borrowed, throwsError: false, isAsync: false, isOptimised: false)

    @Test func readableNames() {
        var random = SeededGenerator(seed: testSeed())
        var read = 0
        for _ in 0..<Self.count {
            let row = Self.rows.randomElement(using: &random)!
            let text = Self.mutate(
                SwiftDemangler.demangle(row.symbol) ?? "", with: Self.words, others: Self.texts, using: &random)
            let closure = Self.closures.randomElement(using: &random)!
            Self.timed(text) {
                let signature = try? SwiftSignature(mangled: row.symbol) {
                    $0 == row.symbol ? text : SwiftDemangler.demangle($0)
                }
                if signature != nil { read += 1 }
                do { _ = try signature?.match(closure: closure, Self.facts, isConcreteContext: true) } catch {
                    _ = "\(error)"
                }
                _ = FunctionValueOrigin(entry: text)
            }
        }
        // Those that are not read at all test little.
        #expect(read > Self.count / 40, "\(read)")
    }

    @Test func closureTypes() {
        var random = SeededGenerator(seed: testSeed())
        var read = 0
        let add = try? SwiftSignature(mangled: "$s3Zoo3addyS2i_SitF")
        for _ in 0..<Self.count {
            let closure = Self.mutate(
                Self.closures.randomElement(using: &random)!, with: Self.words, others: Self.closures, using: &random)
            Self.timed(closure) {
                do { _ = try add?.match(closure: closure, Self.facts) } catch { _ = "\(error)" }
                var parser = SignatureParser(closure)
                guard let function = try? parser.function(), parser.isAtEnd else { return }
                read += 1
                // The address alone is kept of these.
                guard !closure.contains("(unknown context at ") else { return }
                // What was read says the same when it is written and read again, and is normal when it has been made so.
                let text = DemanglerSpelling.text(function)
                var again = SignatureParser(text)
                let copy = try? again.function()
                expect(copy?.normalised(), equals: function.normalised(), "\(closure) is written \(text)")
                expect(function.normalised().normalised(), equals: function.normalised(), "\(closure)")
                _ = TypeSpelling(for: [.function(function)]).text(function)
            }
        }
        #expect(read > Self.count / 20, "\(read)")
    }

    /// Also the runtime's demangler, which gets what it never made.
    @Test func mangledNames() {
        var random = SeededGenerator(seed: testSeed())
        let symbols = Self.rows.map(\.symbol)
        var demangled = 0
        for _ in 0..<Self.count {
            let symbol = Self.mutate(
                symbols.randomElement(using: &random)!, with: Self.fragments, others: symbols, using: &random)
            Self.timed(symbol) {
                if SwiftDemangler.demangle(symbol) != nil { demangled += 1 }
                _ = EscapeMarks.text(of: symbol, SwiftDemangler.demangle)
                do {
                    _ = try SwiftSignature(mangled: symbol).match(
                        closure: Self.closures.randomElement(using: &random)!, Self.facts, isConcreteContext: true)
                } catch { _ = "\(error)" }
            }
        }
        #expect(demangled > Self.count / 20, "\(demangled)")
    }

    /// The longest names take no longer than the length allows.
    @Test func longNames() {
        for unit in ["V", "SgSg", "5priceV", "AAC", "y", "Si_", "4ShopO", "c", "AA", "So8timespecV"] {
            for length in [1000, 16 << 10, 17 << 10] {
                let symbol = "$s4Shop" + String(repeating: unit, count: length / unit.utf8.count) + "yyF"
                Self.timed("\(unit) \(length)") { _ = try? SwiftSignature(mangled: symbol) }
            }
        }
        // A readable name of any length for a symbol of any length.
        for unit in [
            "Cart.", "(in _A).", "<A>.", "(x: Swift.Int) ", "+ ", "static ", "a.getter : ", " with ", "() -> ",
        ] {
            let text = "Shop." + String(repeating: unit, count: 5_000) + "f() -> ()"
            let symbol = "$s" + String(repeating: "4CartV", count: 1_000) + "F"
            Self.timed(unit) {
                _ = try? SwiftSignature(mangled: symbol) { $0 == symbol ? text : nil }
                var parser = SignatureParser(text)
                _ = try? parser.type()
                _ = FunctionValueOrigin(entry: text)
            }
        }
    }
}
