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
