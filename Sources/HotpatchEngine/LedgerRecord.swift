import HotpatchMemory
import HotpatchPlan

/// A stub pool: r-x text for stubs, and rw- words for their retarget slots.
public struct PoolRecord: Hashable, Sendable {
    public var address: Address
    public var textSize: Int
    public var dataSize: Int

    public var text: Range<Address> { address..<address + textSize }
    public var data: Range<Address> { address + textSize..<address + (textSize + dataSize) }
}

/// A function whose entry has been, or is, overwritten. Written once a function: its stub serves every later patch.
public struct SiteRecord: Hashable, Sendable {
    public var id: UInt32
    public var machine: UInt16
    public var entry: Address
    public var patchAddress: Address
    /// The bytes of the function, and the detour; as many of either.
    public var original: [UInt8]
    public var detour: [UInt8]
    public var stub: Range<Address>
    /// What calling the original runs.
    public var originalAddress: Address
    /// The word that says where the detour leads.
    public var slot: Address
    /// Offsets from the entry, and from the stub, of the same instructions.
    public var moved: [PCPair]
    /// Mangled.
    public var name: String
    public var imagePath: String
    public var buildID: [UInt8]
}

/// A thunk through which an async function is entered. Never taken back: a task may be suspended in what it has entered, and return
/// through it at any time.
public struct ThunkRecord: Hashable, Sendable {
    public var range: Range<Address>
    /// Where it leads: what a member whose replacement is the thunk is about.
    public var replacement: Address
    /// In bytes.
    public var contextSize: UInt32

    init(range: Range<Address>, replacement: Address, contextSize: UInt32) {
        self.range = range
        self.replacement = replacement
        self.contextSize = contextSize
    }

    init(_ thunk: AsyncThunk) {
        self.init(
            range: thunk.range, replacement: thunk.replacement, contextSize: UInt32(clamping: thunk.contextSize))
    }
}

/// A set of functions replaced together, and the state of that.
public struct PatchRecord: Hashable, Sendable {
    public var id: UInt32
    public var state: State
    public var origin: Origin
    /// Nanoseconds since 1970, UTC.
    public var time: UInt64
    /// The library or object, or empty.
    public var source: String
    /// Build-id or digest of it, in hexadecimal, or empty.
    public var digest: String
    /// What dlopen returned for it in the target, 0 if nothing.
    public var handle: UInt64
    /// A function of the library to run once it is reverted, or null.
    public var onRevert: Address
    public var members: [Member]

    public enum State: UInt64, Sendable {
        case applying = 1
        case applied = 2
        case reverting = 3
        case reverted = 4
    }

    public struct Origin: Hashable, Sendable {
        /// From code, or by the command.
        public var fromOutside: Bool
        public var pid: Int32
        public var uid: UInt32

        public init(fromOutside: Bool, pid: Int32, uid: UInt32) {
            self.fromOutside = fromOutside
            self.pid = pid
            self.uid = uid
        }
    }

    public struct Member: Hashable, Sendable {
        public var site: UInt32
        /// Where the function's entry leads: the replacement, or the thunk through which it is entered.
        public var replacement: Address
        public var replacementName: String
    }
}

/// One entry of the ledger.
///
///     u32 length      of all of it, a multiple of 8
///     u32 kind
///     u64 state       of a patch; the only word that ever changes, so not in the checksum
///     u64 checksum    FNV-1a, 64 bits, over the 64-bit words of kind and payload
///     payload, padded with zeros
enum LedgerRecord: Hashable, Sendable {
    case pool(PoolRecord)
    case site(SiteRecord)
    case patch(PatchRecord)
    case thunk(ThunkRecord)

    static let headerSize = 24
    static let stateOffset = 8

    private var kind: UInt32 {
        switch self {
        case .pool: 1
        case .site: 2
        case .patch: 3
        case .thunk: 4
        }
    }

    func encoded() -> [UInt8] {
        var payload = LedgerWriter(capacity: 256)
        var state: UInt64 = 0
        switch self {
        case .pool(let pool):
            payload.integer(pool.address.rawValue)
            payload.integer(UInt64(pool.textSize))
            payload.integer(UInt64(pool.dataSize))
        case .site(let site):
            payload.integer(site.id)
            payload.integer(UInt32(site.machine))
            for address in [
                site.entry, site.patchAddress, site.stub.lowerBound, site.stub.upperBound, site.originalAddress,
                site.slot,
            ] { payload.integer(address.rawValue) }
            payload.blob(site.original)
            payload.blob(site.detour)
            payload.integer(UInt32(site.moved.count))
            for pair in site.moved {
                payload.integer(pair.entryOffset)
                payload.integer(pair.stubOffset)
            }
            payload.string(site.name)
            payload.string(site.imagePath)
            payload.blob(site.buildID)
        case .patch(let patch):
            state = patch.state.rawValue
            payload.integer(patch.id)
            payload.integer(UInt32(patch.origin.fromOutside ? 1 : 0))
            payload.integer(patch.origin.pid)
            payload.integer(patch.origin.uid)
            payload.integer(patch.time)
            payload.integer(patch.handle)
            payload.integer(patch.onRevert.rawValue)
            payload.string(patch.source)
            payload.string(patch.digest)
            payload.integer(UInt32(patch.members.count))
            for member in patch.members {
                payload.integer(member.site)
                payload.integer(member.replacement.rawValue)
                payload.string(member.replacementName)
            }
        case .thunk(let thunk):
            for address in [thunk.range.lowerBound, thunk.range.upperBound, thunk.replacement] {
                payload.integer(address.rawValue)
            }
            payload.integer(thunk.contextSize)
        }
        payload.pad(to: 8)
        var record = LedgerWriter(capacity: Self.headerSize + payload.bytes.count)
        record.integer(UInt32(Self.headerSize + payload.bytes.count))
        record.integer(kind)
        record.integer(state)
        record.integer(Self.checksum(kind: kind, payload: payload.bytes[...]))
        return record.bytes + payload.bytes
    }

