import HotpatchMemory
import HotpatchPlan

/// How records are laid down in version 3.
///
///     u32 length      of all of it, a multiple of 8
///     u32 kind        the highest bit: its payload begins with a u64 that may change, and is not in the checksum
///     u64 checksum    FNV-1a, 64 bits, over the 64-bit words of kind and payload
///     payload, padded with zeros
///
/// A record holds several things of one kind; a patch is one record, whose first word is its state. Numbers are LEB128, addresses
/// of the same record count from its first. Texts are laid down once, before what mentions them, by their number.
enum LedgerCoding {
    static let headerSize = 16
    /// A bit of a kind: the first word of such a record is a state that changes, and the checksum leaves it out.
    static let changes: UInt32 = 1 << 31

    enum Kind: UInt32 {
        case texts = 1
        case segments = 2
        case sites = 3
        case thunks = 4
        case data = 5
        case identities = 6
        /// Since version 3.1.
        case disposals = 8
        case patch = 0x8000_0007
    }

    /// Any one word that differs gives another sum: each step is a bijection of the sum before.
    /// - Parameter payload: padded to a multiple of 8 bytes.
    static func checksum(kind: UInt32, payload: ArraySlice<UInt8>) -> UInt64 {
        let (basis, prime): (UInt64, UInt64) = (0xcbf2_9ce4_8422_2325, 0x100_0000_01b3)
        var hash = (basis ^ UInt64(kind)) &* prime
        payload.withUnsafeBytes { bytes in
            for offset in stride(from: 0, to: bytes.count & ~7, by: 8) {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                hash = (hash ^ word) &* prime
            }
        }
        return hash
    }
}

// MARK: Writing

/// Records as the bytes of a ledger.
struct LedgerEncoder {
    private(set) var bytes: [UInt8] = []
    /// The offset of the state word of the last patch among them.
    private(set) var stateOffset: Int?
    private var numbers: [String: UInt32] = [:]
    /// The last texts asked for, of which most come again at once: of sites their image's path, of members the replacement's name.
    private var latest: [(text: String, number: UInt32)] = []
    private var newTexts = LedgerWriter()
    private var firstText, nextText: UInt32

    /// Texts that come again are most likely among the first, as an image's path is, or among the latest.
    private static let remembered = 128

    /// - Parameters:
    ///   - records: each behind those that it refers to.
    ///   - texts: of the ledger so far.
    init(_ records: [LedgerRecord], behind texts: [String] = []) {
        firstText = UInt32(texts.count) + 1
        nextText = firstText
        let first = min(Self.remembered, texts.count)
        for index in [0..<first, max(first, texts.count - Self.remembered)..<texts.count].joined() {
            numbers[texts[index]] = UInt32(index) + 1
        }
        var body: [UInt8] = []
        var bodyState: Int?
        var start = records.startIndex
        while start < records.endIndex {
            let kind = records[start].kind
            var end = start + 1
            while end < records.endIndex, records[end].kind == kind, kind != .patch { end += 1 }
            if kind == .patch { bodyState = body.count + LedgerCoding.headerSize }
            let payload = payload(records[start..<end])
            Self.append(kind, payload, to: &body)
            start = end
        }
        if nextText > firstText {
            var payload = LedgerWriter(capacity: newTexts.bytes.count + 16)
            payload.number(nextText - firstText)
            Self.append(.texts, payload.bytes + newTexts.bytes, to: &bytes)
        }
        stateOffset = bodyState.map { bytes.count + $0 }
        bytes += body
    }

    private static func append(_ kind: LedgerCoding.Kind, _ payload: [UInt8], to bytes: inout [UInt8]) {
        var payload = payload
        while payload.count % 8 != 0 { payload.append(0) }
        var header = LedgerWriter(capacity: LedgerCoding.headerSize)
        header.integer(UInt32(LedgerCoding.headerSize + payload.count))
        header.integer(kind.rawValue)
        let summed = kind.rawValue & LedgerCoding.changes == 0 ? payload[...] : payload.dropFirst(8)
        header.integer(LedgerCoding.checksum(kind: kind.rawValue, payload: summed))
        bytes += header.bytes
        bytes += payload
    }

