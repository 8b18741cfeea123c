import Synchronization

/// Held by a test that patches this process: suites run side by side, and some revert all there is.
public final class PatchingTurn: Sendable {
    private struct Line: ~Copyable {
        var isTaken = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private static let line = Mutex(Line())

    /// Waits until no other test has it.
    public init() async {
        await withCheckedContinuation { continuation in
            let isFree = Self.line.withLock { line in
                if line.isTaken { line.waiting.append(continuation) }
                defer { line.isTaken = true }
                return !line.isTaken
            }
            if isFree { continuation.resume() }
        }
    }

    deinit {
        let next = Self.line.withLock { line in
            if line.waiting.isEmpty {
                line.isTaken = false
                return nil as CheckedContinuation<Void, Never>?
            }
            return line.waiting.removeFirst()
        }
        next?.resume()
    }
}
