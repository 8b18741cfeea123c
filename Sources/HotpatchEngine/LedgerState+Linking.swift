import HotpatchMemory

extension LedgerState {
    /// The memory of the process, with the entries of patched functions as they were before.
    package func original(of memory: any MemoryReader) -> any MemoryReader { OriginalCode(memory, state: self) }

    /// The code that a linked object has given the function at an entry: of the newest such patch in force, behind any thunk, whatever else
    /// lies on it. Nil where there is none.
    package func linkedCode(of entry: Address) -> Address? {
        guard let site = site(entry: entry) else { return nil }
        return layer(of: site.id) { hasLinked($0.patch) }.map { destination(of: $0.replacement) }
    }

    /// What patches have linked into the process, and nothing has taken away since.
    package struct Linked {
        /// Functions of images that code was given, and where each of that starts.
        package var replaced: [(name: String, entry: Address, code: Address)] = []
        /// What was placed under a name.
        package var placed: [(name: String, address: Address)] = []
        /// What patches have stored in words.
        package var words: [Address: [Address]] = [:]
        package var code: [Range<Address>] = []
        package var constants: [Range<Address>] = []
    }

    package var linked: Linked {
        var result = Linked()
        func isThere(_ owner: UInt32) -> Bool { hasLinked(owner) && disposal(of: owner)?.isDisposedOf != true }
        for segment in segments where segment.kind == .linked && isThere(segment.owner) {
            result.code.append(segment.code)
            result.constants.append(segment.constants)
        }
        for record in patches.lazy.map(\.record) where isThere(record.id) {
            result.replaced += record.members.map { member in
                let site = site(member.site)
                return (site.name, site.entry, destination(of: member.replacement))
            }
            for store in record.stores where store.bytes.count == 8 {
                let location = data(store.location)
                let words = [location.original, store.bytes].map { bytes in
                    Address(bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) })
                }
                result.words[location.address, default: []] += words
            }
        }
        result.placed = identities.lazy.filter { isThere($0.owner) }.map { ($0.name, $0.address) }
        return result
    }
}
