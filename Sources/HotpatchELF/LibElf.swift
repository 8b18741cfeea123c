import CHotpatchElf

/// libelf's handles: what libdw asks for. Whatever this program reads itself, `ElfLayout` reads.
enum LibElf {
    private static let isUsable: Bool = elf_version(UInt32(EV_CURRENT)) != UInt32(EV_NONE)

    /// A handle over bytes, which must outlive it; nil where libelf does not take them. Close it with `elf_end`.
    static func open(_ bytes: UnsafeRawBufferPointer) -> OpaquePointer? {
        guard isUsable, let base = bytes.baseAddress else { return nil }
        // libelf writes to the headers of compressed sections, when it decompresses them.
        let start = UnsafeMutableRawPointer(mutating: base).assumingMemoryBound(to: CChar.self)
        guard let elf = elf_memory(start, bytes.count) else { return nil }
        guard elf_kind(elf) == ELF_K_ELF else {
            elf_end(elf)
            return nil
        }
        return elf
    }
}
