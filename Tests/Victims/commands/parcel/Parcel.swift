// Edited while it runs: types that edits add, and lay out otherwise, and that move to the other file.
protocol Named { var name: String { get } }
// Point
struct Point: Hashable, Named {
    var x: Int
    var name: String { "point \(x)" }
}
enum Way: String, CaseIterable { case left, right }
struct Box<Value> {
    var value: Value
    func twice() -> [Value] { [value, value] }
}
extension Box: Equatable where Value: Equatable {}
// Items

nonisolated(unsafe) var kept: [any Named] = [Point(x: 1)]
func report() -> String { "nothing" }
