// Edited while it runs. Routes are stored closures, made once.

typealias Route = @Sendable (Int) async -> String

actor Counter {
    private var count = 0
    func next() -> Int {
        count += 1
        return count
    }
}

private protocol Label { func text() -> String }
private struct Plain: Label { func text() -> String { "plain" } }
private func label(of value: Any) -> String { (value as? any Label)?.text() ?? "no label" }
func plainLabel() -> Any { Plain() }

func makeRoutes(_ counter: Counter) -> [(String, Route)] {
    var routes: [(String, Route)] = []
    routes.append(("hello", { n in "hello v1" }))
    routes.append(("count", { n in "count v1 \(await counter.next())" }))
    routes.append(("page", { n in "page v1 \(helper(n))" }))
    return routes
}

private func helper(_ n: Int) -> String { "helper v1 \(n)" }

enum Limits { static let pageSize = 20 }
struct Meter {
    var level = 1
    func step() -> Int { level }
}
class Desk { func describe() -> String { "desk" } }
func shape() -> some CustomStringConvertible { 42 }

func probe(_ stored: Any) -> String { "probe v1 \(label(of: stored))" }
func makeAdder(_ k: Int) -> (Int) -> Int { { n in n + k } }
enum Kept { nonisolated(unsafe) static let adder = makeAdder(5) }

func sums() -> String { "\(Kept.adder(1)) \(makeAdder(1)(1))" }
func facts() -> String { "\(Limits.pageSize) \(Meter().step()) \(Desk().describe()) \(shape())" }
