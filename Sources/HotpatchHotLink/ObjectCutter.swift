import CHotpatchElf
import HotpatchELF
import HotpatchMemory
import HotpatchPlan

/// Cuts an object into the pieces of its graph, and connects them.
struct ObjectCutter {
    let object: ObjectFile
    private let table: FixupTable
    /// Where the functions of each section start, ascending.
    private let functionStarts: [[Int]]
    private let isSwift: Bool
    private(set) var pieces: [ObjectGraph.Piece] = []
    private(set) var piecesOfSection: [Range<Int>] = []
    private(set) var pieceOfSymbol: [Int?]

    init(_ object: ObjectFile) {
        self.object = object
        table = FixupTable(object.architecture)
        isSwift = object.symbols.contains { $0.name.hasPrefix("$s") || $0.name.hasPrefix("$S") }
        pieceOfSymbol = [Int?](repeating: nil, count: object.symbols.count)
        var starts = [[Int]](repeating: [], count: object.sections.count)
        for symbol in object.symbols where symbol.isFunction {
            if let section = symbol.section { starts[section].append(symbol.value) }
        }
        functionStarts = starts.map { $0.sorted() }
    }

    // MARK: Pieces

    mutating func cut() throws {
        var symbols = [[Int]](repeating: [], count: object.sections.count)
        for (index, symbol) in object.symbols.enumerated() {
            guard let section = symbol.section, object.sections[section].isAllocated, isCut(symbol, section) else {
                continue
            }
            symbols[section].append(index)
        }
        let places = try placesReferredTo()
        for (number, section) in object.sections.enumerated() {
            let first = pieces.count
            if section.isAllocated {
                let ordered = symbols[number].sorted { object.symbols[$0].value < object.symbols[$1].value }
                cut(number, at: ordered, and: places[number])
            }
            piecesOfSection.append(first..<pieces.count)
        }
    }

    /// - Parameters:
    ///   - symbols: ascending.
    ///   - places: what else others refer to.
    private mutating func cut(_ number: Int, at symbols: [Int], and places: Set<Int>) {
        let count = object.sections[number].bytes.count
        let isCode = object.sections[number].isExecutable
        // What has a name is one piece, wherever others refer to it. In code that is what lies behind it too where its size is not told:
        // tables of jumps lead there. Behind a function that has a size others lie that have no name: what destroys a closure's context.
        var named = 0
        var free = Set<Int>()
        var end = 0
        var extent = Extent()
        for place in places.sorted() {
            while named < symbols.count, object.symbols[symbols[named]].value <= place {
                let symbol = object.symbols[symbols[named]]
                named += 1
                extent.add(symbol)
                end = max(end, extent.end)
                guard isCode, symbol.size == 0 else { continue }
                end = max(end, named < symbols.count ? object.symbols[symbols[named]].value : count)
            }
            if place >= end { free.insert(place) }
        }
        if !isCode { free.formUnion(unnamed(number, behind: symbols)) }
        let starts = free.union(symbols.map { object.symbols[$0].value }).union([0])
        let ordered = starts.filter { $0 < count || $0 == 0 }.sorted()
        var next = 0
        end = 0
        for (position, start) in ordered.enumerated() {
            var last = position + 1 < ordered.count ? ordered[position + 1] : count
            var named: [Int] = []
            while next < symbols.count, object.symbols[symbols[next]].value == start {
                named.append(symbols[next])
                next += 1
            }
            let isFunction =
                named.contains { object.symbols[$0].isFunction } || isCode && named.isEmpty && free.contains(start)
            let size = named.map { object.symbols[$0].size }.max() ?? 0
            if isFunction, size > 0 { last = min(last, start + size) }
            let continues = !isFunction && start < end
            if !continues { end = max(end, start + size) }
            for symbol in named { pieceOfSymbol[symbol] = pieces.count }
            let best = named.min { rank(object.symbols[$0]) < rank(object.symbols[$1]) }
            let name = best.map { object.symbols[$0].name } ?? ""
            pieces.append(
                ObjectGraph.Piece(
                    section: number, range: start..<last, symbols: named, name: name,
                    kind: SymbolKind(name, inSwift: isSwift),
                    isFunction: isFunction, continues: continues))
        }
    }

