import HotpatchMemory

extension LedgerState {
    /// The memory of the process, with the entries of patched functions as they were before.
    package func original(of memory: any MemoryReader) -> any MemoryReader { OriginalCode(memory, state: self) }

    /// The code that a linked object has given the function at an entry: of the newest such patch in force, behind any thunk, whatever else
    /// lies on it. Nil where there is none.
    package func linkedCode(of entry: Address) -> Address? {
        guard let site = site(entry: entry) else { return nil }
        return layer(of: site.id) { hasLinked($0.patch) }.map { destination(of: $0.replacement) }
    }
}
