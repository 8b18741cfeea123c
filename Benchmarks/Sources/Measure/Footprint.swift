import HotpatchEngine
import Glibc
import Hotpatch
import HotpatchMemory
import HotpatchProcFS
import Subjects
import HotpatchSymbols
import Workload

/// Memory of 2,000 patches, by kind.
enum Footprint {
    static func measure(_ table: inout Table) throws {
        let figures = try freshProcess(["footprint"])
        let state = "2,000 C functions in one transaction"
        func add(_ what: String, _ name: String, _ note: String, goal: Double? = nil) {
            table.add(what, state + note, Sample([figures[name] ?? .nan]), unit: "B a patch", goal: goal)
        }
        add("executable pool: stubs", "stubs", ", with their alignment", goal: 64)
        add("executable pool: pages resident", "text-resident", ", from smaps")
        add("executable pool: address space", "text-mapped", "")
        add("slots", "slots", "")
        add("slots: pages resident", "data-resident", ", from smaps")
        add("ledger", "ledger", ", its records")
        add("ledger: pages resident", "ledger-resident", ", from smaps")
        add("heap that stays, handles dropped", "heap", ", mallinfo2")
        add("heap of the handles", "handles", ", mallinfo2")
        add("all that is resident", "resident", ": pools, ledger and heap, handles dropped")
    }

    static func printSample() throws {
        let index = try Workload.index()
        let engine = Workload.engine(index)
        try Patch.replace(symbol: "subject_plain", withSymbol: "subject_replacement").revert()
        // Whatever is computed once only is, by then.
        try Workload.install(from: Workload.batch)
        try Patch.revertAll()
        let before = try ledger()
        let heapBefore = heap()
        var handles = try Workload.install(from: 0)
        let heapWithHandles = heap()
        let originals = handles.map(\.originalAddress)
        handles = []
        let heapAfter = heap() - Double(originals.count * 8)
        let after = try ledger()

        let count = Double(Workload.batch)
        let sites = Set(originals)
        let state = try engine.state()
        let stubs = state.sites.filter { sites.contains($0.originalAddress) }
        // A stub begins on a multiple of 16 bytes.
        let stubBytes = stubs.reduce(0) { $0 + ($1.stub.upperBound - $1.stub.lowerBound + 15) / 16 * 16 }
        print("stubs", Double(stubBytes) / count)
        print("slots", 8)
        print("ledger", Double(after.used - before.used) / count)
        // Both batches of the pages.
        let installed = Double(state.sites.count)
        let text = try state.pools.reduce(0) { try $0 + resident($1.code) }
        let data = try state.pools.reduce(0) { try $0 + resident($1.data) }
        print("text-resident", Double(text) / installed)
        print("data-resident", Double(data) / installed)
        print("text-mapped", Double(state.pools.reduce(0) { $0 + $1.codeSize }) / installed)
        let ledgerResident = Double(after.resident - before.resident) / count
        print("ledger-resident", ledgerResident)
        print("heap", (heapAfter - heapBefore) / count)
        print("handles", (heapWithHandles - heapAfter) / count)
        print("resident", Double(text + data) / installed + ledgerResident + (heapAfter - heapBefore) / count)
    }

    private static func heap() -> Double {
        Double(subject_heap_in_use())
    }

    /// Bytes of records, and of pages that are resident, of all segments.
    private static func ledger() throws -> (used: Int, resident: Int) {
        var used = 0
        var total = 0
        for region in try ProcessMap(pid: getpid()).regions where region.path.hasPrefix("/memfd:hotpatch-ledger") {
            // An old edition, which a new one may be laid down in, has no records any more; its pages count.
            if try LocalMemory().bytes(at: region.range.lowerBound, count: 8).elementsEqual("HOTPATCH".utf8) {
                used += Int(try LocalMemory().value(UInt64.self, at: region.range.lowerBound + 40))
            }
            total += try resident(region.range)
        }
        return (used, total)
    }

    /// The Rss of the mappings that begin in a range (proc_pid_smaps(5)), in bytes.
    private static func resident(_ range: Range<Address>) throws -> Int {
        var total = 0
        var counts = false
        for line in try smaps().split(separator: "\n") {
            let words = line.split(separator: " ")
            if let start = words[0].split(separator: "-").first.flatMap({ UInt64($0, radix: 16) }),
                words[0].contains("-")
            {
                counts = range.contains(Address(start))
            } else if counts, words[0] == "Rss:", let kilobytes = Int(words[1]) {
                total += kilobytes << 10
            }
        }
        return total
    }
}
