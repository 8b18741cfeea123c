import CHotpatchDw
import CHotpatchElf
import Glibc

/// libelf's and libdw's handles on one mapped file, used by one thread at a time.
package final class DebugReader: Sendable {
    /// Neither library is thread-safe.
    private struct Handles {
        /// Of `DebugSections`: the file, and its DWARF.
        var debugFile: UnsafeMutableRawBufferPointer?
        var elf: OpaquePointer?
        var dwarf: OpaquePointer?
        /// Of `frameTable`: its file, and its frames.
        var frameElf: OpaquePointer?
        var frames: OpaquePointer?
        var triedDwarf = false
        var triedFrames = false
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
            // The frames borrow from their ELF handle only, and are released on their own.
            if let frames = handles.frames { dwarf_cfi_end(frames) }
            if let elf = handles.frameElf { elf_end(elf) }
            if let dwarf = handles.dwarf { dwarf_end(dwarf) }
            if let elf = handles.elf { elf_end(elf) }
            handles.debugFile?.deallocate()
        }
    }

    /// The range of link-time addresses of the frame description entry (FDE) that covers an address.
    package func frameRange(containing linked: UInt64) -> Range<UInt64>? {
        handles.withLock { handles in
            if !handles.triedFrames {
                handles.triedFrames = true
                handles.frameElf = frameTable?.handle()
                handles.frames = handles.frameElf.flatMap { dwarf_getcfi_elf($0) }
            }
            guard let cfi = handles.frames else { return nil }
            var frame: OpaquePointer?
            guard dwarf_cfi_addrframe(cfi, linked, &frame) == 0, let frame else { return nil }
            defer { free(UnsafeMutableRawPointer(frame)) }
            var start: Dwarf_Addr = 0
            var end: Dwarf_Addr = 0
            _ = dwarf_frame_info(frame, &start, &end, nil)
            return start <= linked && linked < end ? start..<end : nil
        }
    }

    /// Runs `body` with the file's DWARF; nil where it has none.
    package func withDwarf<R>(_ body: (OpaquePointer) -> R) -> R? {
        handles.withLock { handles in
            if !handles.triedDwarf {
                handles.triedDwarf = true
                handles.debugFile = DebugSections.elfFile(of: layout)
                handles.elf = handles.debugFile.flatMap { LibElf.open(UnsafeRawBufferPointer($0)) }
                handles.dwarf = handles.elf.flatMap { dwarf_begin_elf($0, DWARF_C_READ, nil) }
            }
            return handles.dwarf.map(body)
        }
    }
}
