import CHotpatchElf
import HotpatchELF
import HotpatchMemory

extension LoadedImage {
    /// Where the process may run code of the image: its executable mappings.
    package var executableRanges: [Range<Address>] {
        executableMappings.map { mapping in
            max(mapping.lowerBound, range.lowerBound)..<min(mapping.upperBound, range.upperBound)
        }.filter { !$0.isEmpty }
    }

    /// Where the image keeps addresses that the linker, or the dynamic linker, has put there: what its file holds of the writable
    /// segments; of a program that is not position-independent, of all that are not code.
    package var initializedData: [Range<Address>] {
        elf.loadSegments.compactMap { segment in
            guard !segment.permissions.contains(.execute),
                segment.permissions.contains(.write) || elf.fileType == UInt16(ET_EXEC)
            else { return nil }
            let start = bias.address(ofLinked: segment.address).roundedUp(to: 8)
            let end = bias.address(ofLinked: segment.address &+ min(segment.fileSize, segment.memorySize))
            return start < end ? max(start, range.lowerBound)..<min(end, range.upperBound) : nil
        }
    }

    /// Where pieces of code begin, ascending: functions by their symbols, and whatever has frame information of its own.
    package func codeStarts() -> [Address] {
        var starts: [UInt64] = symbols.functions.map(\.value)
        elf.forEachFrameStart { start in
            starts.append(start)
            return !symbols.time.isOver(at: starts.count, symbols.subject)
        }
        starts.sort(within: symbols.time, symbols.subject, by: <)
        var found: [Address] = []
        found.reserveCapacity(starts.count)
        var last: UInt64?
        var segment: ElfSegment?
        for start in starts where start != last {
            if segment?.contains(start) != true { segment = elf.executableSegment(containing: start) }
            guard segment != nil else { continue }
            last = start
            found.append(bias.address(ofLinked: start))
        }
        return found
    }

    /// The piece of code an address lies in.
    package struct Code: Sendable {
        /// Its start is an instruction's; its end is that of the symbol or frame description, or the next start of another piece.
        package var range: Range<Address>
        fileprivate var symbol: (image: ImageSymbols, reference: SymbolReference)?

        /// Mangled; nil where no symbol names it.
        package var name: String? {
            symbol.map { String(decoding: $0.image.name($0.reference), as: UTF8.self) }
        }
    }

    /// The function, or the part of one, that an address lies in. Nil where neither a symbol nor frame information covers the
    /// address.
    package func code(containing address: Address) -> Code? {
        let linked = bias.linked(address)
        guard let segment = elf.executableSegment(containing: linked) else { return nil }
        let limit = segment.address &+ segment.memorySize
        func piece(_ start: UInt64, _ end: UInt64, _ symbol: SymbolReference?) -> Code {
            // Within the segment, so that no address wraps around.
            let range = bias.address(ofLinked: start)..<bias.address(ofLinked: max(linked &+ 1, min(end, limit)))
            return Code(range: range, symbol: symbol.map { (symbols, $0) })
        }
        let functions = symbols.functions
        let next = SymbolIndex.upperBound(functions, linked)
        let nearest = next > 0 && segment.contains(functions[next - 1].value) ? longest(endingAt: next) : nil
        if let nearest, linked &- nearest.start < nearest.size {
            return piece(nearest.start, nearest.start &+ nearest.size, nearest.symbol)
        }
        if let frame = elf.debugging.frameRange(containing: linked), segment.contains(frame.lowerBound) {
            return piece(frame.lowerBound, frame.upperBound, frame.lowerBound == nearest?.start ? nearest?.symbol : nil)
        }
        // Without a size: as far as nothing else begins.
        guard let nearest, nearest.size == 0 else { return nil }
        return piece(nearest.start, next < functions.count ? functions[next].value : limit, nearest.symbol)
    }

    /// The longest of the functions that start where the one before `next` does.
    private func longest(endingAt next: Int) -> (start: UInt64, size: UInt64, symbol: SymbolReference) {
        let functions = symbols.functions
        var best = functions[next - 1].reference
        for function in aliases(endingAt: next)
        where symbols.symbol(function.reference).st_size > symbols.symbol(best).st_size {
            best = function.reference
        }
        return (functions[next - 1].value, symbols.symbol(best).st_size, best)
    }

    /// The names that functions have at an address, mangled.
    package func names(at address: Address) -> [String] {
        let linked = bias.linked(address)
        let next = SymbolIndex.upperBound(symbols.functions, linked)
        guard next > 0, symbols.functions[next - 1].value == linked else { return [] }
        return aliases(endingAt: next).map { String(decoding: symbols.name($0.reference), as: UTF8.self) }
    }

    /// The functions that start where the one before `next` does. Hostile files can put everything at one address.
    private func aliases(endingAt next: Int) -> ArraySlice<FunctionRecord> {
        let functions = symbols.functions
        let start = functions[next - 1].value
        var first = next - 1
        while first > 0, next - first < 64, functions[first - 1].value == start { first -= 1 }
        return functions[first..<next]
    }

    /// A symbol of code that names a byte in a range, also a local label of assembly; nil where none does.
    package func label(in range: Range<Address>) -> (name: String, address: Address)? {
        let (function, label) = (first(of: symbols.functions, in: range), first(of: symbols.labels, in: range))
        guard var found = function ?? label else { return nil }
        if let label, (label.value, label.reference.raw) < (found.value, found.reference.raw) { found = label }
        return (String(decoding: symbols.name(found.reference), as: UTF8.self), bias.address(ofLinked: found.value))
    }

    /// The first of some records in a range, and of those at one address, which hostile files can have many of, that of the first
    /// symbol.
    private func first(of records: [FunctionRecord], in range: Range<Address>) -> FunctionRecord? {
        let index = SymbolIndex.upperBound(records, bias.linked(range.lowerBound) &- 1)
        guard index < records.count, range.contains(bias.address(ofLinked: records[index].value)) else { return nil }
        return records[index...].prefix(64).prefix { $0.value == records[index].value }.min {
            $0.reference.raw < $1.reference.raw
        }
    }
}
