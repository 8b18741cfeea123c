import CPatchCore
import HotpatchMemory

/// Something in code that leads to a place, or takes its address.
package struct Reference: Hashable, Sendable {
    package enum Kind: UInt8, Hashable, Sendable {
        case jump = 1
        case call
        case address
        /// Data that holds an address.
        case word
    }

    package var kind: Kind
    /// The address of the displacement on x86_64, or of the instruction on arm64, or of the data.
    package var field: Address
    package var target: Address
    /// Bytes of the displacement.
    var width: UInt8

    /// Whether the displacement reaches as far as any of the architecture.
    package var isWide: Bool { width >= 4 }

    init?(_ raw: hp_reference) {
        guard let kind = Kind(rawValue: raw.kind) else { return nil }
        self.kind = kind
        field = Address(raw.address)
        target = Address(raw.target)
        width = raw.width
    }

    private var raw: hp_reference {
        hp_reference(address: field.rawValue, target: target.rawValue, kind: kind.rawValue, width: width)
    }

    /// Whether there is an instruction that refers so, for whoever reads instructions from a known start.
    package enum Verdict: Hashable, Sendable {
        case real(address: Address, length: Int)
        case none
        /// Something unknown stands before it.
        case unknown
    }

    /// - Parameter code: from the start of an instruction, at `start`, to the end of the reference or beyond.
    package func verdict(_ architecture: Architecture, in code: [UInt8], at start: Address) -> Verdict {
        var reference = raw
        var instruction = 0
        var size = 0
        let verdict = hp_check_reference(
            architecture.core, code, code.count, start.rawValue, &reference, &instruction, &size)
        switch verdict {
        case HP_VERDICT_REAL: return .real(address: start + instruction, length: size)
        case HP_VERDICT_NONE: return .none
        default: return .unknown
        }
    }
}

