/// A named record of an object: what the compiler has written about a type, a protocol or a conformance.
///
/// Names of methods cut a type's descriptor into several pieces of the graph; this is all of it.
struct SwiftLayoutRecord {
    let name: String
    let graph: ObjectGraph
    private let section: Int
    /// In the section.
    let range: Range<Int>
    /// What its fields refer to, by their offset.
    let references: [Int: String]

    /// - Parameter symbol: its index; nil comes back where it names no place with contents.
    init?(_ graph: ObjectGraph, symbol: Int) {
        let raw = graph.object.symbols[symbol]
        guard let section = raw.section, graph.object.sections[section].isAllocated, raw.size > 0 else { return nil }
        name = raw.name
        self.graph = graph
        self.section = section
        range = raw.value..<raw.value + raw.size
        var references: [Int: String] = [:]
        for piece in Self.pieces(of: graph, in: section, range) {
            let start = graph.pieces[piece].range.lowerBound - range.lowerBound
            for reference in graph.pieces[piece].references where start + reference.offset >= 0 {
                references[start + reference.offset] = Self.name(of: reference, graph)
            }
        }
        self.references = references
    }

    /// Those that lie in a range of a section.
    private static func pieces(of graph: ObjectGraph, in section: Int, _ range: Range<Int>) -> Range<Int> {
        let all = graph.piecesOfSection[section]
        var (low, high) = (all.lowerBound, all.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if graph.pieces[middle].range.upperBound <= range.lowerBound { low = middle + 1 } else { high = middle }
        }
        var end = low
        while end < all.upperBound, graph.pieces[end].range.lowerBound < range.upperBound { end += 1 }
        return low..<end
    }

    /// What a reference leads to, in words that are the same in another object where the same is meant: a name, or where there is none,
    /// the contents.
    private static func name(of reference: ObjectGraph.Reference, _ graph: ObjectGraph) -> String {
        switch reference.target {
        case .symbol(let index):
            return referent(graph.object.symbols[index].name)
        case .piece(let piece, let offset):
            let name = graph.pieces[piece].name
            if !name.isEmpty, !name.hasPrefix(".L"), !name.hasPrefix("l_") { return referent(name) }
            // A word without a name that holds an address; the lowest bit says that it is one.
            let word = graph.pieces[piece].references.first { $0.offset == offset & ~1 && $0.row.byteCount == 8 }
            if let word, case .symbol(let index) = word.target { return referent(graph.object.symbols[index].name) }
            if let word, case .piece(let other, 0) = word.target { return referent(graph.pieces[other].name) }
            return "=" + String(decoding: graph.bytes(of: piece).dropFirst(offset).prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// The name of the address that a word holds, without the number that tells helpers of one name apart.
    private static func referent(_ name: String) -> String {
        SymbolKind.withoutNumber(name.hasPrefix("got.") ? String(name.dropFirst(4)) : name)
    }

    var count: Int { range.count }

    /// The number in so many bytes; nil where they are not wholly inside.
    func number(at offset: Int, _ size: Int) -> UInt64? {
        guard offset >= 0, offset + size <= count else { return nil }
        let bytes = graph.object.sections[section].bytes
        return (0..<size).reduce(0) { $0 | UInt64(bytes[range.lowerBound + offset + $1]) << (8 * UInt64($1)) }
    }

    /// The text that a field refers to.
    func text(at offset: Int) -> String? {
        guard let name = references[offset], name.hasPrefix("=") else { return nil }
        return String(name.dropFirst())
    }

    /// The symbols of an ending that lie in it, in order.
    func symbols(ending end: String, _ symbols: [Int]) -> [Int] {
        symbols.filter { index in
            let symbol = graph.object.symbols[index]
            return symbol.section == section && range.contains(symbol.value) && symbol.name.hasSuffix(end)
        }.sorted { graph.object.symbols[$0].value < graph.object.symbols[$1].value }
    }
}
