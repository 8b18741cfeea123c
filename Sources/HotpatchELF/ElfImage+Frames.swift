import CHotpatchElf

extension ElfImage {
    /// The starts in the sorted table of `.eh_frame_hdr`, ascending, for as long as `body` wants more.
    package func forEachFrameStart(_ body: (UInt64) -> Bool) {
        guard let table = FrameSearchTable(self) else { return }
        for index in 0..<table.count {
            guard let start = table.start(index), body(start) else { return }
        }
    }

    /// The lowest start above an address in that table: where the next function begins, also in a stripped file. Nil without
    /// such a table.
    package func nextFrameStart(after linked: UInt64) -> UInt64? {
        guard let table = FrameSearchTable(self) else { return nil }
        var low: UInt64 = 0
        var high = table.count
        while low < high {
            let middle = (low + high) / 2
            guard let value = table.start(middle) else { return nil }
            if value > linked { high = middle } else { low = middle + 1 }
        }
        return low < table.count ? table.start(low) : nil
    }
}

/// The binary search table of `.eh_frame_hdr` (LSB Core, "The .eh_frame_hdr section").
private struct FrameSearchTable {
    let bytes: UnsafeRawBufferPointer
    let address: UInt64
    let count: UInt64

    init?(_ elf: ElfImage) {
        guard let segment = elf.segments.first(where: { $0.type == UInt32(PT_GNU_EH_FRAME) }),
            let bytes = elf.bytes.slice(at: segment.fileOffset, count: segment.fileSize),
            // Version 1; 4-byte pointer to .eh_frame (0x0b/0x1b encodings); udata4 count; datarel sdata4 entries.
            bytes.value(UInt8.self, at: 0) == 1, let pointer = bytes.value(UInt8.self, at: 1), pointer & 0x0F == 0x0B,
            bytes.value(UInt8.self, at: 2) == 0x03, bytes.value(UInt8.self, at: 3) == 0x3B,
            let count = bytes.value(UInt32.self, at: 8)
        else { return nil }
        self.bytes = bytes
        address = segment.address
        self.count = UInt64(count)
    }

    func start(_ index: UInt64) -> UInt64? {
        bytes.value(Int32.self, at: 12 &+ index &* 8).map { address &+ UInt64(bitPattern: Int64($0)) }
    }
}
