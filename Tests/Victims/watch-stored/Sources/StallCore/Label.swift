/// Counts its objects.
public final class Label {
    nonisolated(unsafe) static var count = 0
    var text = "new"

    init() { Label.count += 1 }

    deinit { Label.count -= 1 }
}

public var labels: String { "\(Label.count)" }

extension Till {
    public var summary: String { "none" }
}
