/// An address in a process.
///
/// Address − address is an offset and address + offset is an address; there is no address + address.
///
/// It lies in memory with every bit inverted. Where a process is searched for words that lead into old code, those that its patcher remembers
/// are none: they are for bookkeeping, and nobody jumps there.
public struct Address: RawRepresentable, Hashable, Comparable, Sendable {
    @usableFromInline var inverted: UInt64

    /// The number.
    @inlinable public var rawValue: UInt64 {
        get { ~inverted }
        set { inverted = ~newValue }
    }

    /// Makes the address that has a number.
    /// - Parameter rawValue: the number.
    @inlinable public init(rawValue: UInt64) { inverted = ~rawValue }
    /// Makes the address that has a number.
    /// - Parameter rawValue: the number.
    @inlinable public init(_ rawValue: UInt64) { inverted = ~rawValue }
    /// Makes the address that a pointer of this process has.
    /// - Parameter pointer: the pointer.
    public init(_ pointer: UnsafeRawPointer) { self.init(UInt64(UInt(bitPattern: pointer))) }

    /// Zero, at which nothing is mapped.
    public static let null = Address(0)

    /// Whether one address is the lower.
    @inlinable public static func < (left: Self, right: Self) -> Bool { left.inverted > right.inverted }

    /// Wraps around, as address arithmetic in a process does: an ELF file can hold any number.
    public static func + (address: Self, offset: Int) -> Self {
        Address(address.rawValue &+ UInt64(bitPattern: Int64(offset)))
    }
    /// The address so many bytes below. Wraps around likewise.
    public static func - (address: Self, offset: Int) -> Self {
        Address(address.rawValue &- UInt64(bitPattern: Int64(offset)))
    }
    /// From one address to the other, in bytes.
    public static func - (left: Self, right: Self) -> Int {
        Int(Int64(bitPattern: left.rawValue &- right.rawValue))
    }
    /// Adds bytes to an address. Wraps around likewise.
    public static func += (address: inout Self, offset: Int) { address = address + offset }

    /// How far apart two addresses are, in bytes, whichever comes first.
    public func distance(to other: Self) -> UInt64 {
        self < other ? other.rawValue &- rawValue : rawValue &- other.rawValue
    }

    /// The greatest multiple of `alignment` (a power of two) not above this address.
    public func roundedDown(to alignment: Int) -> Self {
        Address(rawValue & ~(UInt64(alignment) &- 1))
    }

    /// The least multiple of `alignment` (a power of two) not below this address.
    public func roundedUp(to alignment: Int) -> Self {
        (self + (alignment - 1)).roundedDown(to: alignment)
    }

    /// The pointer with this value. Meaningful only for an address of this process.
    public var pointer: UnsafeMutableRawPointer? {
        UnsafeMutableRawPointer(bitPattern: UInt(rawValue))
    }
}

extension Address: CustomStringConvertible {
    /// In hexadecimal, with `0x` in front.
    public var description: String { "0x" + String(rawValue, radix: 16) }
}

/// What is added to a link-time address of an image to get its address in the process.
public struct LoadBias: RawRepresentable, Hashable, Sendable {
    /// What is added, in bytes, modulo 2⁶⁴.
    public var rawValue: UInt64

    /// Makes the bias that a number is.
    /// - Parameter rawValue: what is added, in bytes.
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// Makes the bias of an image of which one byte is known by both addresses.
    /// - Parameters:
    ///   - mapped: its address in the process.
    ///   - linked: its link-time address.
    public init(mapped: Address, linked: UInt64) { rawValue = mapped.rawValue &- linked }

    /// The address in the process of a link-time address.
    public func address(ofLinked linked: UInt64) -> Address { Address(linked &+ rawValue) }

    /// The link-time address of an address in the process.
    public func linked(_ address: Address) -> UInt64 { address.rawValue &- rawValue }
}
