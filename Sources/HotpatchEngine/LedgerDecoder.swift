import HotpatchMemory
import HotpatchPlan

/// Reads the records of a ledger of version 3, in order. The bytes may be anything.
struct LedgerDecoder {
    private(set) var texts: [String] = []
    /// The numbers of the texts that the record read last mentions.
    private(set) var mentioned: [Int] = []
    /// Records of a kind that only a newer minor version knows.
    private(set) var unknown = 0
    private let isNewer: Bool

    /// In bytes.
    static let longestText = 1 << 16

    init(isNewer: Bool) { self.isNewer = isNewer }

    /// - Parameter bytes: of one record, as long as it says.
    mutating func decode(_ bytes: ArraySlice<UInt8>) throws(LedgerError) -> [LedgerRecord] {
        mentioned.removeAll(keepingCapacity: true)
        var header = LedgerReader(bytes)
        _ = try header.integer(UInt32.self)
        let number: UInt32 = try header.integer()
        let checksum: UInt64 = try header.integer()
        let payload = bytes.dropFirst(LedgerCoding.headerSize)
        let summed = number & LedgerCoding.changes == 0 ? payload : payload.dropFirst(8)
        guard LedgerCoding.checksum(kind: number, payload: summed) == checksum else {
            throw .malformed("the checksum of a record at offset \(bytes.startIndex) is wrong")
        }
        guard let kind = LedgerCoding.Kind(rawValue: number) else {
            guard isNewer else {
                throw .malformed("a record at offset \(bytes.startIndex) has the unknown kind \(number)")
            }
            unknown += 1
            return []
        }
        var reader = LedgerReader(payload)
        if kind == .patch { return [.patch(try patch(&reader))] }
        let count = try reader.number(atMost: kind == .texts ? Ledger.mostTexts : Ledger.mostRecords)
        var records: [LedgerRecord] = []
        if kind == .sites {
            let first = (try reader.address(), try reader.address(), try reader.address())
            records.reserveCapacity(min(count, payload.count / 32 + 1))
            for _ in 0..<count { records.append(.site(try site(&reader, from: first))) }
            return records
        }
        for _ in 0..<count {
            switch kind {
            case .texts:
                guard texts.count < Ledger.mostTexts else { throw .malformed("it has \(texts.count) texts") }
                texts.append(try reader.string(atMost: Self.longestText))
            case .segments: records.append(.segment(try segment(&reader)))
            case .thunks: records.append(.thunk(try thunk(&reader)))
            case .data: records.append(.data(try data(&reader)))
            case .identities: records.append(.identity(try identity(&reader)))
            case .disposals: records.append(.disposal(try disposal(&reader)))
            case .sites, .patch: break
            }
        }
        return records
    }

    private mutating func text(_ reader: inout LedgerReader) throws(LedgerError) -> String {
        let number = try reader.number(atMost: texts.count)
        if number == 0 { return "" }
        mentioned.append(number)
        return texts[number - 1]
    }

    private func segment(_ reader: inout LedgerReader) throws(LedgerError) -> SegmentRecord {
        let rawKind: UInt8 = try reader.integer()
        guard let kind = SegmentRecord.Kind(rawValue: rawKind) else {
            throw .malformed("a segment has the unknown kind \(rawKind)")
        }
        return SegmentRecord(
            kind: kind, address: try reader.address(), codeSize: try reader.number(atMost: 1 << 31),
            constantsSize: try reader.number(atMost: 1 << 31), dataSize: try reader.number(atMost: 1 << 31),
            generation: UInt64(try reader.number(atMost: Ledger.largestNumber)),
            owner: UInt32(try reader.number(atMost: Ledger.largestNumber)))
    }

