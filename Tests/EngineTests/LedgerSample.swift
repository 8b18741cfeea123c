import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchTestSupport

@testable import HotpatchEngine

/// Ledgers, and records of each kind, for tests to read.
enum LedgerSample {
    /// The mappings of a process made of bytes: the engine's computing half against it, no effects.
    static func map(_ regions: [Region]) throws -> ProcessMap {
        let lines = regions.map { region in
            let hex = { (value: UInt64) in String(value, radix: 16) }
            let permissions =
                (region.permissions.contains(.read) ? "r" : "-") + (region.permissions.contains(.write) ? "w" : "-")
                + (region.permissions.contains(.execute) ? "x" : "-") + "p"
            return "\(hex(region.range.lowerBound.rawValue))-\(hex(region.range.upperBound.rawValue)) \(permissions) "
                + "00000000 00:01 \(region.inode)   \(region.path)\n"
        }
        return try ProcessMap(parsing: lines.joined(), pid: 1)
    }

    static let base = Address(0x7f00_0000_0000)

    static func ledger(_ records: [LedgerRecord], generation: UInt64 = 1) throws -> (ProcessMap, BytesMemory) {
        try ledger(body: LedgerEncoder(records).bytes, generation: generation)
    }

    static func ledger(
        body: [UInt8], version: (major: UInt16, minor: UInt16) = (Ledger.major, Ledger.minor), generation: UInt64 = 1
    ) throws -> (ProcessMap, BytesMemory) {
        let size = 1 << 16
        var bytes = Ledger.header(segment: 0, edition: 0, size: size, generation: generation, used: body.count)
        for (offset, number) in [(8, version.major), (10, version.minor)] {
            withUnsafeBytes(of: number.littleEndian) { bytes.replaceSubrange(offset..<offset + 2, with: $0) }
        }
        bytes += [UInt8](repeating: 0, count: Ledger.headerSize - bytes.count) + body
        bytes += [UInt8](repeating: 0, count: size - bytes.count)
        let region = Region(
            range: base..<base + size, permissions: [.read, .write], inode: 7, path: "/memfd:hotpatch-ledger (deleted)")
        return (try map([region]), BytesMemory(base: base, contents: bytes))
    }

    static let pool = SegmentRecord(address: Address(0x5000_0000), codeSize: 65536, dataSize: 16384, generation: 3)

    static let linked = SegmentRecord(
        kind: .linked, address: Address(0x6000_0000), codeSize: 8192, constantsSize: 4096, dataSize: 0, generation: 900,
        owner: 7)

    static let identity = IdentityRecord(name: "$s4Shop5PriceVMa", address: Address(0x6000_0010), owner: 7)

    static let disposal = DisposalRecord(
        owner: 7, disposal: Disposal(isReachedByData: true, deregister: Address(0x4000), tables: Address(0x6000_2000)))

    static func word(_ id: UInt32, at address: UInt64 = 0x40_4000) -> DataRecord {
        DataRecord(
            id: id, kind: .value, address: Address(address), original: [1, 2, 3, 4, 5, 6, 7, 8],
            name: "$s4Shop5PriceVWP",
            imagePath: "/opt/shop")
    }

    static let thunk = ThunkRecord(
        range: Address(0x5000_0040)..<Address(0x5000_01b0), replacement: Address(0x6000), contextSize: 48)

    static func site(_ id: UInt32, at entry: UInt64 = 0x401000) -> SiteRecord {
        SiteRecord(
            id: id, machine: 62, entry: Address(entry), patchAddress: Address(entry),
            original: [0x55, 0x48, 0x89, 0xe5, 0x90],
            detour: [0xe9, 1, 2, 3, 4], stub: Address(0x5000_0000)..<Address(0x5000_0020),
            originalAddress: Address(0x5000_0006), slot: Address(0x5001_0000),
            moved: [.init(entryOffset: 0, stubOffset: 6), .init(entryOffset: 1, stubOffset: 7)],
            name: "$s4Shop5price2ofSiSS_tF", imagePath: "/opt/shop")
    }

    static func patch(
        _ id: UInt32, _ state: PatchRecord.State, sites: [UInt32], replacement: UInt64 = 0x6000,
        stores: [PatchRecord.Store] = []
    ) -> PatchRecord {
        PatchRecord(
            id: id, state: state, origin: .init(fromOutside: true, pid: 42, uid: 1000), time: 1_700_000_000_000_000_000,
            source: "/tmp/fix.so", digest: "abcd", handle: 0x1234, onRevert: Address(9),
            members: sites.map { .init(site: $0, replacement: Address(replacement), replacementName: "new_price") },
            stores: stores)
    }

    /// A record with another payload, whose checksum is right.
    static func record(_ kind: UInt32, _ payload: [UInt8]) -> [UInt8] {
        var writer = LedgerWriter()
        let padded = payload + [UInt8](repeating: 0, count: -payload.count & 7)
        writer.integer(UInt32(LedgerCoding.headerSize + padded.count))
        writer.integer(kind)
        let summed = kind & LedgerCoding.changes == 0 ? padded[...] : padded.dropFirst(8)
        writer.integer(LedgerCoding.checksum(kind: kind, payload: summed))
        writer.bytes(padded)
        return writer.bytes
    }
}
