public class Till {
    private var total = 0

    public init() {}

    public func take() -> String {
        total += 1
        return "\(total)"
    }
}

public actor Clerk {
    private var served = 0

    public init() {}

    public func serve() -> String {
        served += 1
        return "\(served)"
    }
}

public final class Shelf<Item> {
    private var items: [Item] = []

    public init() {}

    public var count: String { "\(items.count)" }
}

public struct Price {
    var amount = 5

    public init() {}

    public var text: String { "\(amount)" }
}

/// It may have subclasses.
open class Desk {
    var visits = 0

    public init() {}

    public func visit() -> String {
        visits += 1
        return "\(visits)"
    }
}
