import CHotpatchLinux
import CPatchMachine
import Glibc
import HotpatchEngine
import HotpatchMemory
import HotpatchProcFS

/// A conservative search of all memory of a process for words that lead into code.
///
/// Each word counts that lies at a multiple of its size, wherever it was written to: in variables, on stacks, also those of tasks that are
/// suspended, in what was freed and not used again. Left out is what nobody has written to: pages that do not exist, and those that
/// are still what a file says.
public struct MemorySearch {
    private let memory: ProcMemory
    private let pages: PageTable
    private let code: [SearchedCode]
    /// Ascending and disjoint; of each, whose it is.
    private var ranges: [hp_word_range] = []
    private var owners: [Int] = []
    /// The bits of code addresses that may hold a signature: `hp_signature_bits`.
    private var signatureBits: UInt64 = 0
    private var threads: Threads
    /// What leads into which code.
    public private(set) var found: [Int: String] = [:]
    public private(set) var searchedBytes = 0

    private static let chunk = 1 << 18

    /// - Parameter directory: of the process; by itself, /proc/PID.
    /// - Throws: `MemoryError` where `/proc/PID/pagemap` cannot be opened.
    package init(for code: [SearchedCode], of pid: Int32, directory: String? = nil, memory: ProcMemory) throws {
        threads = Threads(pid: pid)
        self.memory = memory
        self.code = code
        pages = try PageTable(directory ?? "/proc/\(pid)")
        let all = code.enumerated().flatMap { index, code in code.ranges.map { (range: $0, owner: index) } }
        for (range, owner) in all.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
            guard range.upperBound - range.lowerBound > 1, range.lowerBound.rawValue >= ranges.last?.end ?? 0 else {
                throw SearchIsImpossible("what is to be searched for overlaps at \(range.lowerBound)")
            }
            // The last byte is nobody's: the unwinder's tree divides addresses there.
            ranges.append(hp_word_range(start: range.lowerBound.rawValue, end: range.upperBound.rawValue - 1))
            owners.append(owner)
        }
    }

    /// How many words that were written to are one of some addresses: of each call that is suspended, one says where it goes on. More words
    /// than calls, perhaps: what was freed, and not used again, counts.
    /// - Throws: `MemoryError`, `SearchIsImpossible`.
    package static func count(
        of addresses: Set<Address>, in map: ProcessMap, of pid: Int32, memory: ProcMemory, until deadline: Deadline
    ) throws -> Int {
        let ranges = addresses.sorted().map { hp_word_range(start: $0.rawValue, end: $0.rawValue + 1) }
        let pages = try PageTable("/proc/\(pid)")
        let words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: chunk / 8)
        defer { words.deallocate() }
        var result = 0
        func search(_ run: Range<Address>) throws {
            var address = run.lowerBound
            while address < run.upperBound {
                if deadline.hasPassed { throw SearchIsImpossible("searching its memory takes too long") }
                let size = min(chunk, run.upperBound - address)
                let bytes = UnsafeMutableRawBufferPointer(start: words.baseAddress, count: size)
                let count = memory.prefix(at: address, into: bytes) / 8
                var (index, which) = (0, 0)
                while true {
                    index = hp_find_pointer(words.baseAddress, count, index, 0, ranges, ranges.count, &which)
                    guard index < count else { break }
                    result += 1
                    index += 1
                }
                address += size
            }
        }
        for region in map.regions where region.permissions.contains([.read, .write]) {
            var start = region.range.lowerBound
            while start < region.range.upperBound {
                let end = min(region.range.upperBound, start + PageTable.most * MemoryPage.size)
                for run in try pages.written(start..<end, of: region) { try search(run) }
                start = end
            }
        }
        return result
    }

    private var isDone: Bool { found.count == code.count }

    /// Searches what is mapped, while the process runs.
    /// - Throws: `SearchIsImpossible`.
    public mutating func run(_ map: ProcessMap, until deadline: Deadline) throws {
        for place in threads.sleepers { look(at: place) }
        try run(map) {
            if deadline.hasPassed { throw SearchIsImpossible("searching its memory takes too long") }
        }
    }

    /// Searches what is mapped.
    /// - Parameter check: called again and again; throws where it has taken long enough.
    /// - Throws: `SearchIsImpossible`, and what `check` throws.
    fileprivate mutating func run(_ map: ProcessMap, check: () throws -> Void) throws {
        // A leader that has ended alone shows none.
        guard ranges.allSatisfy({ map.region(containing: Address($0.start)) != nil }) else {
            throw SearchIsImpossible("its mappings cannot be read")
        }
        let words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: Self.chunk / 8)
        defer { words.deallocate() }
        for region in map.regions where !isDone && !Self.isKernels(region) && !LedgerState.isLedger(region) {
            // What runs and was not written to holds no addresses of code that came later, and neither does what was linked.
            if region.permissions.contains(.execute), !region.permissions.contains(.write) { continue }
            var start = region.range.lowerBound
            while start < region.range.upperBound, !isDone {
                try check()
                let end = min(region.range.upperBound, start + PageTable.most * MemoryPage.size)
                for run in try pages.written(start..<end, of: region) where !isDone {
                    try search(run, of: region, words, check)
                }
                start = end
            }
        }
    }

    /// Pages of the kernel's, which nobody writes to.
    private static func isKernels(_ region: Region) -> Bool {
        ["[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]"].contains(region.path)
    }

    private mutating func search(
        _ range: Range<Address>, of region: Region, _ words: UnsafeMutableBufferPointer<UInt64>,
        _ check: () throws -> Void
    ) throws {
        var address = range.lowerBound
        while address < range.upperBound, !isDone {
            try check()
            let size = min(Self.chunk, range.upperBound - address)
            let bytes = UnsafeMutableRawBufferPointer(start: words.baseAddress, count: size)
            let count = memory.prefix(at: address, into: bytes)
            guard count == size else {
                throw SearchIsImpossible(
                    "its memory at \(address + count) (\(threads.name(of: region))) cannot be read")
            }
            searchedBytes += count
            let threads = threads
            look(at: UnsafeBufferPointer(rebasing: words[..<(count / 8)]), from: address) { place in
                "a word at \(place), \(threads.name(of: region, at: place)), leads into it"
            }
            address += count
        }
    }

    /// Notes which code words lead into.
    /// - Parameter address: of the first; nil where they are registers.
    private mutating func look(
        at words: UnsafeBufferPointer<UInt64>, from address: Address?, _ describe: (Address) -> String
    ) {
        var index = 0
        while !isDone {
            var which = 0
            index = hp_find_pointer(
                words.baseAddress, words.count, index, signatureBits, ranges, ranges.count, &which)
            guard index < words.count else { return }
            let owner = owners[which]
            let place = (address ?? .null) + index * 8
            let isOwn =
                address != nil
                && (code[owner].ignored.contains { $0.contains(place) } || isUnwinders(place, code[owner].tables))
            if !isOwn, found[owner] == nil { found[owner] = describe(place) }
            index += 1
        }
    }

    /// Whether a word is in what the unwinder knows of some tables: a `struct object` of libgcc (unwind-dw2-fde.h), which begins with the
    /// first address and has the tables behind two other words, themselves or in front of an ordered copy; or, since version 13, an
    /// entry of a tree (unwind-dw2-btree.h) that has an address, a size, and such an object.
    private func isUnwinders(_ place: Address, _ tables: Address) -> Bool {
        func word(at place: Address) -> Address? {
            var word: UInt64 = 0
            let count = withUnsafeMutableBytes(of: &word) { memory.prefix(at: place, into: $0) }
            return count == 8 ? Address(word) : nil
        }
        func isObject(_ place: Address) -> Bool {
            guard let known = word(at: place + 24) else { return false }
            return known == tables || word(at: known) == tables
        }
        guard tables != .null else { return false }
        return isObject(place) || word(at: place + 16).map(isObject) ?? false
    }

    private mutating func look(at place: Threads.Place) {
        let threads = threads
        withUnsafePointer(to: place.pc) { pc in
            look(at: UnsafeBufferPointer(start: pc, count: 1), from: nil) { _ in
                "\(threads.name(of: place.tid)) stands in it"
            }
        }
    }
}