    private mutating func site(
        _ reader: inout LedgerReader, from first: (entry: Address, stub: Address, slot: Address)
    ) throws(LedgerError) -> SiteRecord {
        let machine = UInt16(try reader.number(atMost: Int(UInt16.max)))
        let entry = try reader.address(from: first.entry)
        let patchAddress = try reader.address(from: entry)
        let original = try reader.blob(atMost: 16)
        let detour = try reader.bytes(count: original.count)
        guard !original.isEmpty else { throw .malformed("the site at \(entry) has no bytes") }
        let stub = try reader.address(from: first.stub)
        let stubLength = try reader.number(atMost: 1 << 16)
        let originalAddress = try reader.address(from: stub)
        let slot = try reader.address(from: first.slot)
        let count = try reader.number(atMost: 64)
        var moved: [PCPair] = []
        moved.reserveCapacity(count)
        for _ in 0..<count {
            let entryOffset = UInt32(try reader.number(atMost: 1 << 16))
            moved.append(PCPair(entryOffset: entryOffset, stubOffset: UInt32(try reader.number(atMost: 1 << 16))))
        }
        return SiteRecord(
            id: 0, machine: machine, entry: entry, patchAddress: patchAddress, original: original, detour: detour,
            stub: stub..<stub + stubLength, originalAddress: originalAddress, slot: slot, moved: moved,
            name: try text(&reader), imagePath: try text(&reader))
    }

    private mutating func patch(_ reader: inout LedgerReader) throws(LedgerError) -> PatchRecord {
        let rawState: UInt64 = try reader.integer()
        let id = UInt32(try reader.number(atMost: Ledger.largestNumber))
        guard let state = PatchRecord.State(rawValue: rawState) else {
            throw .malformed("patch \(id) has the unknown state \(rawState)")
        }
        let isFromOutside = try reader.number(atMost: 1) == 1
        let pid = Int32(truncatingIfNeeded: try reader.number(atMost: Int(UInt32.max)))
        let uid = UInt32(try reader.number(atMost: Int(UInt32.max)))
        let time: UInt64 = try reader.integer()
        let handle = try reader.number()
        let onRevert = try reader.address()
        let (source, digest) = (try text(&reader), try text(&reader))
        let count = try reader.number(atMost: Ledger.mostRecords)
        let first = try reader.address()
        var members: [PatchRecord.Member] = []
        for _ in 0..<count {
            let site = UInt32(try reader.number(atMost: Int(UInt32.max)))
            let replacement = try reader.address(from: first)
            members.append(.init(site: site, replacement: replacement, replacementName: try text(&reader)))
        }
        var stores: [PatchRecord.Store] = []
        for _ in 0..<(try reader.number(atMost: Ledger.mostRecords)) {
            let location = UInt32(try reader.number(atMost: Int(UInt32.max)))
            stores.append(.init(location: location, bytes: try reader.blob(atMost: DataRecord.largestSize)))
        }
        return PatchRecord(
            id: id, state: state, origin: .init(fromOutside: isFromOutside, pid: pid, uid: uid), time: time,
            source: source, digest: digest, handle: handle, onRevert: onRevert, members: members, stores: stores)
    }

    private func thunk(_ reader: inout LedgerReader) throws(LedgerError) -> ThunkRecord {
        let start = try reader.address()
        let length = try reader.number(atMost: 1 << 16)
        guard length > 0 else { throw .malformed("the thunk at \(start) is empty") }
        return ThunkRecord(
            range: start..<start + length, replacement: try reader.address(),
            contextSize: UInt32(try reader.number(atMost: Int(UInt32.max))))
    }

    private mutating func disposal(_ reader: inout LedgerReader) throws(LedgerError) -> DisposalRecord {
        let owner = UInt32(try reader.number(atMost: Ledger.largestNumber))
        let flags = try reader.number(atMost: 3)
        let (deregister, tables) = (try reader.address(), try reader.address())
        return DisposalRecord(
            owner: owner, isDisposedOf: flags & 1 != 0,
            disposal: Disposal(
                obstacle: try text(&reader), isReachedByData: flags & 2 != 0, deregister: deregister, tables: tables))
    }

    private mutating func data(_ reader: inout LedgerReader) throws(LedgerError) -> DataRecord {
        let rawKind: UInt8 = try reader.integer()
        guard let kind = DataRecord.Kind(rawValue: rawKind) else {
            throw .malformed("a location of data has the unknown kind \(rawKind)")
        }
        let address = try reader.address()
        let original = try reader.blob(atMost: DataRecord.largestSize)
        guard !original.isEmpty else { throw .malformed("the location of data at \(address) has no bytes") }
        return DataRecord(
            id: 0, kind: kind, address: address, original: original, name: try text(&reader),
            imagePath: try text(&reader))
    }

    private mutating func identity(_ reader: inout LedgerReader) throws(LedgerError) -> IdentityRecord {
        IdentityRecord(
            name: try text(&reader), address: try reader.address(),
            owner: UInt32(try reader.number(atMost: Ledger.largestNumber)))
    }
}
