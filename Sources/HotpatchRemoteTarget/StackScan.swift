import CPatchCore
import CPatchMachine
import Glibc
import HotpatchMemory
import HotpatchPlan

/// A conservative search of a stack, in chunks: from 128 bytes below SP (the red zone of the x86-64 psABI, 3.2.2) up to the thread's control
/// block or the first page that cannot be read, and no further than HP_STACK_SEARCH_BYTES.
struct StackScan {
    let memory: ProcMemory
    let limit: Int
    /// Left out of the comparison: the bits that sign a return address. A PC that the kernel has saved is not signed.
    let signatureBits: UInt64
    private(set) var scannedBytes = 0

    /// Searches the stack of a thread with these registers.
    init(of registers: hp_registers, memory: ProcMemory, signatureBits: UInt64 = 0) {
        self.init(memory: memory, limit: Self.limit(of: registers), signatureBits: signatureBits)
    }

    init(memory: ProcMemory, limit: Int, signatureBits: UInt64 = 0) {
        self.memory = memory
        self.limit = limit
        self.signatureBits = signatureBits
    }

    /// How many bytes of a thread's stack are to be searched. glibc keeps a thread's control block at the top of its stack, and no
    /// stack reaches across it. The libraries may be mapped right above, and reading on through them takes most of a millisecond.
    private static func limit(of registers: hp_registers) -> Int {
        var registers = registers
        let limit = Int(HP_STACK_SEARCH_BYTES)
        let (sp, tp) = (hp_registers_sp(&registers), hp_registers_tp(&registers))
        // The search begins 128 bytes below SP.
        return tp > sp && tp - sp < UInt64(limit) ? min(limit, Int(tp - sp) + 128) : limit
    }

    /// The first 8-byte word of a range that matches, with its address. The range comes first: nearly no word lies in it.
    mutating func first(
        from stackPointer: UInt64, in range: Range<UInt64>, where matches: (_ word: UInt64, _ address: UInt64) -> Bool
    ) -> (word: UInt64, address: UInt64)? {
        var address = (stackPointer &- 128) & ~7
        let (end, overflow) = address.addingReportingOverflow(UInt64(clamping: max(0, limit)))
        if overflow { return nil }
        var chunk = [UInt64](repeating: 0, count: 2048)
        while address < end {
            // To the end of a page, so that an unreadable page costs no readable words.
            let page = UInt64(MemoryPage.size)
            let size = min(UInt64(chunk.count * 8), end - address, 2 * page - address % page)
            let count = chunk.withUnsafeMutableBytes {
                memory.prefix(at: Address(address), into: .init(rebasing: $0[..<Int(size)]))
            }
            guard count >= 8 else { return nil }
            let significant = ~signatureBits
            let found = chunk.withUnsafeBufferPointer { words in
                (0..<count / 8).first {
                    (words[$0] & significant) &- range.lowerBound < UInt64(range.count)
                        && matches(words[$0], address &+ UInt64($0 * 8))
                }
            }
            if let found { return (chunk[found], address &+ UInt64(found * 8)) }
            scannedBytes += count
            address &+= UInt64(count & ~7)
        }
        return nil
    }
}

extension StackScan {
    /// Whether the stack of a stopped thread holds what looks like the kernel's signal frame.
    static func holdsSignalFrame(_ tracee: Tracees.Tracee, in memory: ProcMemory) -> Bool {
        var registers = tracee.registers
        let sp = hp_registers_sp(&registers) & ~7
        let page = UInt64(MemoryPage.size)
        var words: [UInt64] = []
        // Page by page: what lies above the stack may not be readable.
        while words.count < 1 << 15 {
            let address = sp &+ UInt64(words.count * 8)
            var chunk = [UInt64](repeating: 0, count: Int((page - address % page) / 8))
            let size = chunk.count * 8
            let count = chunk.withUnsafeMutableBytes { memory.prefix(at: Address(address), into: $0) }
            if count != size { break }
            words += chunk
        }
        let (below, count) = (Int(HP_NEIGHBOURS_BELOW), Int(HP_NEIGHBOURS))
        guard words.count >= count else { return true }
        return words.withUnsafeBufferPointer { words in
            (0...words.count - count).contains { start in
                // An address of user code, and in no page that is never mapped.
                (1 << 16..<1 << 56).contains(words[start + below])
                    && Architecture.current.isSavedPC(between: words.baseAddress! + start)
            }
        }
    }
}

enum MemoryPage {
    static let size = max(4096, Int(sysconf(Int32(_SC_PAGESIZE))))
}