/// Places that references are looked for to: to some of them only jumps count, to the others every reference.
package struct ReferenceTargets: Sendable {
    package let range: Range<Address>
    private var entries, insides: Places

    /// A bit for each place, those of an entry without an allocation.
    private struct Places: Sendable {
        private var few: UInt64 = 0
        private var many: [UInt8] = []
        private let count: Int

        init(count: Int) {
            self.count = count
            if count > UInt64.bitWidth { many = [UInt8](repeating: 0, count: (count + 7) / 8) }
        }

        mutating func insert(_ bit: Int) {
            guard bit >= 0, bit < count else { return }
            if many.isEmpty { few |= 1 << UInt64(bit) } else { many[bit >> 3] |= 1 << UInt8(bit & 7) }
        }

        mutating func insert(_ bits: Range<Int>) {
            let bits = bits.clamped(to: 0..<count)
            let first = bits.lowerBound >> 3
            guard bits.count <= 56, first + 8 <= many.count else {
                for bit in bits { insert(bit) }
                return
            }
            let added: UInt64 = ((1 << UInt64(bits.count)) - 1) << UInt64(bits.lowerBound & 7)
            many.withUnsafeMutableBytes { bytes in
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: first, as: UInt64.self))
                bytes.storeBytes(of: (word | added).littleEndian, toByteOffset: first, as: UInt64.self)
            }
        }

        func withBits<Result>(_ body: (UnsafePointer<UInt8>?) -> Result) -> Result {
            guard many.isEmpty else { return many.withUnsafeBufferPointer { body($0.baseAddress) } }
            return withUnsafeBytes(of: few.littleEndian) { body($0.bindMemory(to: UInt8.self).baseAddress) }
        }
    }

    /// - Parameter range: in which all places lie.
    package init(in range: Range<Address>) {
        self.range = range
        entries = Places(count: range.upperBound - range.lowerBound)
        insides = Places(count: range.upperBound - range.lowerBound)
    }

    package mutating func add(jumpsTo place: Address) { entries.insert(place - range.lowerBound) }

    package mutating func add(allTo places: Range<Address>) {
        insides.insert(places.lowerBound - range.lowerBound..<places.upperBound - range.lowerBound)
    }

    /// How far away the reference may be from what it refers to.
    package enum Reach: Sendable {
        case near
        /// Displacements of 8 bits, which x86_64 alone has: `shortReach` bytes.
        case short
    }
    package static let shortReach = 130

    /// What in `code`, which runs at `address`, may refer to a target. Nothing is left out; data, and the middle of
    /// instructions, may be reported.
    package func references(
        _ architecture: Architecture, in code: [UInt8], at address: Address, reach: Reach
    ) -> [Reference] {
        code.withUnsafeBytes { references(architecture, in: $0, at: address, reach: reach) }
    }

    /// The same of bytes that somebody lends.
    package func references(
        _ architecture: Architecture, in code: UnsafeRawBufferPointer, at address: Address, reach: Reach
    ) -> [Reference] {
        let reach = reach == .near ? HP_REACH_NEAR : HP_REACH_SHORT
        return collect(code) { bytes, targets, from, found, capacity in
            hp_find_references(
                architecture.core, bytes, code.count, address.rawValue, targets, reach, from, found, capacity)
        }
    }

    /// The words of 8 bytes in `data`, which lies at `address`, that hold the address of a target.
    package func words(in data: UnsafeRawBufferPointer, at address: Address) -> [Reference] {
        collect(data) { bytes, targets, from, found, capacity in
            hp_find_words(bytes, data.count, address.rawValue, targets, from, found, capacity)
        }
    }

    /// References that are collected at a time: as many as take no allocation.
    private static let portion = 1024 / MemoryLayout<hp_reference>.stride

    private func collect(
        _ bytes: UnsafeRawBufferPointer,
        _ next: (
            UnsafePointer<UInt8>?, UnsafePointer<hp_reference_targets>, UnsafeMutablePointer<Int>,
            UnsafeMutablePointer<hp_reference>, Int
        ) -> Int
    ) -> [Reference] {
        var result: [Reference] = []
        let start = bytes.bindMemory(to: UInt8.self).baseAddress
        entries.withBits { entries in
            insides.withBits { insides in
                var targets = hp_reference_targets(
                    start: range.lowerBound.rawValue, length: range.upperBound - range.lowerBound,
                    entries: entries, insides: insides)
                var from = 0
                withUnsafeTemporaryAllocation(of: hp_reference.self, capacity: Self.portion) { found in
                    while from < bytes.count {
                        let count = next(start, &targets, &from, found.baseAddress!, found.count)
                        for raw in found[..<count] { if let reference = Reference(raw) { result.append(reference) } }
                    }
                }
            }
        }
        return result
    }
}

extension Architecture {
    /// Bytes from a function's entry within which a detour ends, whichever it is.
    package var entrySpan: Int { hp_entry_span(core) }

    /// Bytes that a hop takes: padding near an entry, through which a detour goes that may overwrite less. 0 where no entry needs
    /// one.
    package var hopLength: Int { hp_hop_length(core) }

    /// How far from the entry the hop may be, in bytes, either way.
    package static let hopReach = 120

    /// The jump at a hop to a stub; nil out of reach.
    package func jump(atHop hop: Address, to stub: Address) -> [UInt8]? {
        let bytes = encodedJump(from: hop, to: stub)
        return bytes.count == hopLength && !bytes.isEmpty ? bytes : nil
    }

    /// Where a detour goes through, by its bytes at an entry; nil where it needs no hop.
    package func hop(of detour: [UInt8], at address: Address) -> Address? {
        let hop = hp_hop_of(core, detour, detour.count, address.rawValue)
        return hop == 0 ? nil : Address(hop)
    }

    /// Bytes of padding right behind a piece of code that is not run on into.
    /// - Parameter code: the piece, `piece` bytes, and what follows it up to the next.
    package func freePadding(in code: [UInt8], behind piece: Int) -> Int {
        hp_free_padding(core, code, code.count, piece)
    }
}
