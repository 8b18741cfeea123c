import CHotpatchLinux
import CPatchMachine
import Glibc
import HotpatchMemory
import HotpatchProcFS

/// A search of all memory of a process, this one or another, for words that lead into code: `hp_search`, with all that it takes in one block
/// of memory, so that it can go on while no thread may allocate.
package final class MemorySearch {
    private let pid: Int32
    private let code: [SearchedCode]
    private let block: UnsafeMutableRawPointer
    private let size: Int
    /// Lent to whoever holds the threads.
    package let flat: UnsafeMutablePointer<hp_search>
    private var threads: SearchedThreads

    /// - Parameter directory: where the process, or a thread of it, has its files in /proc; the process's where it is left out.
    /// - Throws: `MemoryError` where what is to be read of it cannot be opened; `SearchIsImpossible`.
    package convenience init(for code: [SearchedCode], of pid: Int32, directory: String? = nil) throws {
        // The last byte is nobody's: the unwinder's tree divides addresses there.
        let ranges = code.enumerated().flatMap { index, code in
            code.ranges.map { (range: $0.lowerBound..<max($0.lowerBound, $0.upperBound - 1), owner: index) }
        }
        try self.init(for: code, ranges, of: pid, directory: directory)
    }

    private init(
        for code: [SearchedCode], _ ranges: [(range: Range<Address>, owner: Int)], of pid: Int32, directory: String?
    ) throws {
        let ranges = ranges.sorted { $0.range.lowerBound < $1.range.lowerBound }
        for (index, (range, _)) in ranges.enumerated() {
            guard !range.isEmpty, index == 0 || range.lowerBound >= ranges[index - 1].range.upperBound else {
                throw SearchIsImpossible("what is to be searched for overlaps at \(range.lowerBound)")
            }
        }
        let ignored = code.enumerated().flatMap { index, code in code.ignored.map { (range: $0, owner: index) } }
        let count = ranges.count + ignored.count
        // In this order, each aligned as it needs.
        let rangesOffset = MemoryLayout<hp_search>.stride
        let codeOffset = rangesOffset + count * MemoryLayout<hp_word_range>.stride
        let bufferOffset = codeOffset + code.count * MemoryLayout<hp_searched_code>.stride
        let ownersOffset = bufferOffset + HP_SEARCH_BUFFER
        size = ownersOffset + count * MemoryLayout<UInt32>.stride
        guard let block = linux_reserve(size) else { throw MemoryError(address: .null, count: size, code: errno) }
        guard linux_make_writable(block, size) == 0 else {
            let code = errno
            _ = linux_munmap(block, size)
            throw MemoryError(address: .null, count: size, code: code)
        }
        self.block = block
        self.pid = pid
        self.code = code
        threads = SearchedThreads(pid: pid)
        flat = block.bindMemory(to: hp_search.self, capacity: 1)
        let rangesStart = (block + rangesOffset).bindMemory(to: hp_word_range.self, capacity: count)
        let ownersStart = (block + ownersOffset).bindMemory(to: UInt32.self, capacity: count)
        let codeStart = (block + codeOffset).bindMemory(to: hp_searched_code.self, capacity: code.count)
        // What is mapped anew is zero.
        (flat.pointee.maps, flat.pointee.pagemap, flat.pointee.memory) = (-1, -1, -1)
        flat.pointee.page_size = UInt64(sysconf(Int32(_SC_PAGESIZE)))
        flat.pointee.ranges = UnsafePointer(rangesStart)
        flat.pointee.owners = UnsafePointer(ownersStart)
        flat.pointee.range_count = ranges.count
        flat.pointee.ignored = UnsafePointer(rangesStart + ranges.count)
        flat.pointee.ignoring = UnsafePointer(ownersStart + ranges.count)
        flat.pointee.ignored_count = ignored.count
        flat.pointee.code = codeStart
        flat.pointee.code_count = code.count
        flat.pointee.buffer = (block + bufferOffset).bindMemory(
            to: UInt64.self, capacity: HP_SEARCH_BUFFER / 8)
        for (index, (range, owner)) in (ranges + ignored).enumerated() {
            rangesStart[index].start = range.lowerBound.rawValue
            rangesStart[index].end = range.upperBound.rawValue
            ownersStart[index] = UInt32(owner)
        }
        for (index, code) in code.enumerated() { codeStart[index].tables = code.tables.rawValue }
        if pid == linux_getpid() {
            flat.pointee.own.0 = hp_word_range(
                start: UInt64(UInt(bitPattern: block)), end: UInt64(UInt(bitPattern: block)) + UInt64(size))
        }
        let directory = directory ?? ProcDirectory.path(of: pid)
        func opened(_ name: String) throws -> Int32 {
            let file = linux_open("\(directory)/\(name)", O_RDONLY | O_CLOEXEC)
            if file >= 0 { return file }
            throw SearchIsImpossible(
                "nobody can tell whether anything leads into it: \(directory)/\(name) cannot be opened: "
                    + String(cString: strerror(errno)))
        }
        flat.pointee.maps = try opened("maps")
        flat.pointee.memory = try opened("mem")
        flat.pointee.pagemap = try opened("pagemap")
    }

    deinit {
        for descriptor in [flat.pointee.maps, flat.pointee.pagemap, flat.pointee.memory] where descriptor >= 0 {
            _ = linux_close(descriptor)
        }
        _ = linux_munmap(block, size)
    }

    // MARK: Searching

    /// Searches all that is mapped, while the process runs.
    /// - Parameter end: on the monotonic clock, in nanoseconds.
    /// - Throws: `SearchIsImpossible`.
    package func run(until end: UInt64) throws {
        hp_begin_search(flat)
        flat.pointee.is_held = false
        threads.held = []
        for place in threads.sleepers { look(at: place) }
        try searchMemory(
            until: { linux_monotonic_time() >= end },
            orFail: SearchIsImpossible("searching its memory takes too long"))
    }

    /// Begins a search of a process whose threads are all held.
    /// - Parameters:
    ///   - held: where they are.
    ///   - signatureBits: of code addresses (`hp_signature_bits`).
    package func begin(held: [SearchedThreads.Place], signatureBits: UInt64) {
        hp_begin_search(flat)
        flat.pointee.signature = signatureBits
        flat.pointee.is_held = true
        threads.held = held
        for place in held { look(at: place) }
    }

    private func look(at place: SearchedThreads.Place) {
        var pc = place.pc
        hp_search_registers(flat, &pc, 1, place.tid, HP_FOUND_PC)
    }

    /// Looks at words that a thread has in registers.
    package func look(at registers: UnsafeBufferPointer<UInt64>, of thread: Int32) {
        hp_search_registers(flat, registers.baseAddress, registers.count, thread, HP_FOUND_REGISTER)
    }

    /// Searches what is mapped.
    /// - Parameters:
    ///   - isOver: asked again and again, whether it has taken long enough.
    ///   - error: what is thrown then.
    /// - Throws: `SearchIsImpossible`.
    package func searchMemory(until isOver: () -> Bool, orFail error: SearchIsImpossible) throws {
        let result = withoutActuallyEscaping(isOver) { isOver in
            let question = Question(isOver)
            flat.pointee.context = Unmanaged.passUnretained(question).toOpaque()
            flat.pointee.is_over = { Unmanaged<Question>.fromOpaque($0!).takeUnretainedValue().isOver() }
            return withExtendedLifetime(question) { hp_search_memory(flat) }
        }
        if let failure = failure(result, orFail: error) { throw failure }
    }

    private final class Question {
        let isOver: () -> Bool

        init(_ isOver: @escaping () -> Bool) { self.isOver = isOver }
    }

    /// What to say of a search that has not come to its end; nil of one that has.
    package func failure(_ result: hp_search_result, orFail error: SearchIsImpossible) -> SearchIsImpossible? {
        let place = Address(flat.pointee.place)
        switch result {
        case HP_SEARCH_DONE: return nil
        case HP_SEARCH_OVER: return error
        case HP_SEARCH_NO_MAPPINGS: return SearchIsImpossible("its mappings cannot be read")
        case HP_SEARCH_NO_PAGES:
            return SearchIsImpossible("it cannot be told which of its pages at \(place) were written to")
        default:
            return SearchIsImpossible("its memory at \(place) (\(threads.name(of: region(at: place)))) cannot be read")
        }
    }

    // MARK: What was found

    package var searchedBytes: Int { Int(flat.pointee.searched_bytes) }

    /// By the places of the code among what was searched for, what leads there.
    package var found: [Int: String] {
        var found: [Int: String] = [:]
        for index in code.indices {
            let code = flat.pointee.code[index]
            let thread = threads.name(of: code.thread)
            switch hp_found(code.found) {
            case HP_FOUND_NOTHING: continue
            case HP_FOUND_PC: found[index] = "\(thread) stands in it"
            case HP_FOUND_REGISTER: found[index] = "a register of \(thread) leads into it"
            default:
                let place = Address(code.place)
                found[index] = "a word at \(place), \(threads.name(of: region(at: place), at: place)), leads into it"
            }
        }
        return found
    }

    private func region(at place: Address) -> Region? { (try? ProcessMap(pid: pid))?.region(containing: place) }

    /// How many words that were written to are one of some addresses: of each call that is suspended, one says where it goes on. More words
    /// than calls, perhaps: what was freed, and not used again, counts.
    /// - Parameter end: on the monotonic clock, in nanoseconds.
    /// - Throws: `MemoryError`, `SearchIsImpossible`.
    package static func count(of addresses: Set<Address>, in pid: Int32, until end: UInt64) throws -> Int {
        let search = try MemorySearch(
            for: [SearchedCode(ranges: [])], addresses.map { ($0..<$0 + 1, 0) }, of: pid, directory: nil)
        search.flat.pointee.counts = true
        try search.searchMemory(
            until: { linux_monotonic_time() >= end },
            orFail: SearchIsImpossible("searching its memory takes too long"))
        return search.flat.pointee.word_count
    }
}

/// Where the threads of a process are.
package struct SearchedThreads {
    package let pid: Int32
    /// Empty while the process runs.
    var held: [Place] = []

    package struct Place {
        package var tid: Int32
        package var sp: Address
        package var pc: UInt64

        package init(tid: Int32, sp: Address, pc: UInt64) {
            self.tid = tid
            self.sp = sp
            self.pc = pc
        }
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
    func name(of region: Region?, at place: Address? = nil) -> String {
        guard let region else { return "in no mapping" }
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
