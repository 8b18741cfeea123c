import CHotpatchElf
import HotpatchELF
import HotpatchMemory
import HotpatchPlan

/// An object as a graph: its sections, cut at their symbols into pieces, and what each piece refers to.
///
/// Assemblers leave out relocations between local symbols of one section. Those in code are found by reading its instructions; those in
/// data that matter are in Swift's descriptors, whose fields are known (`SwiftDescriptor`).
package struct ObjectGraph: Sendable {
    package let object: ObjectFile
    /// Those of one section lie side by side, ascending.
    package let pieces: [Piece]
    /// The pieces of each section.
    let piecesOfSection: [Range<Int>]
    /// The piece of each symbol that is defined in a section that is part of the program.
    let pieceOfSymbol: [Int?]

    /// From one symbol to the next: a function, a variable, a constant, or what lies between such and has no name.
    package struct Piece: Sendable {
        package var section: Int
        /// In the section. A function ends where its symbol says, without the padding behind it.
        package var range: Range<Int>
        /// Symbols that name its start: none, or several.
        package var symbols: [Int]
        /// The name that others refer to it by; empty where it has none.
        package let name: String
        /// What that says.
        var kind: SymbolKind
        package var isFunction: Bool
        /// It goes on what begins before it: a symbol there is that long. A type's metadata begins before the address that names it.
        package var continues = false
        /// Ascending by offset.
        package var references: [Reference] = []
    }

    /// A field of a piece, and what its value is made of.
    package struct Reference: Hashable, Sendable {
        /// The offset in the piece, in bytes.
        package var offset: Int
        package var row: FixupRow
        package var target: Target
        /// What the row's expression adds to the address of the target.
        package var addend: Int64
    }

    package enum Target: Hashable, Sendable {
        /// One that the object does not define in a section.
        case symbol(Int)
        case piece(Int, offset: Int)
    }

    /// - Throws: `LinkError`, `FixupError`.
    package init(_ object: ObjectFile) throws {
        self.object = object
        var cutter = ObjectCutter(object)
        try cutter.cut()
        piecesOfSection = cutter.piecesOfSection
        pieceOfSymbol = cutter.pieceOfSymbol
        pieces = try cutter.connected()
    }

    /// The pieces that are one thing with a piece.
    func whole(_ piece: Int) -> Range<Int> {
        var (low, high) = (piece, piece + 1)
        while pieces[low].continues { low -= 1 }
        while high < pieces.count, pieces[high].continues { high += 1 }
        return low..<high
    }

    package func bytes(of piece: Int) -> ArraySlice<UInt8> {
        object.sections[pieces[piece].section].bytes[pieces[piece].range]
    }

    /// The bytes that a piece's symbols say that it has.
    func size(of piece: Int) -> Int { pieces[piece].symbols.map { object.symbols[$0].size }.max() ?? 0 }

    /// The first piece of a name.
    func named() -> [String: Int] {
        var result: [String: Int] = [:]
        for (index, piece) in pieces.enumerated() {
            for symbol in piece.symbols {
                let name = object.symbols[symbol].name
                if result[name] == nil { result[name] = index }
            }
        }
        return result
    }

    /// Whether only its file can name a piece, and the name does not say which file that is: `static` in C, a namespace without a name in C++.
    func isStatic(_ piece: Int) -> Bool {
        let piece = pieces[piece]
        return !piece.name.hasPrefix("$") && !piece.symbols.isEmpty
            && piece.symbols.allSatisfy { object.symbols[$0].binding == .local }
    }

    /// Who can name it.
    func owner(of piece: Int) -> LiveProgram.Owner {
        let isLocal = pieces[piece].symbols.allSatisfy { object.symbols[$0].binding == .local }
        return isLocal ? .file(object.fileName) : .all
    }

    /// What the identity map calls a piece: static things by their file, too.
    /// - Parameter name: that it goes by in the process; nil for its own.
    func identity(of piece: Int, named name: String? = nil) -> String {
        let name = name ?? pieces[piece].name
        return isStatic(piece) ? "static \(object.fileName ?? "")/\(name)" : name
    }

    /// The name of a target, for an error.
    func name(of target: Target) -> String {
        switch target {
        case .symbol(let index): object.symbols[index].name
        case .piece(let index, let offset):
            (pieces[index].name.isEmpty ? object.sections[pieces[index].section].name : pieces[index].name)
                + (offset == 0 ? "" : "+\(offset)")
        }
    }
}
