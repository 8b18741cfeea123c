import HotpatchEngine
import HotpatchSymbols
import Synchronization

/// What a program hears of the changes that are made to its code from outside while it runs: by `swift-hotpatch watch` and
/// `swift-hotpatch apply` of objects.
///
/// New code runs from the next call on. What has run once, and keeps what it made, is as it was: a table of routes, a layout of a window.
/// A program that is told can make it again:
///
/// ```swift
/// HotReload.onChange { _ in await server.replaceRoutes(makeRoutes()) }
/// ```
///
/// In a program that nobody changes these cost nothing, and nothing ever arrives.
public enum HotReload {
    /// A change of the code of this process, as it is in force.
    public struct Change: Sendable, Hashable {
        /// What `swift-hotpatch list` calls it. Ascending: of changes that are made before the program could be told, it hears of the
        /// last.
        public let patch: UInt32
        /// The objects or the library that it comes from, by path.
        public let source: String
        /// The functions that run other code from now on, demangled.
        public let functions: [String]
    }

    /// Changes from now on, in their order. It ends with the task that waits for it.
    ///
    /// Each access is a subscription of its own. Of changes that nobody has taken yet, the newest 100 are kept.
    public static var changes: AsyncStream<Change> {
        AsyncStream(bufferingPolicy: .bufferingNewest(100)) { continuation in
            let number = subscribers.withLock { $0.add(continuation) }
            continuation.onTermination = { _ in subscribers.withLock { $0.remove(number) } }
        }
    }

    /// Runs something after each change, one after the other.
    /// - Parameter action: it runs on the concurrency runtime's threads, while the new code already runs on all others.
    /// - Returns: the task that waits for changes; cancelling it ends that.
    @discardableResult
    public static func onChange(_ action: @escaping @Sendable (Change) async -> Void) -> Task<Void, Never> {
        let changes = changes
        return Task.detached { for await change in changes { await action(change) } }
    }

    // MARK: What is told

    private struct Subscribers {
        private var continuations: [Int: AsyncStream<Change>.Continuation] = [:]
        private var next = 0
        private var lastPatch: UInt32 = 0

        var isEmpty: Bool { continuations.isEmpty }

        mutating func add(_ continuation: AsyncStream<Change>.Continuation) -> Int {
            next += 1
            continuations[next] = continuation
            return next
        }

        mutating func remove(_ number: Int) { continuations[number] = nil }

        /// Nobody hears of a change after a newer one.
        mutating func tell(_ change: Change) {
            guard change.patch > lastPatch else { return }
            lastPatch = change.patch
            for (_, continuation) in continuations { continuation.yield(change) }
        }
    }

    private static let subscribers = Mutex(Subscribers())

    /// Whoever has called this waits, and may hold what the ledger's reader needs: the rest is done by others.
    fileprivate static func codeChanged() {
        guard subscribers.withLock({ !$0.isEmpty }) else { return }
        Task.detached {
            guard let change = newest() else { return }
            subscribers.withLock { $0.tell(change) }
        }
    }

    private static func newest() -> Change? {
        try? LocalPatcher.with { (patcher) throws(PatchError) in
            let state = try patcher.engine().state()
            let fromOutside = state.patches.lazy.map(\.record).filter { $0.origin.fromOutside && $0.state == .applied }
            guard let patch = fromOutside.last else { return nil }
            let names = patch.members.map { state.site($0.site).name }
            return Change(
                patch: patch.id, source: patch.source, functions: names.map { Demangling.demangle($0) ?? $0 })
        }
    }
}

/// Called in this process, once a change that comes from outside is in force.
@_cdecl("swift_hotpatch_code_changed")
public func codeChangedFromOutside() { HotReload.codeChanged() }
