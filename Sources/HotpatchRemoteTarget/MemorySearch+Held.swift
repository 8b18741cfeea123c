import CPatchMachine
import HotpatchEngine
import HotpatchMemory
import HotpatchProcFS

extension StoppedProcess {
    /// Looks for words that lead into code in all registers, and in all memory.
    /// - Throws: `SearchIsImpossible`, also where it takes longer than threads may be held.
    borrowing func search(_ search: MemorySearch, in process: RemoteProcess) throws -> [Int: String] {
        let session = session
        let shared = Lent(search)
        let result: Result<[Int: String], any Error> = session.tracer.run {
            Result {
                let search = shared.search
                try search.lookAtRegisters(of: session.tracees)
                try search.searchMemory(until: { session.excess != nil }, orFail: .tooLong)
                return search.found
            }
        }
        return try result.get()
    }
}

/// To the thread that traces, while the one that lends it waits.
private struct Lent: @unchecked Sendable {
    let search: MemorySearch

    init(_ search: MemorySearch) { self.search = search }
}

extension MemorySearch {
    /// More than any processor saves of a thread, in words.
    private static let registers = 8192

    fileprivate func lookAtRegisters(of tracees: Tracees) throws {
        let words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: Self.registers)
        defer { words.deallocate() }
        let held = tracees.tracees.map { tracee in
            var registers = tracee.registers
            return SearchedThreads.Place(
                tid: tracee.tid, sp: Address(hp_registers_sp(&registers)), pc: hp_registers_pc(&registers))
        }
        begin(held: held, signatureBits: tracees.signatureBits)
        for tracee in tracees.tracees {
            withUnsafeBytes(of: tracee.registers) { registers in
                registers.withMemoryRebound(to: UInt64.self) { look(at: $0, of: tracee.tid) }
            }
            let size = hp_vector_registers(tracee.tid, words.baseAddress, words.count * 8)
            guard size > 0 else {
                throw SearchIsImpossible("the registers of its thread \(tracee.tid) cannot be read")
            }
            look(at: UnsafeBufferPointer(rebasing: words[..<(size / 8)]), of: tracee.tid)
        }
    }
}