    /// The payload of records of one kind.
    private mutating func payload(_ records: ArraySlice<LedgerRecord>) -> [UInt8] {
        var writer = LedgerWriter(capacity: 64 * records.count + 64)
        if case .patch(let patch)? = records.first {
            put(patch, in: &writer)
            return writer.bytes
        }
        writer.number(records.count)
        switch records.first {
        case .site(let site):
            for address in [site.entry, site.stub.lowerBound, site.slot] { writer.address(address) }
            for case .site(let next) in records { put(next, from: site, in: &writer) }
        default:
            for record in records { put(record, in: &writer) }
        }
        return writer.bytes
    }

    private mutating func put(_ record: LedgerRecord, in writer: inout LedgerWriter) {
        switch record {
        case .segment(let segment):
            writer.integer(segment.kind.rawValue)
            writer.address(segment.address)
            for size in [segment.codeSize, segment.constantsSize, segment.dataSize] { writer.number(size) }
            writer.number(segment.generation)
            writer.number(segment.owner)
        case .thunk(let thunk):
            writer.address(thunk.range.lowerBound)
            writer.number(thunk.range.upperBound - thunk.range.lowerBound)
            writer.address(thunk.replacement)
            writer.number(thunk.contextSize)
        case .data(let data):
            writer.integer(data.kind.rawValue)
            writer.address(data.address)
            writer.blob(data.original)
            writer.number(number(of: data.name))
            writer.number(number(of: data.imagePath))
        case .identity(let identity):
            writer.number(number(of: identity.name))
            writer.address(identity.address)
            writer.number(identity.owner)
        case .disposal(let record):
            writer.number(record.owner)
            writer.number((record.isDisposedOf ? 1 : 0) | (record.disposal.isReachedByData ? 2 : 0))
            writer.address(record.disposal.deregister)
            writer.address(record.disposal.tables)
            writer.number(number(of: record.disposal.obstacle))
        case .site, .patch: break
        }
    }

    private mutating func put(_ site: SiteRecord, from first: SiteRecord, in writer: inout LedgerWriter) {
        writer.number(site.machine)
        writer.offset(site.entry - first.entry)
        writer.offset(site.patchAddress - site.entry)
        writer.blob(site.original)
        writer.bytes(site.detour)
        writer.offset(site.stub.lowerBound - first.stub.lowerBound)
        writer.number(site.stub.upperBound - site.stub.lowerBound)
        writer.offset(site.originalAddress - site.stub.lowerBound)
        writer.offset(site.slot - first.slot)
        writer.number(site.moved.count)
        for pair in site.moved {
            writer.number(pair.entryOffset)
            writer.number(pair.stubOffset)
        }
        writer.number(number(of: site.name))
        writer.number(number(of: site.imagePath))
    }

    private mutating func put(_ patch: PatchRecord, in writer: inout LedgerWriter) {
        writer.integer(patch.state.rawValue)
        writer.number(patch.id)
        writer.number(patch.origin.fromOutside ? 1 : 0)
        writer.number(UInt32(bitPattern: patch.origin.pid))
        writer.number(patch.origin.uid)
        writer.integer(patch.time)
        writer.number(patch.handle)
        writer.address(patch.onRevert)
        writer.number(number(of: patch.source))
        writer.number(number(of: patch.digest))
        writer.number(patch.members.count)
        let first = patch.members.first?.replacement ?? .null
        writer.address(first)
        for member in patch.members {
            writer.number(member.site)
            writer.offset(member.replacement - first)
            writer.number(number(of: member.replacementName))
        }
        writer.number(patch.stores.count)
        for store in patch.stores {
            writer.number(store.location)
            writer.blob(store.bytes)
        }
    }

    /// 0 for the empty text.
    private mutating func number(of text: String) -> UInt32 {
        if text.isEmpty { return 0 }
        if let known = latest.last(where: { $0.text == text }) { return known.number }
        let next = nextText
        let number = { (number: inout UInt32) -> UInt32 in
            if number == 0 { number = next }
            return number
        }(&numbers[text, default: 0])
        if number == next { add(text) }
        if latest.count == 2 { latest.removeFirst() }
        latest.append((text, number))
        return number
    }

    private mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { newTexts.blob(UnsafeBufferPointer(rebasing: $0.prefix(LedgerDecoder.longestText))) }
        nextText += 1
    }
}

extension LedgerRecord {
    fileprivate var kind: LedgerCoding.Kind {
        switch self {
        case .segment: .segments
        case .site: .sites
        case .patch: .patch
        case .thunk: .thunks
        case .data: .data
        case .identity: .identities
        case .disposal: .disposals
        }
    }
}

// MARK: Reading

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
