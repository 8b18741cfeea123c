import HotpatchMemory
import HotpatchPlan

/// Records of version 2, which processes have that were patched before: they are read, and reverted where they are. The next patch
/// makes an edition of version 3 of them.
///
///     u32 length      of all of it, a multiple of 8
///     u32 kind
///     u64 state       of a patch; the only word that ever changes, so not in the checksum
///     u64 checksum    as of version 3
///     payload, padded with zeros: numbers of 4 and 8 bytes; a text is a count of 4 bytes, then the bytes
enum LedgerVersion2 {
    static let headerSize = 24
    static let stateOffset = 8

    /// Decodes the record that fills `bytes`.
    static func decode(_ bytes: ArraySlice<UInt8>) throws(LedgerError) -> LedgerRecord {
        var header = LedgerReader(bytes)
        _ = try header.integer(UInt32.self)
        let kind: UInt32 = try header.integer()
        let state: UInt64 = try header.integer()
        let checksum: UInt64 = try header.integer()
        let payload = bytes.dropFirst(headerSize)
        guard LedgerCoding.checksum(kind: kind, payload: payload) == checksum else {
            throw .malformed("the checksum of a record at offset \(bytes.startIndex) is wrong")
        }
        var reader = LedgerReader(payload)
        switch kind {
        case 1: return .segment(try pool(&reader))
        case 2: return .site(try site(&reader))
        case 3: return .patch(try patch(&reader, state: state))
        case 4: return .thunk(try thunk(&reader))
        default: throw .malformed("a record at offset \(bytes.startIndex) has the unknown kind \(kind)")
        }
    }

    private static func pool(_ reader: inout LedgerReader) throws(LedgerError) -> SegmentRecord {
        let address = try address(&reader)
        let textSize: UInt64 = try reader.integer()
        let dataSize: UInt64 = try reader.integer()
        guard textSize <= 1 << 31, dataSize <= 1 << 31 else {
            throw .malformed("a stub pool of \(textSize) + \(dataSize) bytes")
        }
        return SegmentRecord(address: address, codeSize: Int(textSize), dataSize: Int(dataSize))
    }

    private static func site(_ reader: inout LedgerReader) throws(LedgerError) -> SiteRecord {
        let id: UInt32 = try reader.integer()
        let machine = UInt16(truncatingIfNeeded: try reader.integer(UInt32.self))
        let entry = try address(&reader)
        let patchAddress = try address(&reader)
        let stubStart = try address(&reader)
        let stubEnd = try address(&reader)
        let originalAddress = try address(&reader)
        let slot = try address(&reader)
        let original = try blob(&reader, atMost: 16)
        let detour = try blob(&reader, atMost: 16)
        guard original.count == detour.count, !detour.isEmpty, stubStart <= stubEnd,
            stubStart.distance(to: stubEnd) <= 1 << 16
        else { throw .malformed("site \(id) holds \(original.count) original and \(detour.count) new bytes") }
        let count: UInt32 = try reader.integer()
        guard count <= 64 else { throw .malformed("site \(id) moves \(count) instructions") }
        var moved: [PCPair] = []
        moved.reserveCapacity(Int(count))
        for _ in 0..<count {
            let (entryOffset, stubOffset): (UInt32, UInt32) = (try reader.integer(), try reader.integer())
            guard max(entryOffset, stubOffset) <= 1 << 16 else { throw .malformed("site \(id) moves \(entryOffset)") }
            moved.append(PCPair(entryOffset: entryOffset, stubOffset: stubOffset))
        }
        // A build-id follows, which nobody has ever asked for.
        return SiteRecord(
            id: id, machine: machine, entry: entry, patchAddress: patchAddress, original: original,
            detour: detour, stub: stubStart..<stubEnd, originalAddress: originalAddress, slot: slot, moved: moved,
            name: try text(&reader), imagePath: try text(&reader))
    }

    private static func patch(_ reader: inout LedgerReader, state: UInt64) throws(LedgerError) -> PatchRecord {
        let id: UInt32 = try reader.integer()
        guard let state = PatchRecord.State(rawValue: state) else {
            throw .malformed("patch \(id) has the unknown state \(state)")
        }
        let flags: UInt32 = try reader.integer()
        let origin = PatchRecord.Origin(
            fromOutside: flags & 1 != 0, pid: try reader.integer(), uid: try reader.integer())
        let time: UInt64 = try reader.integer()
        let handle: UInt64 = try reader.integer()
        let onRevert = try address(&reader)
        let (source, digest) = (try text(&reader), try text(&reader))
        let count: UInt32 = try reader.integer()
        guard count <= 1 << 20 else { throw .malformed("patch \(id) replaces \(count) functions") }
        var members: [PatchRecord.Member] = []
        for _ in 0..<count {
            members.append(
                .init(
                    site: try reader.integer(), replacement: try address(&reader),
                    replacementName: try text(&reader)))
        }
        return PatchRecord(
            id: id, state: state, origin: origin, time: time, source: source, digest: digest, handle: handle,
            onRevert: onRevert, members: members)
    }

    private static func thunk(_ reader: inout LedgerReader) throws(LedgerError) -> ThunkRecord {
        let start = try address(&reader)
        let end = try address(&reader)
        let replacement = try address(&reader)
        guard start < end, start.distance(to: end) <= 1 << 16 else {
            throw .malformed("a thunk lies at \(start)..<\(end)")
        }
        return ThunkRecord(range: start..<end, replacement: replacement, contextSize: try reader.integer())
    }

    private static func address(_ reader: inout LedgerReader) throws(LedgerError) -> Address {
        try LedgerReader.checked(Address(try reader.integer()))
    }

    private static func blob(_ reader: inout LedgerReader, atMost limit: Int) throws(LedgerError) -> [UInt8] {
        let count = Int(try reader.integer(UInt32.self))
        guard count <= limit else { throw .malformed("a record holds \(count) bytes where at most \(limit) fit") }
        return try reader.bytes(count: count)
    }

    private static func text(_ reader: inout LedgerReader) throws(LedgerError) -> String {
        String(decoding: try blob(&reader, atMost: LedgerDecoder.longestText), as: UTF8.self)
    }
}
