import CHotpatchDw
import CHotpatchElf
import CHotpatchLinux

/// The functions of libdw and libelf. A program that is linked with both, as the command is, uses those. Any other loads them when DWARF is
/// first asked for, so that a program that is patched without it needs neither. A program that is linked statically as a whole, without
/// them, has none.
package let libdw: hp_libdw = {
    var functions = hp_libdw()
    if hp_use_linked_libdw(&functions) { return functions }
    functions.is_there = linux_has_loader() && hp_find_libdw(&functions)
    return functions
}()

/// libelf's handles: what libdw asks for. Whatever this program reads itself, `ElfLayout` reads.
enum LibElf {
    private static let isUsable: Bool = libdw.is_there && libdw.elf_version(UInt32(EV_CURRENT)) != UInt32(EV_NONE)

    /// A handle over bytes, which must outlive it; nil where libelf does not take them. Close it with `elf_end`.
    static func open(_ bytes: UnsafeRawBufferPointer) -> OpaquePointer? {
        guard isUsable, let base = bytes.baseAddress else { return nil }
        // libelf writes to the headers of compressed sections, when it decompresses them.
        let start = UnsafeMutableRawPointer(mutating: base).assumingMemoryBound(to: CChar.self)
        guard let elf = libdw.elf_memory(start, bytes.count) else { return nil }
        guard libdw.elf_kind(elf) == ELF_K_ELF else {
            _ = libdw.elf_end(elf)
            return nil
        }
        return elf
    }
}