    /// Where data without a name begins behind data that has one, and holds addresses: what the process has of the named says nothing of it.
    private func unnamed(_ number: Int, behind symbols: [Int]) -> [Int] {
        var result: [Int] = []
        var extent = Extent()
        for (position, index) in symbols.enumerated() {
            let symbol = object.symbols[index]
            let isLast = position + 1 == symbols.count
            let next = isLast ? object.sections[number].bytes.count : object.symbols[symbols[position + 1]].value
            extent.add(symbol)
            // Where the size is not told, it is all that follows.
            if symbol.size > 0, extent.end < next, holdsAddress(extent.end..<next, in: number) {
                result.append(extent.end)
            }
        }
        return result
    }

    /// How far what has a name reaches. What names a place inside of something reaches no further than that, whatever its size says: that
    /// of the address of a type's metadata is the size of the whole.
    private struct Extent {
        private var start = 0
        private(set) var end = 0

        /// - Parameter symbol: that does not begin before the last one.
        mutating func add(_ symbol: ObjectFile.Symbol) {
            if symbol.value > start, symbol.value < end { return }
            start = symbol.value
            end = max(end, symbol.value + symbol.size)
        }
    }

    private func holdsAddress(_ range: Range<Int>, in number: Int) -> Bool {
        relocation(from: range.lowerBound, in: number).map { $0.offset < range.upperBound } ?? false
    }

    /// The first at an offset or behind it.
    private func relocation(from offset: Int, in number: Int) -> ObjectFile.Relocation? {
        let relocations = object.sections[number].relocations
        var (low, high) = (0, relocations.count)
        while low < high {
            let middle = (low + high) / 2
            if relocations[middle].offset < offset { low = middle + 1 } else { high = middle }
        }
        return low < relocations.count ? relocations[low] : nil
    }

    /// A global name before a local one; of a constructor or destructor of C++ that is that of the base part, too, the whole object's: in
    /// which order a compiler names the two says nothing.
    private func rank(_ symbol: ObjectFile.Symbol) -> Int {
        let isOfBase = symbol.name.hasPrefix("_ZN") && (symbol.name.contains("D2E") || symbol.name.contains("C2E"))
        return switch symbol.binding {
        case .global, .unique: isOfBase ? 1 : 0
        case .weak: isOfBase ? 3 : 2
        default: 4
        }
    }

    /// Whether a piece starts at a symbol: not at a label inside a function, and not at what says how bytes are to be read (`$x`, `$d` of
    /// arm64, AAELF64 §5.5.5).
    private func isCut(_ symbol: ObjectFile.Symbol, _ section: Int) -> Bool {
        switch Int32(symbol.type) {
        case STT_FUNC, STT_OBJECT, STT_TLS, STT_GNU_IFUNC: return true
        case STT_NOTYPE:
            if symbol.name.isEmpty || symbol.name == "$x" || symbol.name == "$d" { return false }
            if symbol.name.hasPrefix("$x.") || symbol.name.hasPrefix("$d.") { return false }
            return symbol.binding != .local || !object.sections[section].isExecutable
        default: return false
        }
    }

    /// The places in each section that others refer to as an offset from its start.
    private func placesReferredTo() throws -> [Set<Int>] {
        var places = [Set<Int>](repeating: [], count: object.sections.count)
        for (number, section) in object.sections.enumerated() where section.isAllocated {
            for relocation in section.relocations where object.symbols[relocation.symbol].isSection {
                guard let target = object.symbols[relocation.symbol].section else { continue }
                let offset = relocation.addend &+ (try distance(relocation, in: number))
                if let offset = Int(exactly: offset), object.sections[target].bytes.indices.contains(offset) {
                    let place = isIndirect(offset, in: target, from: section) ? offset - 1 : offset
                    places[target].insert(place - (isBox(place, in: target) ? Self.boxHeader : 0))
                }
            }
        }
        return places
    }

    /// Whether data refers to a word that holds an address, and says so by the lowest bit of the distance (swift/Basic/RelativePointer.h).
    private func isIndirect(_ offset: Int, in target: Int, from section: ObjectFile.Section) -> Bool {
        guard offset & 1 != 0, !section.isExecutable, object.sections[target].alignment >= 8 else { return false }
        return relocation(from: offset - 1, in: target)?.offset == offset - 1
    }

