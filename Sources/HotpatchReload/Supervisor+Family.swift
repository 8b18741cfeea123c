import Glibc
import HotpatchMemory
import HotpatchProcFS

extension Supervisor {
    /// The processes of the command that live, parents first.
    func family() -> [ChildTable.Entry] {
        let before = known
        for _ in 0..<Self.looks {
            let living = livingFamily()
            if !living.isEmpty || before.isEmpty { return living }
            // While the processes were listed, the last of them may have left one behind that was not listed yet.
            known = before
        }
        known = root.map { [$0.pid: $0.startTime] } ?? [:]
        return []
    }

    /// Before it is believed that none is left.
    private static let looks = 3

    private func livingFamily() -> [ChildTable.Entry] {
        guard !known.isEmpty else { return [] }
        let table = ChildTable.now()
        let own = ProcStat.ownID() ?? getpid()
        // One whose parent has ended before it was ever seen.
        for entry in table.entries.values
        where entry.parent == own && known[entry.pid] == nil && !entry.isZombie && isMarked(entry.pid) {
            known[entry.pid] = entry.startTime
        }
        let all = table.family(of: known)
        let living = all.filter { !$0.isZombie }
        for entry in all where entry.isZombie && entry.parent == own {
            if entry.pid == root?.pid || entry.pid == programHandle?.pid || entry.pid == ending?.handle.pid { continue }
            waitpid(entry.pid, nil, WNOHANG)
        }
        known = Dictionary(living.map { ($0.pid, $0.startTime) }) { first, _ in first }
        if let root { known[root.pid] = root.startTime }
        return living
    }

    /// What the parent of a process executes; nil where it cannot be read.
    package func parentExecutable(of process: SupervisedProcess) -> String? {
        (try? ProcStat(ofProcess: process.pid)).flatMap { executable(of: $0.parent) }
    }

    private func isMarked(_ pid: Int32) -> Bool {
        guard let environment = try? ProcText.read(ProcDirectory.path(of: pid) + "/environ", limit: 4 << 20) else {
            return false
        }
        let mark = Array("\(Self.environmentMark)=\(mark)".utf8)
        return environment.split(separator: 0).contains { $0.elementsEqual(mark) }
    }
}
