import HotpatchMemory
import HotpatchPlan

/// One relocation of an object: a type, a place, an addend and a symbol.
package struct Fixup: Hashable, Sendable {
    package var row: FixupRow
    /// The name of the section that is changed, and
    package var section: String
    /// the place in it.
    package var offset: UInt64
    package var addend: Int64
    /// The name of what it refers to.
    package var symbol: String

    package init(row: FixupRow, section: String, offset: UInt64, addend: Int64, symbol: String) {
        self.row = row
        self.section = section
        self.offset = offset
        self.addend = addend
        self.symbol = symbol
    }

    /// Writes what the relocation says.
    /// - Parameters:
    ///   - bytes: the section's, or part of it.
    ///   - index: where the place lies in them; nil where they are the whole section.
    ///   - subject: the address or number that the row's subject stands for.
    ///   - place: the address that the place has when the code runs.
    ///   - got: the start of the global offset table.
    package func apply(
        to bytes: inout [UInt8], at index: Int? = nil, subject: UInt64, place: Address, got: Address
    ) throws(FixupError) {
        guard let index = index ?? Int(exactly: offset) else { throw error(.outOfBounds) }
        let value = row.value(subject: subject, addend: addend, place: place, got: got)
        do throws(FixupProblem) { try row.write(value, into: &bytes, at: index) } catch {
            throw self.error(error)
        }
    }

    /// What is said of a problem with this one.
    package func error(_ problem: FixupProblem) -> FixupError {
        FixupError(
            architecture: row.architecture, type: row.type, section: section, offset: offset,
            symbol: symbol,
            kind: .problem(problem))
    }
}

/// A relocation that cannot be carried out.
package struct FixupError: Error, Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case problem(FixupProblem)
        /// The type is in no table.
        case unknown
    }

    package var architecture: Architecture
    package var type: UInt32
    package var section: String
    /// In the section, in bytes.
    package var offset: UInt64
    package var symbol: String
    package var kind: Kind

    /// An error for a type that is in no table.
    package static func unknown(
        architecture: Architecture, type: UInt32, section: String, offset: UInt64, symbol: String
    ) -> FixupError {
        FixupError(
            architecture: architecture, type: type, section: section, offset: offset, symbol: symbol,
            kind: .unknown)
    }
}

extension FixupError: CustomStringConvertible {
    package var description: String {
        let row = FixupTable(architecture).row(type)
        let subject = symbol.isEmpty ? "" : " for \(symbol)"
        let what =
            "the relocation \(row?.name ?? "of type \(type)") at \(section)+\(hex(offset))\(subject)"
        switch kind {
        case .unknown:
            return
                "\(what) is unknown. The psABI of \(architecture) as of this release has no type \(type)."
                + " Compile the object for \(architecture) with an older compiler, or without the option that needs it."
        case .problem(.unsupported):
            return
                "\(what) is not supported. Type \(type) is what linkers write into executables and libraries."
                + " Give the object file that the compiler wrote."
        case .problem(.doesNotFit(let value, let range)):
            return "\(what) does not fit. Its value is \(signed(value)), and the field holds"
                + " \(signed(range.lowerBound)) to \(signed(range.upperBound))."
                + (row?.isCall == true
                    ? " Lead the call through an entry of the PLT."
                    : " Place the object nearer to what it refers to, or compile it with -fPIC or a larger code model (-mcmodel).")
        case .problem(.misaligned(let value, let alignment)):
            return
                "\(what) does not fit. Its value is \(signed(value)), and the instruction counts in units of \(alignment) bytes."
                + " Check the alignment of the symbol."
        case .problem(.outOfBounds):
            return "\(what) lies outside of its section. The object is malformed. Compile it again."
        case .problem(.misplaced):
            return "\(what) lies inside of an instruction. The object is malformed. Compile it again."
        case .problem(.otherCode):
            return "\(what) was not linked into what runs: other code stands there."
                + " The object was not compiled from the same sources, or with other options. Build the baseline from what runs."
        }
    }

    private func hex(_ number: UInt64) -> String { "0x" + String(number, radix: 16) }

    private func signed(_ number: Int64) -> String { (number < 0 ? "-" : "") + hex(number.magnitude) }
}
