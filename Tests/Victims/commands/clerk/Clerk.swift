// Edited while it runs: what other files read, call and conform to.

/// What is drawn.
protocol Drawn {
    /* In this order: */ func outline() -> String
    var color: String { get }
}

func draw(_ drawn: any Drawn) -> String { drawn.outline() + " " + drawn.color }

enum Limits {
    static var size: Int {
        get { stored }
        set { stored = newValue }
    }
    nonisolated(unsafe) static var stored = 3
    static let five = Int("5")!
}

func twice(_ number: Int) -> Int { number * 2 }
func line(_ number: Int = 5) -> String { "line \(number)" }
nonisolated(unsafe) var four = 4
