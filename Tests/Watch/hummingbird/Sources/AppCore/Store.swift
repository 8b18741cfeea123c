public actor Store {
    private var count = 0
    private var items: [Item] = []

    public init() {}

    public func increment() -> Int {
        count += 1
        return count
    }

    public func add(_ item: Item) async throws -> Int {
        try await check(item)
        items.append(item)
        return items.count
    }

    private func check(_ item: Item) async throws {
        await Task.yield()
        if item.name.isEmpty { throw StoreError.noName }
    }

    public func all() -> [Item] { items }
}

public enum StoreError: Error { case noName }
