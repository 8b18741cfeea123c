import HotpatchMemory
import HotpatchPlan

/// The frame descriptions of an object (`.eh_frame`; Linux Standard Base, Exception Frames), of which only those are taken whose functions
/// are.
struct FrameSection: Sendable {
    private let graph: ObjectGraph
    /// The description of each function's piece.
    private var descriptions: [Int: Record] = [:]
    private var commons: [Int: Record] = [:]

    /// A record with its length word, and what it refers to; offsets count from its start.
    private struct Record: Sendable {
        var bytes: [UInt8]
        var references: [ObjectGraph.Reference]
        /// Where a function's description has its common record.
        var common = 0
    }

    init(_ graph: ObjectGraph) throws {
        self.graph = graph
        for (number, section) in graph.object.sections.enumerated() where section.name == ".eh_frame" {
            // Cut where others refer to it, which nobody does.
            let pieces = graph.piecesOfSection[number]
            let references = pieces.flatMap { index in
                graph.pieces[index].references.map { reference in
                    var reference = reference
                    reference.offset += graph.pieces[index].range.lowerBound
                    return reference
                }
            }
            try read(section.bytes, references)
        }
    }

    private mutating func read(_ bytes: [UInt8], _ references: [ObjectGraph.Reference]) throws {
        func word(_ offset: Int) -> Int {
            bytes[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        var position = 0
        var next = 0
        while position + 4 <= bytes.count {
            let length = word(position)
            if length == 0 {
                position += 4
                continue
            }
            guard length != 0xFFFF_FFFF, length >= 4, position + 4 + length <= bytes.count else {
                throw LinkError.malformed(path: graph.object.path, what: "a frame description is \(length) bytes long")
            }
            let end = position + 4 + length
            var record = Record(bytes: Array(bytes[position..<end]), references: [])
            while next < references.count, references[next].offset < end {
                var reference = references[next]
                reference.offset -= position
                if reference.offset >= 0 { record.references.append(reference) }
                next += 1
            }
            let pointer = word(position + 4)
            if pointer == 0 {
                commons[position] = record
            } else {
                record.common = position + 4 - pointer
                if commons[record.common] != nil,
                    let first = record.references.first(where: { $0.offset == 8 }),
                    case .piece(let piece, 0) = first.target
                {
                    descriptions[piece] = record
                }
            }
            position = end
        }
    }

    /// What the description of a function refers to, but for the function.
    func references(of piece: Int) -> [ObjectGraph.Reference] {
        guard let record = descriptions[piece] else { return [] }
        return record.references.filter { $0.offset != 8 } + (commons[record.common]?.references ?? [])
    }

    /// The descriptions of some functions, and what is to be written into them; without the end of the list.
    func taken(_ pieces: [Int]) -> (bytes: [UInt8], references: [ObjectGraph.Reference]) {
        var bytes: [UInt8] = []
        var references: [ObjectGraph.Reference] = []
        var places: [Int: Int] = [:]
        func add(_ record: Record) -> Int {
            let start = bytes.count
            bytes += record.bytes
            references += record.references.map { reference in
                var reference = reference
                reference.offset += start
                return reference
            }
            return start
        }
        for piece in pieces {
            guard let record = descriptions[piece], let common = commons[record.common] else { continue }
            let place = places[record.common] ?? add(common)
            places[record.common] = place
            let start = add(record)
            let distance = UInt32(truncatingIfNeeded: start + 4 - place)
            withUnsafeBytes(of: distance.littleEndian) { bytes.replaceSubrange(start + 4..<start + 8, with: $0) }
        }
        return (bytes, references)
    }
}

/// Which table says what functions do with exceptions (`.gcc_except_table`): what they catch may change, and their code not.
struct ExceptionTables {
    private var tables: [Int: (piece: Int, offset: Int)] = [:]

    init(_ graph: ObjectGraph) throws {
        let isTable = graph.object.sections.map { $0.name.hasPrefix(".gcc_except_table") }
        guard isTable.contains(true) else { return }
        let frames = try FrameSection(graph)
        for (index, piece) in graph.pieces.enumerated() where piece.isFunction {
            for case .piece(let target, let offset) in frames.references(of: index).lazy.map(\.target)
            where isTable[graph.pieces[target].section] { tables[index] = (target, offset) }
        }
    }

    /// Whether two functions, of the old and the new object, have equal ones, or none.
    func isEqual(_ old: Int, _ other: ExceptionTables, _ new: Int, _ comparison: inout GraphComparison) -> Bool {
        switch (tables[old], other.tables[new]) {
        case (nil, nil): true
        case (let left?, let right?): left.offset == right.offset && comparison.areEqual(left.piece, right.piece)
        default: false
        }
    }
}
