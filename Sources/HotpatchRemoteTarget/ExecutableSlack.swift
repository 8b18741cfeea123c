import HotpatchMemory
import HotpatchProcFS

/// Bytes between the end of an image's code and the end of its last page: mapped, executable, and used by nobody. They are zero, or
/// what comes next in the file.
package enum ExecutableSlack {
    /// The slack of each image of a process, libc's first, the executable's next.
    ///
    /// - Throws: `RemoteRefusal` where the maps cannot be read. An image whose header makes no sense is left out.
    package static func find(in process: RemoteProcess, memory: ProcMemory) throws(RemoteRefusal) -> [Range<Address>] {
        find(in: try process.map(), of: process, memory: memory)
    }

    static func find(in map: ProcessMap, of process: RemoteProcess, memory: ProcMemory) -> [Range<Address>] {
        var found: [(rank: Int, range: Range<Address>)] = []
        for header in map.regions
        where header.fileOffset == 0 && header.inode != 0 && !header.permissions.contains(.shared) {
            guard let end = codeEnd(header: header.range.lowerBound, memory: memory),
                let region = map.region(containing: end - 1), region.permissions.contains(.execute),
                !region.permissions.contains(.write),
                region.inode == header.inode, region.deviceMajor == header.deviceMajor,
                region.deviceMinor == header.deviceMinor,
                !region.permissions.contains(.shared)
            else { continue }
            let limit = min(end.roundedUp(to: MemoryPage.size), region.range.upperBound)
            let start = end.roundedUp(to: 64)
            if start < limit { found.append((rank(header, process), start..<limit)) }
        }
        return found.sorted { ($0.rank, $0.range.lowerBound) < ($1.rank, $1.range.lowerBound) }.map(\.range)
    }

    private static func rank(_ region: Region, _ process: RemoteProcess) -> Int {
        let file = region.path.split(separator: "/").last ?? ""
        if file.hasPrefix("libc.so") || file.hasPrefix("libc-2") { return 0 }
        if region.path == process.executable { return 1 }
        // The loader last: a PC in it makes vetting refuse the thread.
        return file.hasPrefix("ld") ? 3 : 2
    }

    /// Where the bytes of the executable PT_LOAD end (ELF-64 header: e_phoff at 32, e_phentsize at 54, e_phnum at 56).
    private static func codeEnd(header: Address, memory: ProcMemory) -> Address? {
        guard let elf = try? memory.bytes(at: header, count: 64), elf[0..<5].elementsEqual([0x7f, 0x45, 0x4c, 0x46, 2])
        else { return nil }
        func number<T: FixedWidthInteger & BitwiseCopyable>(_ bytes: [UInt8], _ offset: Int, _ type: T.Type) -> T {
            bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
        }
        let table = number(elf, 32, UInt64.self)
        let count = Int(number(elf, 56, UInt16.self))
        guard number(elf, 54, UInt16.self) == 56, count <= 128, table < UInt64(MemoryPage.size),
            let headers = try? memory.bytes(at: header + Int(table), count: count * 56)
        else { return nil }
        var bias: LoadBias?
        var end: UInt64?
        for index in 0..<count where number(headers, index * 56, UInt32.self) == 1 {
            let flags = number(headers, index * 56 + 4, UInt32.self)
            let linked = number(headers, index * 56 + 16, UInt64.self)
            let size = number(headers, index * 56 + 40, UInt64.self)
            if bias == nil { bias = LoadBias(mapped: header, linked: linked & ~UInt64(MemoryPage.size - 1)) }
            if flags & 1 != 0 { end = linked &+ size }
        }
        guard let bias, let end else { return nil }
        return bias.address(ofLinked: end)
    }
}
