import CPatchCore
import HotpatchMemory
import HotpatchPlan

/// A type of relocation: what it refers to, by which expression, and which bits hold the result.
package struct FixupRow: @unchecked Sendable {
    /// An element of a constant table.
    private let raw: UnsafePointer<hp_fixup>

    init(_ raw: UnsafePointer<hp_fixup>) { self.raw = raw }

    package var architecture: Architecture { Architecture(rawValue: raw.pointee.arch) ?? .x86_64 }

    /// Its number in the ELF file.
    package var type: UInt32 { raw.pointee.type }

    /// As in the psABI: `R_X86_64_PC32`.
    package var name: String { String(cString: raw.pointee.name) }

    /// What a relocation refers to: X of its expression. S is the symbol's address, TP the thread pointer.
    package enum Subject: UInt8, Hashable, Sendable, CaseIterable {
        case nothing
        /// S.
        case symbol
        /// S, or an entry of the PLT that leads there.
        case plt
        /// The address of a word that holds S.
        case gotSlot
        /// The global offset table itself.
        case got
        /// The size of the symbol.
        case size
        /// S − TP.
        case threadPointerOffset
        /// S − the start of its module's thread-locals. Where a linker has relaxed the code that finds that start, as it does in
        /// executables, the field holds S − TP, though its type stays; and S − TP of `_TLS_MODULE_BASE_` is then 0.
        case moduleOffset
        /// The address of a word that holds S − TP.
        case threadPointerSlot
        /// The address of two words: the symbol's module, and its offset in that.
        case moduleSlots
        /// The address of two words: this module, and 0.
        case localModuleSlots
        /// The address of two words: a function that gives S − TP, and what it is given.
        case descriptorSlots
    }
    package var subject: Subject { Subject(rawValue: raw.pointee.subject) ?? .nothing }

    /// A is the addend, P the place.
    package enum Expression: UInt8, Hashable, Sendable, CaseIterable {
        /// Nothing is written.
        case none
        /// X + A.
        case absolute
        /// X + A − P.
        case relative
        /// Page(X + A) − Page(P), of pages of 4 KiB.
        case page
        /// X + A − GOT.
        case gotRelative
        /// X + A − Page(GOT).
        case gotPageRelative
        /// Only linkers write it, into what they make.
        case unsupported
    }
    package var expression: Expression { Expression(rawValue: raw.pointee.expression) ?? .unsupported }

    /// The slot holds S + A, and `value` reads no addend: so it is on arm64.
    package var addendInSlot: Bool { raw.pointee.addend_in_slot }

    /// A call or jump, which may be led through an entry of the PLT.
    package var isCall: Bool { raw.pointee.call }

    /// The place is an instruction of arm64, at a multiple of 4.
    package var isInstruction: Bool { raw.pointee.instruction }

    /// Bytes of the place: 0 for one that nothing is written to.
    package var byteCount: Int { Int(raw.pointee.size) }

    /// What the value must be a multiple of.
    package var alignment: UInt64 { 1 << UInt64(raw.pointee.alignment) }

    /// The values that fit; nil where all do, because other instructions hold the other bits.
    package var range: ClosedRange<Int64>? {
        var (lowest, highest) = (Int64(0), Int64(0))
        return hp_fixup_range(raw, &lowest, &highest) ? lowest...highest : nil
    }

    /// The result of the expression.
    /// - Parameters:
    ///   - subject: X.
    ///   - addend: A.
    ///   - place: P, the address that the place has when the code runs.
    ///   - got: the start of the global offset table.
    package func value(subject: UInt64, addend: Int64, place: Address, got: Address) -> Int64 {
        var terms = hp_fixup_terms(
            subject: subject, addend: addend, place: place.rawValue, got: got.rawValue)
        return hp_fixup_value(raw, &terms)
    }

    /// Writes a value. The bytes stay as they are where an error is thrown.
    package func write(_ value: Int64, into bytes: inout [UInt8], at offset: Int) throws(FixupProblem) {
        guard offset >= 0 else { throw .outOfBounds }
        let count = bytes.count
        try check(hp_fixup_write(raw, &bytes, count, offset, value), value)
    }

    /// The value that bytes hold.
    package func read(_ bytes: [UInt8], at offset: Int) throws(FixupProblem) -> FieldValue {
        guard offset >= 0 else { throw .outOfBounds }
        var field = FieldValue(value: 0, known: 0)
        try check(hp_fixup_read(raw, bytes, bytes.count, offset, &field.value, &field.known))
        return field
    }

    /// What a linker may change for a fixup at `offset`, relaxations included.
    /// - Parameter code: the object's, which no linker has changed.
    package func mask(of code: [UInt8], at offset: Int) throws(FixupProblem) -> FixupMask {
        guard offset >= 0 else { throw .outOfBounds }
        var span = hp_fixup_span()
        try check(hp_fixup_mask(raw, code, code.count, offset, &span))
        return FixupMask(
            start: span.start, bits: withUnsafeBytes(of: span.bits) { Array($0.prefix(span.length)) })
    }

    /// What a linker has made of the fixup at `offset`.
    /// - Parameters:
    ///   - live: what the linker wrote, and
    ///   - code: what the object has there, as many bytes.
    /// - Throws: `FixupProblem.otherCode` where it is nothing that a linker makes of it.
    package func find(in live: [UInt8], from code: [UInt8], at offset: Int) throws(FixupProblem)
        -> LinkedPlace
    {
        guard offset >= 0, code.count == live.count else { throw .outOfBounds }
        var place = hp_fixup_place()
        try check(hp_fixup_find(raw, code, live, code.count, offset, &place))
        guard let row = place.row else { throw .otherCode }
        return LinkedPlace(
            row: FixupRow(row), offset: place.offset, addendChange: place.addend_change,
            field: FieldValue(value: place.value, known: place.known), span: place.start..<place.end)
    }

    private func check(_ result: hp_fixup_result, _ value: Int64 = 0) throws(FixupProblem) {
        switch result {
        case HP_FIXUP_DONE: return
        case HP_FIXUP_DOES_NOT_FIT: throw .doesNotFit(value: value, range: range ?? value...value)
        case HP_FIXUP_MISALIGNED: throw .misaligned(value: value, alignment: alignment)
        case HP_FIXUP_OUT_OF_BOUNDS: throw .outOfBounds
        case HP_FIXUP_MISPLACED: throw .misplaced
        case HP_FIXUP_UNSUPPORTED: throw .unsupported
        default: throw .otherCode
        }
    }
}

