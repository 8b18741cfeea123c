import HotpatchMemory

extension LedgerState {
    /// The memory of the process, with the entries of patched functions as they were before.
    public func original(of memory: any MemoryReader) -> any MemoryReader { OriginalCode(memory, state: self) }

    /// The code that runs instead of the function at an entry: of the newest patch in force, behind any thunk. Nil where none is.
    public func replacingCode(of entry: Address) -> Address? { replacement(for: entry)?.address }
}
