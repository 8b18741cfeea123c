import Glibc
import HotpatchMemory
import HotpatchProcFS

/// Which process is whose child, at one moment.
struct ChildTable {
    struct Entry: Hashable {
        var pid: Int32
        var parent: Int32
        var startTime: UInt64
        var isZombie = false
    }

    var entries: [Int32: Entry]

    init(_ entries: [Entry]) { self.entries = Dictionary(entries.map { ($0.pid, $0) }) { first, _ in first } }

    /// The table of all processes, as /proc shows them now.
    static func now() -> ChildTable {
        var entries: [Entry] = []
        for name in DirectoryList.entries(of: "/proc").map(\.name) {
            guard let pid = Int32(name), let stat = try? ProcStat(ofProcess: pid) else { continue }
            entries.append(
                Entry(pid: pid, parent: stat.parent, startTime: stat.startTime, isZombie: "ZX".contains(stat.state)))
        }
        return ChildTable(entries)
    }

    /// Processes and their descendants, parents first, and older before younger.
    /// - Parameter known: with the time they were started at: others of that number do not count.
    func family(of known: [Int32: UInt64]) -> [Entry] {
        let children = Dictionary(grouping: entries.values) { $0.parent }
        var family: [Entry] = []
        var found: Set<Int32> = []
        func byAge(_ entries: [Entry]) -> [Entry] { entries.sorted { ($0.startTime, $0.pid) < ($1.startTime, $1.pid) } }
        func isKnown(_ entry: Entry) -> Bool { known[entry.pid] == entry.startTime }
        // A known one is often another's descendant: it comes behind that.
        func hasKnownAncestor(_ entry: Entry) -> Bool {
            var passed: Set<Int32> = []
            var next = entries[entry.parent]
            while let ancestor = next, passed.insert(ancestor.pid).inserted {
                if isKnown(ancestor) { return true }
                next = entries[ancestor.parent]
            }
            return false
        }
        var waiting = byAge(known.keys.compactMap { entries[$0] }.filter { isKnown($0) && !hasKnownAncestor($0) })
        while !waiting.isEmpty {
            var next: [Entry] = []
            for entry in waiting where found.insert(entry.pid).inserted {
                family.append(entry)
                next += children[entry.pid] ?? []
            }
            waiting = byAge(next)
        }
        return family
    }
}
