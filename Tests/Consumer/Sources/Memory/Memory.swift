/// What fits in a petrol engine's tank, in litres.
public struct Tank: Sendable {
    public var content: Int
    public init(content: Int) { self.content = content }
}