/// Where the threads of a process are.
private struct Threads {
    let pid: Int32
    /// Empty while the process runs.
    var held: [Place] = []

    struct Place {
        var tid: Int32
        var sp: Address
        var pc: UInt64
    }

    init(pid: Int32) { self.pid = pid }

    /// Those that sleep while the process runs.
    var sleepers: [Place] {
        ((try? TaskList(pid: pid))?.scan() ?? []).compactMap { tid in
            let glance = TaskGlance(pid: pid, tid: tid)
            guard let sp = glance.sp, let pc = glance.pc else { return nil }
            return Place(tid: tid, sp: Address(sp), pc: pc)
        }
    }

    func name(of tid: Int32) -> String {
        "thread \(tid)" + (KnownTask(pid: pid, tid: tid).map { " (\"\($0.name)\")" } ?? "")
    }

    /// - Parameter place: in it. What lies above where a thread's stack has grown to is that thread's.
    func name(of region: Region, at place: Address? = nil) -> String {
        if let place {
            let stacks = (held.isEmpty ? sleepers : held).filter { region.range.contains($0.sp) && $0.sp <= place }
            if let stack = stacks.max(by: { $0.sp < $1.sp }) { return "on the stack of \(name(of: stack.tid))" }
        }
        return switch region.path {
        case "": "in memory without a name"
        case "[heap]": "on the heap"
        case "[stack]": "on the main thread's stack"
        default: "in \(region.path)"
        }
    }
}

