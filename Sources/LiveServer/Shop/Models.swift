public struct Item: Codable, Hashable, Sendable {
    public var name: String
    public var price: Int

    public init(name: String, price: Int) {
        self.name = name
        self.price = price
    }
}

public protocol Pricing: Sendable {
    func total(_ items: [Item]) -> Int
    var label: String { get }
}

extension Pricing { public var label: String { "plain" } }

public struct ListPricing: Pricing {
    public init() {}
    public func total(_ items: [Item]) -> Int { items.reduce(0) { $0 + $1.price } }
}

public enum Limits { public static let pageSize = 20 }
