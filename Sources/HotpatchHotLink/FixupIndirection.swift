import CPatchCore
import HotpatchMemory
import HotpatchPlan

/// A slot of a global offset table: a word of data from which code takes an address.
package enum GotSlot {
    /// In bytes, which it is aligned to as well.
    package static let size = 8

    /// What it holds for such a word, in the byte order of both architectures.
    package static func bytes(_ word: UInt64) -> [UInt8] {
        withUnsafeBytes(of: word.littleEndian, Array.init)
    }
}

/// An entry of a procedure linkage table: a jump to the address that a slot holds. Calls go through it whose fields do not reach what
/// they call.
package enum PltEntry {
    /// In bytes, the most that one takes: a multiple of 16.
    package static let size = Int(HP_PLT_CAPACITY)

    /// - Parameters:
    ///   - address: where it runs.
    ///   - slot: the address of the slot.
    ///   - landingPad: it can be jumped to from code that is checked for where indirect jumps land (`endbr64`, `bti c`).
    /// - Returns: nil where the slot is out of reach, or lies on no multiple of 8 that arm64 needs.
    package static func bytes(
        _ architecture: Architecture, at address: Address, slot: Address, landingPad: Bool = false
    ) -> [UInt8]? {
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            buffer.initialize(repeating: 0)
            count = hp_encode_plt(
                architecture.core, address.rawValue, slot.rawValue, landingPad, buffer.baseAddress)
        }
        return bytes.isEmpty ? nil : bytes
    }
}
