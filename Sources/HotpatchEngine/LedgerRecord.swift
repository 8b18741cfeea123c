import HotpatchMemory
import HotpatchPlan

/// Memory that was reserved for patches: r-x code, r-- constants and rw- data, one behind the other.
public struct SegmentRecord: Hashable, Sendable {
    package var kind: Kind
    package var address: Address
    /// In bytes, multiples of the page size.
    public var codeSize: Int
    package var constantsSize: Int
    package var dataSize: Int
    /// The ledger's generation after the commit that made the segment reachable.
    package var generation: UInt64
    /// The number of the patch it was made for; 0 where it serves all.
    package var owner: UInt32

    package enum Kind: UInt8, Hashable, Sendable {
        /// A pool of stubs and thunks, and of the words that stubs jump through.
        case stubs = 1
        /// Code that was linked into the process, and what belongs to it.
        case linked = 2
    }

    package init(
        kind: Kind = .stubs, address: Address, codeSize: Int, constantsSize: Int = 0, dataSize: Int,
        generation: UInt64 = 0, owner: UInt32 = 0
    ) {
        self.kind = kind
        self.address = address
        self.codeSize = codeSize
        self.constantsSize = constantsSize
        self.dataSize = dataSize
        self.generation = generation
        self.owner = owner
    }

    /// Where code lies, readable and executable.
    public var code: Range<Address> { address..<address + codeSize }
    package var constants: Range<Address> { code.upperBound..<code.upperBound + constantsSize }
    /// Where what code writes lies: its slots, and variables of objects.
    public var data: Range<Address> { constants.upperBound..<constants.upperBound + dataSize }
    package var range: Range<Address> { address..<data.upperBound }
}

/// A function whose entry has been, or is, overwritten. Written once a function: its stub serves every later patch.
public struct SiteRecord: Hashable, Sendable {
    package var id: UInt32
    package var machine: UInt16
    package var entry: Address
    package var patchAddress: Address
    /// The bytes of the function, and the detour; as many of either.
    package var original: [UInt8]
    package var detour: [UInt8]
    /// The moved prologue and the jump back.
    public var stub: Range<Address>
    /// What calling the original runs.
    public var originalAddress: Address
    /// The word that says where the detour leads.
    package var slot: Address
    /// Offsets from the entry, and from the stub, of the same instructions.
    package var moved: [PCPair]
    /// Mangled.
    package var name: String
    package var imagePath: String
}

/// A word or a range of data that has been, or is, overwritten.
package struct DataRecord: Hashable, Sendable {
    package var id: UInt32
    package var kind: Kind
    package var address: Address
    /// The bytes that stood there before any patch in force, as many as each of these writes.
    package var original: [UInt8]
    /// Mangled: what lies there, or the function that a pointer leads to.
    package var name: String
    package var imagePath: String

    package enum Kind: UInt8, Hashable, Sendable {
        /// Put back once no patch in force has written there.
        case value = 1
        /// A variable that holds the address of an original. It keeps that: a thread that is still inside a replacement may call
        /// the original through it at any time.
        case originalPointer = 2
    }

    package var range: Range<Address> { address..<address + original.count }

    /// More than a page has.
    static let largestSize = 1 << 16
}

/// A thunk through which an async function is entered. Never taken back: a task may be suspended in what it has entered, and return
/// through it at any time.
package struct ThunkRecord: Hashable, Sendable {
    package var range: Range<Address>
    /// Where it leads: what a member whose replacement is the thunk is about.
    package var replacement: Address
    /// In bytes.
    package var contextSize: UInt32

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

/// Where something of a name lies that was placed in the process, for code that is placed later: there is one of each.
package struct IdentityRecord: Hashable, Sendable {
    /// Mangled.
    package var name: String
    package var address: Address
    /// The number of the patch that has placed it.
    package var owner: UInt32

    package init(name: String, address: Address, owner: UInt32) {
        self.name = name
        self.address = address
        self.owner = owner
    }
}

/// How code that was linked into the process can be taken away again.
package struct DisposalRecord: Hashable, Sendable {
    /// The number of the patch that has brought it.
    package var owner: UInt32
    /// Nothing leads into it any more, and its segment may be gone.
    package var isDisposedOf = false
    package var disposal: Disposal
}

/// How code can be taken away again that no function in force is part of.
package struct Disposal: Hashable, Sendable {
    /// Why it has to stay for good; empty where it has not.
    package var obstacle: String
    /// Whether constants or data of the same patch lead to it.
    package var isReachedByData: Bool
    /// A function to call before, with one argument: it makes the unwinder forget the code's tables. Null where it does not know any.
    package var deregister: Address
    package var tables: Address

    package init(
        obstacle: String = "", isReachedByData: Bool = false, deregister: Address = .null, tables: Address = .null
    ) {
        self.obstacle = obstacle
        self.isReachedByData = isReachedByData
        self.deregister = deregister
        self.tables = tables
    }
}

/// A set of functions and data replaced together, and the state of that.
public struct PatchRecord: Hashable, Sendable {
    package var id: UInt32
    package var state: State
    package var origin: Origin
    /// Nanoseconds since 1970, UTC.
    package var time: UInt64
    /// The library or object, or empty.
    package var source: String
    /// Build-id or digest of it, in hexadecimal, or empty.
    package var digest: String
    /// What dlopen returned for it in the target, 0 if nothing.
    package var handle: UInt64
    /// A function of the library to run once it is reverted, or null.
    package var onRevert: Address
    package var members: [Member]
    package var stores: [Store] = []

    package enum State: UInt64, Sendable {
        case applying = 1
        case applied = 2
        case reverting = 3
        case reverted = 4
    }

    /// Who has made a patch.
    public struct Origin: Hashable, Sendable {
        /// From code, or by the command.
        package var fromOutside: Bool
        package var pid: Int32
        package var uid: UInt32

        /// Makes the origin.
        /// - Parameters:
        ///   - fromOutside: made by another process.
        ///   - pid: the number of the process that has made it.
        ///   - uid: the user it ran for.
        public init(fromOutside: Bool, pid: Int32, uid: UInt32) {
            self.fromOutside = fromOutside
            self.pid = pid
            self.uid = uid
        }
    }

    package struct Member: Hashable, Sendable {
        package var site: UInt32
        /// Where the function's entry leads: the replacement, or the thunk through which it is entered.
        package var replacement: Address
        package var replacementName: String
    }
    /// What a patch has written to a location of data.
    package struct Store: Hashable, Sendable {
        /// The number of the location.
        package var location: UInt32
        package var bytes: [UInt8]

        package init(location: UInt32, bytes: [UInt8]) {
            self.location = location
            self.bytes = bytes
        }
    }
}

/// One entry of the ledger.
enum LedgerRecord: Hashable, Sendable {
    case segment(SegmentRecord)
    case site(SiteRecord)
    case patch(PatchRecord)
    case thunk(ThunkRecord)
    case data(DataRecord)
    case identity(IdentityRecord)
    case disposal(DisposalRecord)
}