    /// In bytes: what destroys a box, and what would tell of its value.
    private static let boxHeader = 16

    /// Whether a place is the address of the metadata of a closure's context, which has no name: what destroys it stands before
    /// (swift/include/swift/ABI/Metadata.h, HeapMetadataHeader; MetadataKind.def, HeapLocalVariable).
    private func isBox(_ place: Int, in number: Int) -> Bool {
        let section = object.sections[number]
        let start = place - Self.boxHeader
        guard !section.isExecutable, start >= 0, place + 8 <= section.bytes.count,
            let first = relocation(from: start, in: number), first.offset == start,
            !holdsAddress(start + 1..<place + 8, in: number)
        else { return false }
        return section.bytes[start + 8..<place].allSatisfy { $0 == 0 }
            && section.bytes[place..<place + 8].elementsEqual([0, 4, 0, 0, 0, 0, 0, 0])
    }

    // MARK: References

    /// The pieces, with what they refer to.
    consuming func connected() throws -> [ObjectGraph.Piece] {
        for (number, section) in object.sections.enumerated() where section.isAllocated {
            var next = piecesOfSection[number].lowerBound
            var table: Int?
            for relocation in section.relocations {
                while next + 1 < piecesOfSection[number].upperBound,
                    pieces[next + 1].range.lowerBound <= relocation.offset
                {
                    next += 1
                }
                guard pieces.indices.contains(next), pieces[next].range.contains(relocation.offset) else {
                    // Padding between functions needs nothing.
                    continue
                }
                let row = try row(relocation, in: number)
                let offset = relocation.offset - pieces[next].range.lowerBound
                guard row.byteCount <= pieces[next].range.count - offset else {
                    throw LinkError.malformed(
                        path: object.path,
                        what: "\(row) at \(section.name)+\(relocation.offset) reaches beyond what it belongs to")
                }
                // Tables of jumps hold distances from their start into a function; other words, from themselves to a function's start.
                if offset == 0, isInsideFunction(relocation, in: number) { table = next }
                let base = table == next ? offset : 0
                let (target, addend) = try target(of: relocation, in: number, countedFrom: base)
                pieces[next].references.append(
                    ObjectGraph.Reference(offset: offset, row: row, target: target, addend: addend))
            }
            if section.isExecutable { try connectCode(number) } else { connectDescriptors(number) }
        }
        for index in pieces.indices where isConstant(index) { pieces[index].kind.isAnonymous = true }
        return pieces
    }

    /// Whether data with a name is one function's, as its literals are, so that its contents count: constants that gcc numbers
    /// (`limit.0`), and tables of labels (`&&label`, for a computed goto), which lead into that function's code.
    private func isConstant(_ index: Int) -> Bool {
        let piece = pieces[index]
        guard !piece.isFunction, !piece.name.isEmpty, !piece.name.hasPrefix("$"),
            piece.symbols.allSatisfy({ object.symbols[$0].binding == .local })
        else { return false }
        let section = object.sections[piece.section]
        if section.isThreadLocal || section.isExecutable { return false }
        let isReadOnly = !section.isWritable || section.name.hasPrefix(".data.rel.ro")
        if isReadOnly, SymbolKind.hasNumber(piece.name) { return true }
        return piece.references.contains { reference in
            guard reference.row.expression == .absolute, case .piece(let target, let offset) = reference.target else {
                return false
            }
            return pieces[target].isFunction && Int64(offset) &+ reference.addend != 0
        }
    }

    /// Whether a word of data leads into a function, and not to where one starts.
    private func isInsideFunction(_ relocation: ObjectFile.Relocation, in number: Int) -> Bool {
        guard !object.sections[number].isExecutable, let row = table.row(relocation.type), row.expression == .relative,
            let section = object.symbols[relocation.symbol].section, object.symbols[relocation.symbol].isSection,
            object.sections[section].isExecutable, let offset = Int(exactly: relocation.addend),
            let (_, inside) = piece(at: offset, in: section)
        else { return false }
        return inside != 0
    }

