import HotpatchMemory
import HotpatchPlan

/// Records as the bytes of a ledger.
struct LedgerEncoder {
    private(set) var bytes: [UInt8] = []
    /// The offset of the state word of the last patch among them.
    private(set) var stateOffset: Int?
    private var numbers: [String: UInt32] = [:]
    /// The last texts asked for. Most come again at once: a site's image path, a member's replacement name.
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
