/// A slot of a global offset table: a word of data from which code takes an address.
public enum GotSlot {
    /// In bytes, which it is aligned to as well.
    public static let size = 8

    /// What it holds for such a word, in the byte order of both architectures.
    public static func bytes(_ word: UInt64) -> [UInt8] { withUnsafeBytes(of: word.littleEndian, Array.init) }
}