    /// Decodes the record that fills `bytes`.
    /// - Parameter texts: shared by the records of one ledger.
    init(decoding bytes: ArraySlice<UInt8>, texts: LedgerTexts? = nil) throws(LedgerError) {
        var header = LedgerReader(bytes)
        _ = try header.integer(UInt32.self)
        let kind: UInt32 = try header.integer()
        let state: UInt64 = try header.integer()
        let checksum: UInt64 = try header.integer()
        let payload = bytes.dropFirst(Self.headerSize)
        guard Self.checksum(kind: kind, payload: payload) == checksum else {
            throw .malformed("the checksum of a record at offset \(bytes.startIndex) is wrong")
        }
        var reader = LedgerReader(payload, texts: texts)
        switch kind {
        case 1: self = .pool(try Self.pool(&reader))
        case 2: self = .site(try Self.site(&reader))
        case 3: self = .patch(try Self.patch(&reader, state: state))
        case 4: self = .thunk(try Self.thunk(&reader))
        default: throw .malformed("a record at offset \(bytes.startIndex) has the unknown kind \(kind)")
        }
    }

    private static func pool(_ reader: inout LedgerReader) throws(LedgerError) -> PoolRecord {
        let address: UInt64 = try reader.integer()
        let textSize: UInt64 = try reader.integer()
        let dataSize: UInt64 = try reader.integer()
        guard textSize <= 1 << 31, dataSize <= 1 << 31, address < 1 << 63 else {
            throw .malformed("a stub pool of \(textSize) + \(dataSize) bytes")
        }
        return PoolRecord(address: Address(address), textSize: Int(textSize), dataSize: Int(dataSize))
    }

    private static func site(_ reader: inout LedgerReader) throws(LedgerError) -> SiteRecord {
        let id: UInt32 = try reader.integer()
        let machine = UInt16(truncatingIfNeeded: try reader.integer(UInt32.self))
        let entry = Address(try reader.integer(UInt64.self))
        let patchAddress = Address(try reader.integer(UInt64.self))
        let stubStart = Address(try reader.integer(UInt64.self))
        let stubEnd = Address(try reader.integer(UInt64.self))
        let originalAddress = Address(try reader.integer(UInt64.self))
        let slot = Address(try reader.integer(UInt64.self))
        let original = try reader.blob(atMost: 16)
        let detour = try reader.blob(atMost: 16)
        guard original.count == detour.count, !detour.isEmpty, stubStart <= stubEnd,
            stubStart.distance(to: stubEnd) <= 1 << 16
        else { throw .malformed("site \(id) holds \(original.count) original and \(detour.count) new bytes") }
        let count: UInt32 = try reader.integer()
        guard count <= 64 else { throw .malformed("site \(id) moves \(count) instructions") }
        var moved: [PCPair] = []
        moved.reserveCapacity(Int(count))
        for _ in 0..<count {
            moved.append(.init(entryOffset: try reader.integer(), stubOffset: try reader.integer()))
        }
        return SiteRecord(
            id: id, machine: machine, entry: entry, patchAddress: patchAddress, original: original,
            detour: detour,
            stub: stubStart..<stubEnd, originalAddress: originalAddress, slot: slot, moved: moved,
            name: try reader.string(), imagePath: try reader.repeatedString(),
            buildID: try reader.repeatedBlob(atMost: 64))
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
        let onRevert = Address(try reader.integer(UInt64.self))
        let source = try reader.string()
        let digest = try reader.string()
        let count: UInt32 = try reader.integer()
        guard count <= 1 << 20 else { throw .malformed("patch \(id) replaces \(count) functions") }
        var members: [PatchRecord.Member] = []
        for _ in 0..<count {
            members.append(
                .init(
                    site: try reader.integer(), replacement: Address(try reader.integer(UInt64.self)),
                    replacementName: try reader.repeatedString()))
        }
        return PatchRecord(
            id: id, state: state, origin: origin, time: time, source: source, digest: digest, handle: handle,
            onRevert: onRevert, members: members)
    }

    private static func thunk(_ reader: inout LedgerReader) throws(LedgerError) -> ThunkRecord {
        let start = Address(try reader.integer(UInt64.self))
        let end = Address(try reader.integer(UInt64.self))
        let replacement = Address(try reader.integer(UInt64.self))
        guard start < end, start.distance(to: end) <= 1 << 16 else {
            throw .malformed("a thunk lies at \(start)..<\(end)")
        }
        return ThunkRecord(range: start..<end, replacement: replacement, contextSize: try reader.integer())
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
