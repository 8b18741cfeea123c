import Glibc
import HotpatchELF
import HotpatchMemory

/// What a process has mapped: `/proc/PID/maps` (proc_pid_maps(5)), sorted by address, without overlaps.
public struct ProcessMap: Sendable {
    package let pid: Int32
    /// By address, the lowest first; none overlaps another.
    public let regions: [Region]

    /// Reads the map of a process.
    /// - Throws: `ReadError.noProcess` where there is none (an ended one has an empty map), `.unreadable` without the
    ///   permission, `.malformed` where the text makes no sense.
    public init(pid: Int32) throws(ReadError) {
        try self.init(pid: pid, directory: ProcDirectory.path(of: pid))
    }

    /// As the thread shows it that the directory is of: the leader of a process that lives may have ended, and have no map.
    package init(pid: Int32, directory: String) throws(ReadError) {
        let path = directory + "/maps"
        // The kernel gives a page of text at a time; a mapping that changes between two pages can tear the list.
        var attempts = 3
        while true {
            attempts -= 1
            do throws(ReadError) {
                let text: [UInt8]
                do { text = try ProcText.read(path) } catch { throw .unreadable(path: path, code: error.code) }
                guard !text.isEmpty else { throw .noProcess(pid: pid) }
                self = try ProcessMap(parsing: text, pid: pid)
                return
            } catch {
                switch error {
                case .unreadable(_, let code) where code == ENOENT || code == ESRCH: throw .noProcess(pid: pid)
                case .malformed where attempts > 0: continue
                default: throw error
                }
            }
        }
    }

    /// Parses the text of a map.
    /// - Throws: `ReadError.malformed` with the offset of the line that makes no sense.
    package init(parsing text: [UInt8], pid: Int32) throws(ReadError) {
        self.pid = pid
        var regions: [Region] = []
        var line = MapLine(text: text)
        while line.position < text.count {
            let start = line.position
            guard let region = line.next() else {
                throw .malformed(path: "/proc/\(pid)/maps", offset: UInt64(start), what: "not a line of a process map")
            }
            if let last = regions.last, region.range.lowerBound < last.range.upperBound {
                throw .malformed(path: "/proc/\(pid)/maps", offset: UInt64(start), what: "mappings overlap")
            }
            regions.append(region)
        }
        self.regions = regions
    }

    package init(parsing text: String, pid: Int32) throws(ReadError) {
        try self.init(parsing: Array(text.utf8), pid: pid)
    }

    private init(regions: [Region], pid: Int32) {
        self.regions = regions
        self.pid = pid
    }

    /// This map with what another view of the same memory shows beside it: taken, but not accessible.
    package func occupied(by other: ProcessMap) -> ProcessMap {
        // Nobody maps anything in the kernel's half, where it shows a page of its own (vsyscall).
        let added = other.regions.filter { $0.range.upperBound.rawValue <= Int64.max }.flatMap {
            gaps(within: $0.range)
        }.map { Region(range: $0, permissions: []) }
        return ProcessMap(
            regions: (regions + added).sorted { $0.range.lowerBound < $1.range.lowerBound }, pid: pid)
    }

    /// The mapping an address lies in.
    package func region(containing address: Address) -> Region? {
        let index = firstIndex(endingAfter: address)
        guard index < regions.count, regions[index].range.contains(address) else { return nil }
        return regions[index]
    }

    /// The ranges inside `limits` that nothing is mapped in, in ascending order: where a pool may be placed.
    package func gaps(within limits: Range<Address>) -> [Range<Address>] {
        var gaps: [Range<Address>] = []
        var start = limits.lowerBound
        var index = firstIndex(endingAfter: start)
        while start < limits.upperBound {
            guard index < regions.count, regions[index].range.lowerBound < limits.upperBound else {
                gaps.append(start..<limits.upperBound)
                break
            }
            let region = regions[index].range
            if start < region.lowerBound { gaps.append(start..<region.lowerBound) }
            start = max(start, region.upperBound)
            index += 1
        }
        return gaps
    }

    /// The mappings that overlap a range, in ascending order.
    package func regions(overlapping range: Range<Address>) -> ArraySlice<Region> {
        let first = firstIndex(endingAfter: range.lowerBound)
        var end = first
        while end < regions.count, regions[end].range.lowerBound < range.upperBound { end += 1 }
        return regions[first..<end]
    }

    private func firstIndex(endingAfter address: Address) -> Int {
        var low = 0
        var high = regions.count
        while low < high {
            let middle = (low + high) / 2
            if regions[middle].range.upperBound > address { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// Reads `55d0-55e0 r-xp 00001000 08:01 1234   /path` line by line.
private struct MapLine {
    let text: [UInt8]
    var position = 0

    init(text: [UInt8]) { self.text = text }

    mutating func next() -> Region? {
        guard let start = number(radix: 16, end: UInt8(ascii: "-")), let end = number(radix: 16, end: 0x20),
            start < end, position + 5 <= text.count
        else { return nil }
        var permissions: Region.Permissions = []
        let flags: [(UInt8, Region.Permissions)] = [
            (UInt8(ascii: "r"), .read), (UInt8(ascii: "w"), .write), (UInt8(ascii: "x"), .execute),
        ]
        for (letter, permission) in flags {
            if text[position] == letter {
                permissions.insert(permission)
            } else if text[position] != UInt8(ascii: "-") {
                return nil
            }
            position += 1
        }
        switch text[position] {
        case UInt8(ascii: "s"): permissions.insert(.shared)
        case UInt8(ascii: "p"): break
        default: return nil
        }
        guard text[position + 1] == 0x20 else { return nil }
        position += 2
        guard let offset = number(radix: 16, end: 0x20), let major = number(radix: 16, end: UInt8(ascii: ":")),
            let minor = number(radix: 16, end: 0x20), let inode = number(radix: 10, end: nil),
            major <= UInt32.max, minor <= UInt32.max
        else { return nil }
        while position < text.count, text[position] == 0x20 { position += 1 }
        let lineEnd = text[position...].firstIndex(of: 0x0A) ?? text.count
        let path = Self.unescaped(text[position..<lineEnd])
        position = min(lineEnd + 1, text.count)
        return Region(
            range: Address(start)..<Address(end), permissions: permissions, fileOffset: offset,
            deviceMajor: UInt32(major), deviceMinor: UInt32(minor), inode: inode, path: path)
    }

    /// The kernel writes a newline in a path as `\012`.
    private static func unescaped(_ bytes: ArraySlice<UInt8>) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        guard bytes.contains(UInt8(ascii: "\\")) else { return text }
        var result: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.starts(with: [0x30, 0x31, 0x32]) {
                rest = rest.dropFirst(3)
                result.append(0x0A)
            } else {
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// A number and the byte that ends it, which is passed; nil ends at any byte that is not a digit.
    private mutating func number(radix: UInt64, end: UInt8?) -> UInt64? {
        var value: UInt64 = 0
        var digits = 0
        while position < text.count {
            let byte = text[position]
            let digit: UInt64
            switch byte {
            case 0x30...0x39: digit = UInt64(byte &- 0x30)
            case 0x61...0x66 where radix == 16: digit = UInt64(byte &- 0x61 &+ 10)
            default:
                guard digits > 0 else { return nil }
                guard let end else { return value }
                guard byte == end else { return nil }
                position += 1
                return value
            }
            let (product, overflow) = value.multipliedReportingOverflow(by: radix)
            let (sum, carry) = product.addingReportingOverflow(digit)
            if overflow || carry { return nil }
            value = sum
            digits += 1
            position += 1
        }
        return end == nil && digits > 0 ? value : nil
    }
}
