import HotpatchMemory
import HotpatchProcFS
import HotpatchSymbols

/// What is patched in a process, kept in that process, so that any later command can list and revert it.
///
/// A ledger is a private mapping of a memfd called `hotpatch-ledger`, visible in `/proc/PID/maps`; private, so that what a
/// forked child patches is its own. When it is full another segment is mapped beside it. All numbers are little-endian.
///
///     0   "HOTPATCH"
///     8   u16 major version, u16 minor version, u32 size of this header
///     16  u32 segment (0, 1, …), u32 edition
///     24  u64 size of the segment, bytes
///     32  u64 generation: one more with every commit; in segment 0 only
///     40  u64 used: bytes of records after the header
///     48  u64 committer: the thread that commits from inside the process, by the id that it knows itself by; 0 where none does
///     56  zeros
///     64  records: see `LedgerCoding`
///
/// There is no lock that a dead patcher could leave behind: a plan names the generation it was made from, and the commit,
/// while every thread is held, refuses a plan whose generation has passed. Only a commit from inside the process can be
/// interrupted by another, from outside, which so refuses while there is a committer that lives.
///
/// Patches that are reverted are forgotten: once they take a noticeable part of it, a commit lays down a new edition of the
/// ledger elsewhere, without them, makes it one by its first word, and then retires the old one likewise. Should the patcher die
/// between these two writes, there are two editions, both complete: the newer counts.
///
/// A newer minor version may have records of kinds that an older one does not know, and more behind the fields of those it knows. An
/// older one skips what it does not know, says so, and makes no new edition, which would be without it.
enum Ledger {
    static let major: UInt16 = 3
    /// 1: disposals.
    static let minor: UInt16 = 1
    static let headerSize = 64
    static let generationOffset = 32
    static let usedOffset = 40
    static let committerOffset = 48
    static let magic: [UInt8] = Array("HOTPATCH".utf8)
    /// At the beginning of a segment of an old edition, which a new one may be laid down in.
    static let retired: [UInt8] = Array("RETIRED!".utf8)
    /// Likewise, while its pages are being given back; `retired` then.
    static let emptied: [UInt8] = Array("EMPTIED!".utf8)
    /// Bytes of reverted patches that are not worth a new edition.
    static let tolerated = 4 << 10
    /// Bytes of the latest reverted patches that a new edition keeps, for `list --all`.
    static let history = 1 << 10
    static let mappingName = "/memfd:hotpatch-ledger"
    /// Touched page by page: what is not used costs address space only.
    static let segmentSize = 1 << 20
    /// More than any set of patches takes, in all segments: the numbers are the target's, and it may wish to see us allocate.
    static let largestSize = 64 << 20
    /// How many locations there are at most, and how much one patch changes.
    static let mostRecords = 1 << 20
    static let mostTexts = 1 << 22
    /// The largest id and generation: what is counted up must not overflow.
    static let largestNumber = 1 << 31

    /// Where segment 0 lies: the first of these that is free or has one. Two patchers that start at the same moment, one from
    /// inside and one from outside, so meet at one place, and the commit lets one of them pass. They lie clear of where the
    /// kernel, a sanitizer or a program of fixed address maps things; the last two also exist with 39 bits of addresses.
    static let agreedAddresses = [0x6870_0000_0000, 0x2870_0000_0000, 0x30_0000_0000, 0x18_0000_0000].map {
        Address($0)
    }

    /// More segments, and editions, lie within so many bytes of such an address.
    static let reach = 1 << 30

    /// As far as the committer, which is not the commit's to lay down.
    static func header(
        segment: Int, edition: UInt32, size: Int, minor: UInt16 = minor, generation: UInt64 = 0, used: Int = 0
    ) -> [UInt8] {
        var writer = LedgerWriter()
        for byte in magic { writer.integer(byte) }
        writer.integer(major)
        writer.integer(minor)
        writer.integer(UInt32(headerSize))
        writer.integer(UInt32(segment))
        writer.integer(edition)
        writer.integer(UInt64(size))
        writer.integer(generation)
        writer.integer(UInt64(used))
        return writer.bytes
    }

