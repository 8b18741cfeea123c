import CHotpatchLinux
import HotpatchELF
import HotpatchEngine
import HotpatchMemory
import HotpatchProcFS
import HotpatchRemoteTarget
import HotpatchSymbols

/// A process, looked at and not touched: stopped, traced or restricted ones too.
struct Inspection {
    let pid: Int32
    let map: ProcessMap
    let memory: ProcMemory
    let ledger: LedgerState

    /// For a ledger to be found between two changes of it, in nanoseconds.
    private static let longestLook: UInt64 = 10_000_000_000

    init(pid: Int32) throws(CommandError) {
        self.pid = pid
        do {
            // Where there is no such process, this says so.
            var first: ProcessMap? = try ProcessMap(pid: pid)
            do throws(MemoryError) { memory = try ProcMemory(pid: pid, writable: false) } catch {
                throw RemoteRefusal.procUnreadable(pid: pid, path: "/proc/\(pid)/mem", code: error.code)
            }
            let end = linux_monotonic_time() + Self.longestLook
            (map, ledger) = try LedgerState.read(
                of: { try first.take() ?? ProcessMap(pid: pid) }, memory: memory,
                until: { linux_monotonic_time() >= end })
        } catch { throw CommandError(error) }
    }

    /// The symbols of the process.
    func symbols(within time: ReadingTime = ReadingTime()) throws(CommandError) -> SymbolIndex {
        do {
            return try SymbolIndex(map: map, memory: memory, root: "/proc/\(pid)/root", time: time)
        } catch { throw CommandError(error) }
    }

    /// What a site's bytes say, whatever the ledger does; read once for all of its patches.
    struct Found {
        var bytes: [UInt8]
        var slot: Address?
        var isJump: Bool
        /// The replacement that hides another patch's, as it is to be printed.
        var newest: String
    }

    /// What became of a function or a value that a patch has replaced.
    enum Status: Equatable {
        /// The newest of all patches of it, and it does what it says.
        case inForce
        case notInForce
        /// Another patch hides it: which one, as it is to be printed.
        case below(String)
        case overwritten
        case notLoaded

        var text: String {
            switch self {
            case .inForce: "in force"
            case .notInForce: "not in force"
            case .below(let other): "below \(other)"
            case .overwritten: "overwritten by somebody else"
            case .notLoaded: "no longer loaded"
            }
        }
    }

    /// Nil where the code is gone.
    func found(at site: SiteRecord) -> Found? {
        guard let bytes = try? memory.bytes(at: site.patchAddress, count: site.detour.count) else { return nil }
        let slot = (try? memory.value(UInt64.self, at: site.slot)).map { Address($0) }
        let newest = ledger.replacement(for: site.entry).map { displayName($0.name) }
        return Found(
            bytes: bytes, slot: slot, isJump: ledger.isJump(bytes, of: site), newest: newest ?? "another patch")
    }

    func status(of site: SiteRecord, _ found: Found?, patch: PatchRecord, member: PatchRecord.Member) -> Status {
        guard let found else { return .notLoaded }
        if patch.state == .reverted { return .notInForce }
        if ledger.leads(found.bytes, slot: found.slot, of: site, to: member.replacement) { return .inForce }
        if found.isJump { return .below(found.newest) }
        return found.bytes == site.original ? .notInForce : .overwritten
    }
    func status(of location: DataRecord, patch: PatchRecord, store: PatchRecord.Store) -> Status {
        guard let bytes = try? memory.bytes(at: location.address, count: location.original.count) else {
            return .notLoaded
        }
        if patch.state == .reverted { return .notInForce }
        if bytes == store.bytes { return .inForce }
        if ledger.isStored(bytes, at: location) { return .below("another patch") }
        return bytes == location.original ? .notInForce : .overwritten
    }
}
