public struct Item: Codable, Hashable, Sendable {
    public var name: String
    public var price: Double

    public init(name: String, price: Double) {
        self.name = name
        self.price = price
    }
}

public protocol Pricing: Sendable {
    func total(_ items: [Item]) -> Double
    var label: String { get }
}

extension Pricing { public var label: String { "label 0" } }

public struct ListPricing: Pricing {
    public init() {}
    public func total(_ items: [Item]) -> Double { items.reduce(0) { $0 + $1.price } }
}

public enum Limits {
    public static let pageSize = 20
    public static let banner = "banner 0"
}
