import Engine
import Memory
import RemoteTarget
import Symbols

/// A process, looked at and not touched: stopped, traced or restricted ones too.
struct Inspection {
    let pid: Int32
    let map: ProcessMap
    let memory: ProcMemory
    let ledger: LedgerState

    init(pid: Int32) throws(CommandError) {
        self.pid = pid
        do {
            map = try ProcessMap(pid: pid)
            do throws(MemoryError) { memory = try ProcMemory(pid: pid, writable: false) } catch {
                throw RemoteRefusal.procUnreadable(pid: pid, path: "/proc/\(pid)/mem", code: error.code)
            }
            ledger = try LedgerState(of: map, memory: memory)
        } catch { throw CommandError(error) }
    }

    /// The symbols of the process.
    func symbols() throws(CommandError) -> SymbolIndex {
        do {
            return try SymbolIndex(map: map, memory: memory, root: "/proc/\(pid)/root")
        } catch { throw CommandError(error) }
    }

    /// What a site's bytes say, whatever the ledger does.
    func status(of site: SiteRecord, patch: PatchRecord, member: PatchRecord.Member) -> String {
        guard let found = try? memory.bytes(at: site.patchAddress, count: site.detour.count) else {
            return "no longer loaded"
        }
        if patch.state == .reverted { return "not in force" }
        let slot = (try? memory.value(UInt64.self, at: site.slot)).map { Address($0) }
        if ledger.leads(found, slot: slot, of: site, to: member.replacement) { return "in force" }
        if ledger.isJump(found, of: site) {
            let newer = ledger.replacement(for: site.entry)
            return newer.map { "below \(displayName($0.name))" } ?? "below another patch"
        }
        return found == site.original ? "not in force" : "overwritten by somebody else"
    }
}
