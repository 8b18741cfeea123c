import CHotpatchLinux
import Glibc
import HotpatchMemory
import HotpatchSymbols

/// The lines of /proc/PID/maps, as far as the agent needs them.
struct Mappings {
    var regions: [Region]

    init(parsing text: String) {
        regions = text.split(separator: "\n").compactMap { Self.region($0) }
    }

    init(of process: RemoteProcess) throws(RemoteRefusal) {
        do { self.init(parsing: try ProcText.readString(process.livingDirectory + "/maps")) } catch {
            throw .procUnreadable(pid: process.pid, path: process.livingDirectory + "/maps", code: error.code)
        }
    }

    /// `55d0-55d1 r-xp 00001000 08:01 1234   /path with spaces` (proc_pid_maps(5)).
    private static func region(_ line: Substring) -> Region? {
        let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
        guard fields.count >= 5 else { return nil }
        let ends = fields[0].split(separator: "-")
        let device = fields[3].split(separator: ":")
        guard ends.count == 2, device.count == 2, let low = UInt64(ends[0], radix: 16),
            let high = UInt64(ends[1], radix: 16),
            low < high, let offset = UInt64(fields[2], radix: 16), let major = UInt32(device[0], radix: 16),
            let minor = UInt32(device[1], radix: 16), let inode = UInt64(fields[4])
        else { return nil }
        var permissions: Region.Permissions = []
        if fields[1].contains("r") { permissions.insert(.read) }
        if fields[1].contains("w") { permissions.insert(.write) }
        if fields[1].contains("x") { permissions.insert(.execute) }
        if fields[1].contains("s") { permissions.insert(.shared) }
        return Region(
            range: Address(low)..<Address(high), permissions: permissions, fileOffset: offset, deviceMajor: major,
            deviceMinor: minor,
            inode: inode, path: fields.count > 5 ? ProcText.trimmed(fields[5]) : "")
    }

    /// The kernel lists them in ascending order.
    func region(at address: Address) -> Region? {
        var (low, high) = (0, regions.count)
        while low < high {
            let middle = (low + high) / 2
            if regions[middle].range.upperBound > address { high = middle } else { low = middle + 1 }
        }
        return low < regions.count && regions[low].range.contains(address) ? regions[low] : nil
    }

    /// What the file that is mapped at an address holds there; zeros where it ends. Nil where it cannot be read, or is another by
    /// now.
    func fileBytes(at address: Address, count: Int, of process: RemoteProcess) -> [UInt8]? {
        guard let region = region(at: address) else { return nil }
        return TargetFiles(pid: process.pid, root: process.livingDirectory + "/root")
            .bytes(mapped: region, at: address, count: count)
    }

    /// An address for `count` bytes in the middle of the widest gap: terabytes from the heap, the stacks and where mmap goes
    /// on, so that none of them will ever meet it.
    func roomyAddress(count: Int) -> Address? {
        var best: Range<UInt64>?
        var previous: UInt64 = 0x1_0000_0000
        // What the kernel shows in its own half of the addresses (vsyscall) ends no gap.
        for region in regions where region.range.lowerBound.rawValue < 1 << 63 {
            let start = region.range.lowerBound.rawValue
            if start > previous, start - previous > (best.map { $0.upperBound - $0.lowerBound } ?? 0) {
                best = previous..<start
            }
            previous = max(previous, region.range.upperBound.rawValue)
        }
        guard let best, best.upperBound - best.lowerBound > UInt64(count) + (4 << 30) else { return nil }
        let middle = best.lowerBound + (best.upperBound - best.lowerBound) / 2
        let jitter = UInt64.random(in: 0..<(1 << 30))
        return Address(middle + jitter).roundedDown(to: 1 << 16)
    }
}

/// Bytes between the end of an image's code and the end of its last page: mapped, executable, and used by nobody. They are zero, or
/// what comes next in the file.
public enum ExecutableSlack {
    /// The slack of each image of a process, libc's first, the executable's next.
    ///
    /// - Throws: `RemoteRefusal` where the maps cannot be read. An image whose header makes no sense is left out.
    public static func find(in process: RemoteProcess, memory: ProcMemory) throws(RemoteRefusal) -> [Range<Address>] {
        let mappings = try Mappings(of: process)
        var found: [(rank: Int, range: Range<Address>)] = []
        for header in mappings.regions
        where header.fileOffset == 0 && header.inode != 0 && !header.permissions.contains(.shared) {
            guard let end = codeEnd(header: header.range.lowerBound, memory: memory),
                let region = mappings.region(at: end - 1), region.permissions.contains(.execute),
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
