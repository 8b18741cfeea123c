// Edited while it runs: constants that are initialised at their first use.
#if canImport(Glibc)
    import Glibc
#endif

struct Span {
    var from: Double
    var to: Double
    var unit: Unit?
    init(_ from: Double, _ to: Double) { (self.from, self.to, unit) = (from, to, .metres(2)) }
}
enum Unit { case feet, metres(Int) }
final class Till: @unchecked Sendable {
    var sold: Int
    init(_ sold: Int) { self.sold = sold }
}

enum Facts {
    static let greeting = "hello"
    static let long = "a text that does not fit into a small string, v1"
    static let span = Span(1, 2.5)
    static let wait = Duration.seconds(3)
    static let pair = (name: "pair", size: Span(0, 7))
    static let sentence = "\(greeting), \(base)"
    static let base = String(40 + 2)
    static let late = "late v1"
    // These are kept.
    static let till = Till(10)
    static let list = [1, 2, 3]
    static let home = place(of: "v1")
    nonisolated(unsafe) static var current = "current v1"
}
private func place(of text: String) -> Int { Int(getpid() - getpid()) + text.utf8.count }
private let secret = "secret v1"

func facts() -> String {
    "\(Facts.greeting) | \(Facts.long) | \(Facts.span.to) | \(Facts.wait) | \(Facts.pair.name) \(Facts.pair.size.to) | "
        + "\(Facts.sentence) | \(secret)"
}
func kept() -> String { "\(Facts.till.sold) \(Facts.list) \(Facts.home) \(Facts.current)" }
func plain() -> String { "plain v1" }
