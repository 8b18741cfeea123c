import HotpatchELF
import HotpatchMemory
import HotpatchProcFS

/// Finds out what of a process's mappings is an image, and where it is loaded.
struct ImageLoader: Sendable {
    let files: MappedFiles
    let debugFiles: DebugFiles

    /// Whether the memory at a mapping starts with an ELF header; unreadable memory does not.
    func isImage(_ header: Region) -> Bool {
        (try? files.memory.bytes(at: header.range.lowerBound, count: 4)) == [0x7F, 0x45, 0x4C, 0x46]
    }

    /// Where an image is loaded whose header is mapped at `header`; nil where the file is merely mapped, not loaded: no
    /// executable mapping lies where its executable segments belong. Text that was moved to anonymous huge pages counts.
    static func placement(
        of elf: ElfImage, header: Region, in map: ProcessMap
    ) -> (bias: LoadBias, range: Range<Address>, regions: [Region])? {
        guard let first = elf.loadSegments.first else { return nil }
        // The segment that maps file offset 0 need not start there: the kernel maps whole pages.
        let bias = LoadBias(mapped: header.range.lowerBound, linked: first.address &- first.fileOffset)
        var low = UInt64.max
        var high: UInt64 = 0
        for segment in elf.loadSegments {
            let end = segment.address.addingReportingOverflow(segment.memorySize)
            if end.overflow { return nil }
            low = min(low, segment.address)
            high = max(high, end.partialValue)
        }
        let start = bias.address(ofLinked: low).roundedDown(to: 4096)
        let end = bias.address(ofLinked: high).roundedUp(to: 4096)
        guard start < end else { return nil }
        let isLoaded = elf.loadSegments.contains { segment in
            guard segment.permissions.contains(.execute), segment.memorySize > 0 else { return false }
            let segmentStart = bias.address(ofLinked: segment.address)
            let segmentEnd = segmentStart + Int(clamping: segment.memorySize)
            guard segmentStart < segmentEnd else { return false }
            return map.regions(overlapping: segmentStart..<segmentEnd).contains { region in
                guard region.permissions.contains(.execute) else { return false }
                if region.inode == 0 { return true }
                let mappedStart = region.range.lowerBound.rawValue &- region.fileOffset
                return region.inode == header.inode && mappedStart == segmentStart.rawValue &- segment.fileOffset
            }
        }
        return isLoaded ? (bias, start..<end, Array(map.regions(overlapping: start..<end))) : nil
    }
}