    struct Segment: Hashable, Sendable {
        var address: Address
        var index: Int
        var edition: UInt32
        var size: Int
        var used: Int
    }

    /// Where the records of a process lie.
    struct Layout: Sendable {
        /// In order.
        var segments: [Segment] = []
        var generation: UInt64 = 0
        var committer: UInt64 = 0
        var major = Ledger.major
        var minor = Ledger.minor
        /// Earlier editions, which a patcher that died has not retired.
        var superseded: [Segment] = []
        /// Retired: with the bytes that fit.
        var spare: [(address: Address, size: Int)] = []

        /// Whether everything lies where it did, though records may have been added.
        func isGrown(from before: Layout) -> Bool {
            guard major == Ledger.major, (major, minor) == (before.major, before.minor), superseded.isEmpty,
                before.superseded.isEmpty, segments.count >= before.segments.count
            else { return false }
            return zip(segments, before.segments).allSatisfy { new, old in
                new.address == old.address && new.edition == old.edition && new.size == old.size && new.used >= old.used
            }
        }
    }

    static func layout(of map: ProcessMap, memory: any MemoryReader) throws -> Layout {
        var layout = Layout()
        var all: [(segment: Segment, generation: UInt64, committer: UInt64, version: UInt32)] = []
        var total = 0
        for region in map.regions where region.path.hasPrefix(mappingName) {
            let header = try memory.bytes(at: region.range.lowerBound, count: headerSize)
            if header.prefix(8).elementsEqual(retired) {
                layout.spare.append((region.range.lowerBound, region.count))
            }
            // One that was mapped, but never committed to, has no magic yet.
            guard header.prefix(8).elementsEqual(magic) else { continue }
            var reader = LedgerReader(header[8...])
            let version: UInt32 = try reader.integer()
            guard version & 0xffff == Self.major || version == 2 else { throw LedgerError.version(version & 0xffff) }
            guard try reader.integer(UInt32.self) == headerSize else {
                throw LedgerError.malformed("its header is not \(headerSize) bytes")
            }
            let index: UInt32 = try reader.integer()
            let edition: UInt32 = try reader.integer()
            let size: UInt64 = try reader.integer()
            let stated: UInt64 = try reader.integer()
            let used: UInt64 = try reader.integer()
            let committer: UInt64 = try reader.integer()
            total += used <= largestSize ? Int(used) : largestSize
            guard total < largestSize, stated < largestNumber, edition < largestNumber else {
                throw LedgerError.malformed("\(total) bytes of records, generation \(stated), edition \(edition)")
            }
            guard size <= region.count, size >= headerSize, used <= size - UInt64(headerSize) else {
                throw LedgerError.malformed(
                    "segment \(index) says it has \(used) of \(size) bytes in use, in \(region.count)")
            }
            let segment = Segment(
                address: region.range.lowerBound, index: Int(index), edition: edition, size: Int(size), used: Int(used))
            all.append((segment, stated, committer, version))
        }
        let newest = all.map(\.segment.edition).max() ?? 0
        layout.superseded = all.map(\.segment).filter { $0.edition < newest }
        let current = all.filter { $0.segment.edition == newest }.sorted { $0.segment.index < $1.segment.index }
        layout.segments = current.map(\.segment)
        guard layout.segments.enumerated().allSatisfy({ $0.offset == $0.element.index }) else {
            throw LedgerError.malformed("its segments are numbered \(layout.segments.map(\.index))")
        }
        if let first = current.first {
            (layout.generation, layout.committer) = (first.generation, first.committer)
            (layout.major, layout.minor) = (UInt16(truncatingIfNeeded: first.version), UInt16(first.version >> 16))
            guard current.allSatisfy({ $0.version == first.version }) else {
                throw LedgerError.malformed("its segments have several versions")
            }
        }
        return layout
    }
}
