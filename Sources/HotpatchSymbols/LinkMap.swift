import CHotpatchElf
import HotpatchELF
import HotpatchMemory

/// The dynamic linker's list of what it loaded, in the order in which names are looked up: the program, preloaded
/// libraries, then DT_NEEDED breadth first, then what dlopen added (link.h, struct r_debug and struct link_map).
enum LinkMap {
    struct Entry {
        var bias: LoadBias
        /// Loaded by a patcher: see `PatchLibraryName`.
        var isPatchLibrary: Bool
        /// Where the dynamic linker has it: struct link_map.
        var node: Address
    }

    /// In load order; empty for a static program, or before the dynamic linker ran.
    static func entries(program: LoadedImage, memory: any MemoryReader) -> [Entry] {
        guard let start = debugAddress(program, memory) else { return [] }
        var result: [Entry] = []
        // r_debug: version, 4 bytes of padding, r_map. link_map: l_addr, l_name, l_ld, l_next.
        guard var entry = try? memory.value(UInt64.self, at: start + 8) else { return [] }
        while entry != 0, result.count < 1 << 14 {
            guard let bias = try? memory.value(UInt64.self, at: Address(entry)),
                let name = try? memory.value(UInt64.self, at: Address(entry) + 8),
                let next = try? memory.value(UInt64.self, at: Address(entry) + 24)
            else { break }
            let prefix = PatchLibraryName.prefix.utf8
            let start = name == 0 ? nil : try? memory.bytes(at: Address(name), count: prefix.count)
            result.append(
                Entry(
                    bias: LoadBias(rawValue: bias), isPatchLibrary: start?.elementsEqual(prefix) ?? false,
                    node: Address(entry)))
            entry = next
        }
        return result
    }

    private static func debugAddress(_ program: LoadedImage, _ memory: any MemoryReader) -> Address? {
        let (linked, size) = program.elf.dynamic.segment
        guard linked != 0 else { return nil }
        let start = program.bias.address(ofLinked: linked)
        for index in 0..<min(Int(clamping: size / 16), 512) {
            guard let tag = try? memory.value(Int64.self, at: start + index * 16), tag != Int64(DT_NULL) else {
                return nil
            }
            if tag == Int64(DT_DEBUG), let value = try? memory.value(UInt64.self, at: start + index * 16 + 8) {
                return value == 0 ? nil : Address(value)
            }
        }
        return nil
    }
}

/// How a patcher names a library when it has the process load it: a path that no program would write.
///
/// Such a library defines the names it replaces once more, and is none of the program's images. Its name tells it, whatever has
/// become of its file since (rebuilt, renamed, deleted), and though no ledger mentions it (the patcher died before it was done).
package enum PatchLibraryName {
    package static let directory = "/proc/self/fd/"
    /// What no other name begins with: after the directory a redundant `./` follows.
    static let prefix = directory + "./"
}