    private func target(
        of relocation: ObjectFile.Relocation, in number: Int, countedFrom base: Int
    ) throws -> (ObjectGraph.Target, addend: Int64) {
        let symbol = object.symbols[relocation.symbol]
        if symbol.isSection, let section = symbol.section {
            let distance = try distance(relocation, in: number) &- Int64(base)
            guard let offset = Int(exactly: relocation.addend &+ distance),
                let (piece, inside) = piece(at: offset, in: section)
            else {
                throw LinkError.malformed(
                    path: object.path,
                    what: "a relocation of \(object.sections[number].name) leads to \(object.sections[section].name)"
                        + (relocation.addend < 0 ? "" : "+") + "\(relocation.addend)")
            }
            return (.piece(piece, offset: inside), -distance)
        }
        // What its resolver chose when the program started, the process knows.
        if symbol.isIndirect { return (.symbol(relocation.symbol), relocation.addend) }
        if let piece = pieceOfSymbol[relocation.symbol] {
            return (.piece(piece, offset: 0), relocation.addend)
        }
        if let section = symbol.section, let (piece, inside) = piece(at: symbol.value, in: section) {
            return (.piece(piece, offset: inside), relocation.addend)
        }
        return (.symbol(relocation.symbol), relocation.addend)
    }

    /// The piece that a place belongs to: the one that starts nearest before it.
    private func piece(at offset: Int, in section: Int) -> (piece: Int, offset: Int)? {
        let range = piecesOfSection[section]
        guard !range.isEmpty, offset >= 0, offset <= object.sections[section].bytes.count else { return nil }
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].range.lowerBound <= offset { low = middle + 1 } else { high = middle }
        }
        guard low > range.lowerBound else { return nil }
        // Between functions there is nothing.
        if object.sections[section].isExecutable, offset > pieces[low - 1].range.upperBound { return nil }
        return (low - 1, offset - pieces[low - 1].range.lowerBound)
    }

    /// From a field to where its displacement counts from: on x86_64 the end of the instruction, which is 4 bytes behind the field only
    /// where no immediate follows.
    private func distance(_ relocation: ObjectFile.Relocation, in number: Int) throws -> Int64 {
        let section = object.sections[number]
        let row = try row(relocation, in: number)
        guard section.isExecutable, row.expression == .relative, !row.isInstruction, row.byteCount == 4 else {
            return 0
        }
        let start = functionStarts[number].last { $0 <= relocation.offset } ?? 0
        guard
            let end = object.architecture.instructionEnd(in: section.bytes, from: start, holding: relocation.offset)
        else { return Int64(row.byteCount) }
        return Int64(end - relocation.offset)
    }

    private func row(_ relocation: ObjectFile.Relocation, in number: Int) throws -> FixupRow {
        guard let row = table.row(relocation.type) else {
            throw FixupError.unknown(
                architecture: object.architecture, type: relocation.type, section: object.sections[number].name,
                offset: UInt64(relocation.offset), symbol: object.symbols[relocation.symbol].name)
        }
        return row
    }

    /// Calls, jumps and addresses inside a section, for which the assembler has left no relocation.
    private mutating func connectCode(_ number: Int) throws {
        let functions = piecesOfSection[number].filter { pieces[$0].isFunction }
        guard functions.count > 1 else { return }
        let (architecture, section) = (object.architecture, object.sections[number])
        // Any address that is not null: only distances count.
        let base = Address(1 << 32)
        var targets = ReferenceTargets(in: base..<base + section.bytes.count)
        targets.add(allTo: base..<base + section.bytes.count)
        for index in functions {
            let piece = pieces[index]
            let code = Array(section.bytes[piece.range])
            let start = base + piece.range.lowerBound
            for reach in [ReferenceTargets.Reach.near, .short] {
                for found in targets.references(architecture, in: code, at: start, reach: reach) {
                    let (field, target) = (found.field - start, found.target - base)
                    // Behind a call that does not return, clang jumps to the very end of a function.
                    let isEnd = target == piece.range.upperBound
                    if piece.range.contains(target)
                        || isEnd && (reach == .short || !functionStarts[number].contains(target))
                    {
                        continue
                    }
                    let isFixed = piece.references.contains {
                        $0.offset < field + 4 && field < $0.offset + max(1, $0.row.byteCount)
                    }
                    if isFixed { continue }
                    guard case .real(let instruction, let length) = found.verdict(architecture, in: code, at: start)
                    else { continue }
                    let row = table.row(of: found, in: code, at: field)
                    // An `add` that only seems to complete an `adrp`: that one has relocations always.
                    if row == nil, architecture == .arm64, found.kind == .address { continue }
                    guard let row, let (other, offset) = self.piece(at: target, in: number)
                    else {
                        throw LinkError.unsupported(
                            path: object.path,
                            what: "a jump of \(piece.name) leads into \(section.name)+\(target)",
                            remedy: "Compile with -ffunction-sections (Swift: -function-sections).")
                    }
                    pieces[index].references.append(
                        ObjectGraph.Reference(
                            offset: field, row: row, target: .piece(other, offset: offset),
                            addend: row.isInstruction ? 0 : Int64(field - (instruction - start) - length)))
                }
            }
            pieces[index].references.sort { $0.offset < $1.offset }
        }
    }

    /// The fields of Swift's descriptors that refer to others of the same section.
    private mutating func connectDescriptors(_ number: Int) {
        guard let row = table.relativeWord else { return }
        let section = object.sections[number]
        for index in piecesOfSection[number] {
            let piece = pieces[index]
            for offset in SwiftDescriptor.relativeFields(of: piece.name) where offset + 4 <= piece.range.count {
                if piece.references.contains(where: { $0.offset == offset }) { continue }
                let place = piece.range.lowerBound + offset
                let raw = section.bytes[place..<place + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                let distance = Int(Int32(bitPattern: raw))
                // The lowest bit says that the address of a pointer is meant.
                guard raw != 0, let (other, inside) = self.piece(at: place + (distance & ~1), in: number),
                    other != index
                else { continue }
                pieces[index].references.append(
                    ObjectGraph.Reference(
                        offset: offset, row: row, target: .piece(other, offset: inside), addend: Int64(distance & 1)))
            }
            pieces[index].references.sort { $0.offset < $1.offset }
        }
    }
}