extension FixupRow: Hashable, CustomStringConvertible {
    package static func == (left: Self, right: Self) -> Bool { left.raw == right.raw }
    package func hash(into hasher: inout Hasher) { hasher.combine(raw) }

    package var description: String { name }
}

/// The relocation types of an architecture.
package struct FixupTable: Hashable, Sendable {
    package var architecture: Architecture

    package init(_ architecture: Architecture) { self.architecture = architecture }

    /// nil for a type that is unknown.
    package func row(_ type: UInt32) -> FixupRow? {
        hp_fixup_row(architecture.core, type).map(FixupRow.init)
    }

    /// Ascending by type.
    package var rows: [FixupRow] {
        var count = 0
        guard let rows = hp_fixup_rows(architecture.core, &count) else { return [] }
        return (0..<count).map { FixupRow(rows + $0) }
    }
}

/// What a place says of the value that was put there.
package struct FieldValue: Hashable, Sendable {
    /// Bits that are not known are 0.
    package var value: Int64
    package var known: UInt64

    package init(value: Int64, known: UInt64) {
        self.value = value
        self.known = known
    }

    /// Whether it is this value, as far as is known.
    package func holds(_ value: Int64) -> Bool { UInt64(bitPattern: value ^ self.value) & known == 0 }
}

/// The bits that a linker may change.
package struct FixupMask: Hashable, Sendable {
    /// The offset of the first byte.
    package var start: Int
    package var bits: [UInt8]
}

/// Where linked code holds what a fixup of its object put there.
package struct LinkedPlace: Hashable, Sendable {
    /// Whose field it is: that of another type where the linker relaxed the code.
    package var row: FixupRow
    /// The field's offset.
    package var offset: Int
    /// What the object's addend is raised by.
    package var addendChange: Int64
    /// What it holds.
    package var field: FieldValue
    /// The bytes that were understood. Fixups of the object that come after this one and lie in them are gone.
    package var span: Range<Int>
}

/// Why a fixup cannot be written, or not be read.
package enum FixupProblem: Error, Hashable, Sendable {
    case doesNotFit(value: Int64, range: ClosedRange<Int64>)
    case misaligned(value: Int64, alignment: UInt64)
    /// The place does not lie in the bytes.
    case outOfBounds
    /// No instruction can lie there.
    case misplaced
    case unsupported
    /// The bytes are neither what the object has, nor what a linker makes of that.
    case otherCode
}

extension Architecture {
    var core: hp_arch { hp_arch(rawValue: UInt32(rawValue)) }

    /// The offset of the end of the instruction that the byte at `field` belongs to; nil where something unknown stands before it.
    ///
    /// x86_64 counts displacements from there, which is 4 bytes behind the field only where no immediate follows.
    /// - Parameters:
    ///   - code: the function's.
    ///   - start: where instructions are read from.
    package func instructionEnd(in code: [UInt8], from start: Int = 0, holding field: Int) -> Int? {
        guard start >= 0, field >= start else { return nil }
        let end = hp_instruction_end(core, code, code.count, start, field)
        return end > 0 ? end : nil
    }
}
