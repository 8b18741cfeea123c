import CHotpatchLinux
import HotpatchMemory
import HotpatchProcFS

extension LedgerState {
    /// Reads the ledger of a process while others may patch it: what was read while it was written is read again.
    ///
    /// Nobody who reads can keep a patcher from writing. Records are only ever added, but an edition that is retired is soon written
    /// over, and a mapping that no commit has used is unmapped. So what cannot be read, or says what no ledger says, is an error only
    /// where the headers of all segments, which every commit changes, are the same before and after.
    ///
    /// - Parameters:
    ///   - map: reads the mappings of the process.
    ///   - isOutOfTime: whether to give up, where the ledger changes all the time.
    ///   - state: reads the ledger that lies in such mappings.
    /// - Returns: the ledger, and the mappings that it was found in.
    /// - Throws: `LedgerError` where it is damaged, `MemoryError` where it cannot be read, and what `map` throws.
    package static func read(
        of map: () throws -> ProcessMap, memory: any MemoryReader, until isOutOfTime: () -> Bool,
        _ state: (ProcessMap) throws -> LedgerState
    ) throws -> (map: ProcessMap, state: LedgerState) {
        var pause: UInt64 = 50_000
        var looks = 3
        while true {
            let before = try map()
            let headers = Ledger.headers(of: before, memory: memory)
            do {
                let state = try state(before)
                // Records of two editions are no ledger, though each can be read.
                let after = try? Ledger.layout(of: before, memory: memory)
                let isWhole = after.map { $0.segments.map(\.edition) == state.layout.segments.map(\.edition) } ?? false
                if isWhole || isOutOfTime() { return (before, state) }
            } catch {
                if try Ledger.headers(of: map(), memory: memory) == headers { looks -= 1 }
                if looks == 0 || isOutOfTime() { throw error }
            }
            linux_sleep(pause)
            pause = min(pause * 2, 5_000_000)
        }
    }
}

extension LedgerState {
    package static func read(
        of map: () throws -> ProcessMap, memory: any MemoryReader, until isOutOfTime: () -> Bool
    ) throws -> (map: ProcessMap, state: LedgerState) {
        try read(of: map, memory: memory, until: isOutOfTime) { try LedgerState(of: $0, memory: memory) }
    }
}

extension Ledger {
    /// What lies at the beginning of each mapping of a ledger, as far as commits publish there; nil where nothing can be read.
    fileprivate static func headers(of map: ProcessMap, memory: any MemoryReader) -> [Address: [UInt8]?] {
        var headers: [Address: [UInt8]?] = [:]
        for region in map.regions where LedgerState.isLedger(region) {
            headers[region.range.lowerBound] = .some(
                try? memory.bytes(at: region.range.lowerBound, count: committerOffset))
        }
        return headers
    }
}
