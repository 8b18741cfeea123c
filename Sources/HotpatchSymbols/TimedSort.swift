import HotpatchELF

extension Array {
    private struct OutOfTime: Error {}

    /// Sorts, unless the time is over: then all elements are there, in any order.
    mutating func sort(
        within time: ReadingTime, _ what: @autoclosure () -> String, by precedes: (Element, Element) -> Bool
    ) {
        var comparisons = 0
        try? sort { left, right in
            comparisons &+= 1
            if time.isOver(at: comparisons, what()) { throw OutOfTime() }
            return precedes(left, right)
        }
    }
}
