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
        /// The newest patch in force, as `swift-hotpatch list` calls it; 0 where all are taken back.
        public let patch: UInt32
        /// The objects that the patch comes from, by path.
        public let sources: [String]
        /// The functions that run the code of this patch since, demangled; empty where patches were taken back.
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

        mutating func tell(_ patch: UInt32, _ sources: [String], _ functions: [String]) {
            let change = Change(patch: patch, sources: sources, functions: patch > lastPatch ? functions : [])
            lastPatch = patch
            for (_, continuation) in continuations { continuation.yield(change) }
        }
    }

    private static let subscribers = Mutex(Subscribers())

    /// Whoever has called this waits, and may hold what the ledger's reader needs: the rest is done by others.
    fileprivate static func codeChanged() {
        guard subscribers.withLock({ !$0.isEmpty }) else { return }
        Task.detached {
            let told: Void? = try? LocalPatcher.with { (patcher) throws(PatchError) in
                let state = try patcher.engine().state()
                let records = state.patches.lazy.map(\.record)
                let patch = records.filter { $0.origin.fromOutside && $0.state == .applied }.last
                let names = patch?.members.map { state.site($0.site).name } ?? []
                // Inside, so that changes are told in their order.
                subscribers.withLock {
                    $0.tell(
                        patch?.id ?? 0, patch?.objects ?? [],
                        names.map { Demangling.demangle($0) ?? $0 })
                }
            }
            if told == nil { subscribers.withLock { $0.tell(0, [], []) } }
        }
    }
}

/// Called in this process, once a change that comes from outside is in force.
@_cdecl("swift_hotpatch_code_changed")
public func codeChangedFromOutside() { HotReload.codeChanged() }