extension FixupTable {
    /// The relocation that an assembler leaves out for a reference inside a section; nil where it has left none out.
    /// - Parameter field: where the reference lies in the code.
    func row(of reference: HotpatchPlan.Reference, in code: [UInt8], at field: Int) -> FixupRow? {
        if architecture == .x86_64 { return row(UInt32(reference.isWide ? R_X86_64_PC32 : R_X86_64_PC8)) }
        let types =
            switch reference.kind {
            case .call: [R_AARCH64_CALL26]
            case .jump: [R_AARCH64_JUMP26, R_AARCH64_CONDBR19, R_AARCH64_TSTBR14]
            default: [R_AARCH64_ADR_PREL_LO21, R_AARCH64_LD_PREL_LO19]
            }
        // The one whose field holds the distance.
        let distance = Int64(reference.target - reference.field)
        return types.lazy.compactMap { row(UInt32($0)) }.first { row in
            (try? row.read(code, at: field))?.holds(distance) == true
        }
    }

    /// That of a word of 4 bytes that holds the distance to its target.
    var relativeWord: FixupRow? {
        row(UInt32(architecture == .x86_64 ? R_X86_64_PC32 : R_AARCH64_PREL32))
    }
}

/// What is known of the descriptors that the Swift compiler emits (swift/docs/ABI/TypeMetadata.rst, swift/include/swift/ABI/Metadata.h).
enum SwiftDescriptor {
    /// Offsets of fields that hold a distance to a descriptor, by the suffix of the symbol's name.
    static func relativeFields(of name: String) -> [Int] {
        guard name.hasPrefix("$s") || name.hasPrefix("$S") else { return [] }
        // A conformance names a protocol and a type; a type, a protocol or an extension its context.
        if name.hasSuffix("Mc") { return [0, 4] }
        if name.hasSuffix("Mn") || name.hasSuffix("Mp") || name.hasSuffix("MXX") || name.hasSuffix("MXE") { return [4] }
        return []
    }
}
