import CShop
import Foundation

/// Sells items, and remembers them.
public actor Till {
    private var sold: [Item] = []
    private let pricing: any Pricing

    public init(pricing: any Pricing) { self.pricing = pricing }

    public func sell(_ item: Item) async throws -> String {
        try await check(item)
        sold.append(item)
        return receipt()
    }

    private func check(_ item: Item) async throws {
        await Task.yield()
        if item.name.isEmpty { throw TillError.noName }
    }

    private func receipt() -> String {
        "\(sold.count) sold, \(pricing.label), \(shop_with_tax(Int32(pricing.total(sold)))) in all"
    }
}

public enum TillError: Error { case noName }

/// What is written over the door.
public func motto() -> String {
    guard let file = Bundle.module.url(forResource: "motto", withExtension: "txt") else { return "no motto" }
    return (try? String(contentsOf: file, encoding: .utf8))?.trimmingCharacters(in: .newlines) ?? "no motto"
}
