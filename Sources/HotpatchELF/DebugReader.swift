import CHotpatchDw
import CHotpatchElf

/// What is read of one mapped file when it is asked for: its frame information; and its DWARF, with handles of libelf and libdw that
/// one thread uses at a time.
package final class DebugReader: Sendable {
    /// Neither library is thread-safe.
    private struct Handles {
        /// What `DebugSections` has: the file, and its DWARF.
        var debugFile: UnsafeMutableRawBufferPointer?
        var elf: OpaquePointer?
        var dwarf: OpaquePointer?
        var triedDwarf = false
    }
    private let handles = Locked(Handles())
    private let layout: ElfLayout
    private let lazyFrameTable: Lazy<FrameTable?>

    init(_ layout: ElfLayout) {
        self.layout = layout
        lazyFrameTable = Lazy { FrameTable(of: layout) }
    }

    var frameTable: FrameTable? { lazyFrameTable.get() }

    deinit {
        handles.withLock { handles in
            if let dwarf = handles.dwarf { _ = libdw.dwarf_end(dwarf) }
            if let elf = handles.elf { _ = libdw.elf_end(elf) }
            handles.debugFile?.deallocate()
        }
    }

    /// The range of link-time addresses of the frame description entry (FDE) that covers an address.
    package func frameRange(containing linked: UInt64) -> Range<UInt64>? {
        frameTable?.range(containing: linked)
    }

    /// Runs `body` with the file's DWARF; nil where it has none, and where libdw is not installed.
    package func withDwarf<R>(_ body: (OpaquePointer) -> R) -> R? {
        handles.withLock { handles in
            if !handles.triedDwarf {
                handles.triedDwarf = true
                handles.debugFile = DebugSections.elfFile(of: layout)
                handles.elf = handles.debugFile.flatMap { LibElf.open(UnsafeRawBufferPointer($0)) }
                handles.dwarf = handles.elf.flatMap { libdw.dwarf_begin_elf($0, DWARF_C_READ, nil) }
            }
            return handles.dwarf.map(body)
        }
    }
}
