// Edited while it runs: it begins to use what has thread-locals.

final class Loom: Sendable {
    func weave(_ n: Int) -> String { "weaves \(n)" }
}