/// Which pages a process has, and what they are.
private final class PageTable {
    private let descriptor: Int32
    private let entries = UnsafeMutablePointer<UInt64>.allocate(capacity: most)
    /// Pages that are asked for at once.
    static let most = 1 << 15

    init(_ directory: String) throws(MemoryError) {
        descriptor = linux_open(directory + "/pagemap", O_RDONLY | O_CLOEXEC)
        if descriptor < 0 {
            entries.deallocate()
            throw MemoryError(address: .null, count: 0, code: errno)
        }
    }

    deinit {
        _ = linux_close(descriptor)
        entries.deallocate()
    }

    /// Runs of pages in which something was, or may have been, written.
    func written(_ range: Range<Address>, of region: Region) throws -> [Range<Address>] {
        // Another process may have written to what they share, in pages that this one has never looked at.
        if region.permissions.contains(.shared) { return [range] }
        let size = MemoryPage.size
        let total = (range.upperBound - range.lowerBound) / size
        let offset = Int64(range.lowerBound.rawValue / UInt64(size) * 8)
        guard linux_pread(descriptor, UnsafeMutableRawPointer(entries), total * 8, offset) == total * 8 else {
            throw SearchIsImpossible("it cannot be told which of its pages at \(range.lowerBound) were written to")
        }
        var runs: [Range<Address>] = []
        var start = hp_find_page(entries, total, 0, true)
        while start < total {
            let end = hp_find_page(entries, total, start, false)
            runs.append(range.lowerBound + start * size..<range.lowerBound + end * size)
            start = hp_find_page(entries, total, end, true)
        }
        return runs
    }
}

extension StoppedProcess {
    /// Looks for words that lead into code in all registers, and in all memory.
    /// - Throws: `SearchIsImpossible`, also where it takes longer than threads may be held; what `ProcessMap` throws.
    borrowing func search(_ search: MemorySearch, in process: RemoteProcess) throws -> [Int: String] {
        let session = session
        let result: Result<[Int: String], any Error> = session.tracer.run {
            Result {
                var search = search
                try search.lookAtRegisters(of: session.tracees)
                try search.run(ProcessMap(pid: process.pid)) {
                    if session.excess != nil { throw SearchIsImpossible.tooLong }
                }
                return search.found
            }
        }
        return try result.get()
    }
}

extension MemorySearch {
    /// More than any processor saves of a thread, in words.
    private static let registers = 8192

    fileprivate mutating func lookAtRegisters(of tracees: Tracees) throws {
        signatureBits = tracees.signatureBits
        let words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: Self.registers)
        defer { words.deallocate() }
        threads.held = tracees.tracees.map { tracee in
            var registers = tracee.registers
            return .init(tid: tracee.tid, sp: Address(hp_registers_sp(&registers)), pc: hp_registers_pc(&registers))
        }
        let threads = threads
        for (tracee, place) in zip(tracees.tracees, threads.held) {
            look(at: place)
            let describe = { (_: Address) in "a register of \(threads.name(of: tracee.tid)) leads into it" }
            withUnsafeBytes(of: tracee.registers) { registers in
                registers.withMemoryRebound(to: UInt64.self) { look(at: $0, from: nil, describe) }
            }
            let size = hp_vector_registers(tracee.tid, words.baseAddress, words.count * 8)
            guard size > 0 else {
                throw SearchIsImpossible("the registers of its thread \(tracee.tid) cannot be read")
            }
            look(at: UnsafeBufferPointer(rebasing: words[..<(size / 8)]), from: nil, describe)
        }
    }
}
