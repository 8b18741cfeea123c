import HotpatchMemory

/// Code that edits before have brought into the process, which no symbols tell of: what of it runs as which function.
///
/// The code of a function ends where that of another starts, whether that runs or was replaced in its turn.
package struct LinkedCode: Sendable {
    /// A function whose code was linked into the process.
    struct Function: Sendable {
        /// Mangled.
        var name: String
        /// By which it is called: where it was first.
        var entry: Address
    }

    /// Functions of images that code was given, and where each of that starts.
    private var replaced: [(name: String, entry: Address, code: Address)] = []
    /// What was placed under a name.
    private(set) var placed: [(name: String, address: Address)] = []
    /// What was stored in words, that of entries among them.
    private var words: [Address: [Address]] = [:]
    private(set) var code: [Range<Address>] = []
    private var constants: [Range<Address>] = []

    package init() {}

    package init(
        replaced: [(name: String, entry: Address, code: Address)], placed: [(name: String, address: Address)],
        words: [Address: [Address]], code: [Range<Address>], constants: [Range<Address>]
    ) {
        (self.replaced, self.placed, self.words) = (replaced, placed, words)
        (self.code, self.constants) = (code, constants)
    }

    /// Where code starts, ascending; nil behind what nothing runs any more.
    func starts(_ live: LiveProgram) -> [(start: Address, function: Function?)] {
        var starts: [Address: Function?] = [:]
        for range in code { starts[range.lowerBound] = .some(nil) }
        for (name, entry, start) in replaced {
            let runs = live.replacement(entry) == start
            if runs || starts[start] == nil { starts[start] = .some(runs ? Function(name: name, entry: entry) : nil) }
        }
        for (identity, entry) in placed {
            guard let name = Self.name(of: identity), let slot = live.identity(EntryStub.slotName(entry)) else {
                continue
            }
            // The entry is code, too.
            if starts[entry] == nil { starts[entry] = .some(nil) }
            for former in words[slot] ?? [] where starts[former] == nil { starts[former] = .some(nil) }
            guard live.isPlaced(identity), let start = EntryStub.code(behind: entry, live) else { continue }
            starts[start] = .some(Function(name: name, entry: entry))
        }
        return starts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// What the identity map calls a function, without whose it is. Nil of what it knows besides: layouts, what edits have removed.
    private static func name(of identity: String) -> String? {
        if let slash = identity.lastIndex(of: "/") { return String(identity[identity.index(after: slash)...]) }
        return identity.contains(" ") ? nil : identity
    }

    /// Words of constants that hold one of some addresses: code reaches what lies there through them.
    func slots(holding addresses: Set<Address>, _ live: LiveProgram) -> [Address: Address] {
        var result: [Address: Address] = [:]
        for range in constants {
            guard let bytes = try? live.memory.bytes(at: range.lowerBound, count: range.upperBound - range.lowerBound)
            else { continue }
            bytes.withUnsafeBytes { bytes in
                for offset in stride(from: 0, to: bytes.count / GotSlot.size * GotSlot.size, by: GotSlot.size) {
                    let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                    if addresses.contains(Address(word)) { result[range.lowerBound + offset] = Address(word) }
                }
            }
        }
        return result
    }
}
