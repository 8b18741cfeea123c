import Memory
import Symbols

/// What is patched in a process, kept in that process, so that any later command can list and revert it.
///
/// A ledger is a private mapping of a memfd called `hotpatch-ledger`, visible in `/proc/PID/maps`; private, so that what a
/// forked child patches is its own. When it is full another segment is mapped beside it. All numbers are little-endian.
///
///     0   "HOTPATCH"
///     8   u32 version, u32 size of this header
///     16  u32 segment (0, 1, …), u32 zero
///     24  u64 size of the segment, bytes
///     32  u64 generation: one more with every commit; in segment 0 only
///     40  u64 used: bytes of records after the header
///     48  zeros
///     64  records: see `LedgerRecord`
///
/// There is no lock that a dead patcher could leave behind: a plan names the generation it was made from, and the commit,
/// while every thread is held, refuses a plan whose generation has passed.
enum Ledger {
    static let version: UInt32 = 2
    static let headerSize = 64
    static let generationOffset = 32
    static let usedOffset = 40
    static let magic: [UInt8] = Array("HOTPATCH".utf8)
    static let mappingName = "/memfd:hotpatch-ledger"
    /// Touched page by page: what is not used costs address space only.
    static let segmentSize = 1 << 20
    /// More than any set of patches takes, in all segments: the numbers are the target's, and it may wish to see us allocate.
    static let largestSize = 256 << 20
    /// Of ids and of the generation: what is counted up must not overflow.
    static let largestNumber = 1 << 31

    /// Where segment 0 lies: the first of these that is free or has one. Two patchers that start at the same moment, one from
    /// inside and one from outside, so meet at one place, and the commit lets one of them pass. They lie clear of where the
    /// kernel, a sanitizer or a program of fixed address maps things; the last two also exist with 39 bits of addresses.
    static let homes = [0x6870_0000_0000, 0x2870_0000_0000, 0x30_0000_0000, 0x18_0000_0000].map { Address($0) }

    static func header(segment: Int, size: Int) -> [UInt8] {
        var writer = LedgerWriter()
        for byte in magic { writer.integer(byte) }
        writer.integer(version)
        writer.integer(UInt32(headerSize))
        writer.integer(UInt32(segment))
        writer.integer(UInt32(0))
        writer.integer(UInt64(size))
        writer.pad(to: headerSize)
        return writer.bytes
    }

    struct Segment: Hashable, Sendable {
        var address: Address
        var index: Int
        var size: Int
        var used: Int
    }

    /// The segments of a process, in order, and the generation.
    static func segments(
        of map: ProcessMap, memory: any MemoryReader
    ) throws -> (segments: [Segment], generation: UInt64) {
        var segments: [Segment] = []
        var generation: UInt64 = 0
        var total = 0
        for region in map.regions where region.path.hasPrefix(mappingName) {
            let header = try memory.bytes(at: region.range.lowerBound, count: headerSize)
            // One that was mapped, but never committed to, has no magic yet.
            guard header.prefix(8).elementsEqual(magic) else { continue }
            var reader = LedgerReader(header[8...])
            let version: UInt32 = try reader.integer()
            guard version == Self.version else { throw LedgerError.version(version) }
            guard try reader.integer(UInt32.self) == headerSize else {
                throw LedgerError.malformed("its header is not \(headerSize) bytes")
            }
            let index: UInt32 = try reader.integer()
            _ = try reader.integer(UInt32.self)
            let size: UInt64 = try reader.integer()
            let stated: UInt64 = try reader.integer()
            let used: UInt64 = try reader.integer()
            total += used <= largestSize ? Int(used) : largestSize
            guard total < largestSize, stated < largestNumber else {
                throw LedgerError.malformed("\(total) bytes of records, generation \(stated)")
            }
            guard size <= region.count, size >= headerSize, used <= size - UInt64(headerSize) else {
                throw LedgerError.malformed(
                    "segment \(index) says it has \(used) of \(size) bytes in use, in \(region.count)")
            }
            if index == 0 { generation = stated }
            segments.append(
                Segment(address: region.range.lowerBound, index: Int(index), size: Int(size), used: Int(used)))
        }
        segments.sort { $0.index < $1.index }
        guard segments.enumerated().allSatisfy({ $0.offset == $0.element.index }) else {
            throw LedgerError.malformed("its segments are numbered \(segments.map(\.index))")
        }
        return (segments, generation)
    }
}
