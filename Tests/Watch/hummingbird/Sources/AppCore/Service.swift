import CUtil
import Foundation

public final class Service: @unchecked Sendable {
    @TaskLocal public static var requestID = "none"
    private let pricing: any Pricing
    private var tally = Tally()

    public init(pricing: any Pricing) { self.pricing = pricing }

    public func describe(_ items: [Item]) -> String {
        "service 0, \(named(items.count)), \(pricing.label), \(badge()), tally \(tally.next()), for \(Self.requestID), "
            + "scaled \(cutil_scale(0)), \(pricing.total(items)) in all"
    }

    private func named(_ count: Int) -> String { "items 0 \(count)" }

    public func page() -> String { "page \(Limits.pageSize) \(Limits.banner) limit \(pageLimit())" }
}

struct Tally {
    private let first = 7
    func next() -> Int { first }
}

func badge() -> some CustomStringConvertible { "badge 0" }

func pageLimit() -> Int { Limits.pageSize * 2 }

public func greeting() -> String {
    guard let file = Bundle.module.url(forResource: "greeting", withExtension: "txt") else { return "no greeting" }
    return (try? String(contentsOf: file, encoding: .utf8))?.trimmingCharacters(in: .newlines) ?? "unreadable"
}
