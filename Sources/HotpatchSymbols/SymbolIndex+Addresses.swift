import CHotpatchElf
import HotpatchELF
import HotpatchMemory

extension SymbolIndex {
    /// The function an address lies in, by the nearest start at or below it, and the offset into it in bytes.
    ///
    /// Nil outside any function: in the PLT, in a section or segment other than the symbol's, and in code that has frame
    /// information of its own but no symbol, as the local functions of a stripped file.
    package func function(containing address: Address) -> (symbol: FunctionSymbol, offset: Int)? {
        guard let number = imageIndex(containing: address) else { return nil }
        let image = images[number]
        let linked = image.bias.linked(address)
        let functions = image.symbols.functions
        let end = Self.upperBound(functions, linked)
        guard end > 0, image.isFunctionCode(address) else { return nil }
        let start = functions[end - 1].value
        guard image.elf.executableSegment(containing: linked) == image.elf.executableSegment(containing: start),
            image.elf.section(containing: linked)?.index == image.elf.section(containing: start)?.index
        else { return nil }
        let best = self.best(functions, at: start, end, number)
        if linked &- start >= best.symbol.st_size, linked != start,
            let frame = image.elf.debugging.frameRange(containing: linked), frame.lowerBound > start
        {
            return nil
        }
        guard let symbol = try? functionSymbol(best, resolving: false) else { return nil }
        return (symbol, address - symbol.symbolAddress)
    }

    /// How much room a function has.
    ///
    /// - `length`: its own bytes: the symbol's size; without one, the frame description's (`.eh_frame`); without that, 0: where
    ///   it ends is not known, for a function that no symbol names may follow.
    /// - `available`: bytes from its start up to the next start of anything in the same section or executable segment:
    ///   its own bytes and the padding. Less than `length` where another entry point lies inside the function.
    ///
    /// Both are 0 for an address outside the image's code.
    public func extent(of function: FunctionSymbol) -> (length: Int, available: Int) {
        let image = function.image
        let linked = image.bias.linked(function.address)
        guard let segment = image.elf.executableSegment(containing: linked) else { return (0, 0) }
        // `executableSegment` contains it: neither subtraction nor sum leaves the segment.
        var limit = segment.memorySize &- (linked &- segment.address)
        if let section = image.elf.section(containing: linked) {
            limit = min(limit, section.size &- (linked &- section.address))
        }
        let functions = image.symbols.functions
        let next = Self.upperBound(functions, linked)
        if next < functions.count { limit = min(limit, functions[next].value &- linked) }
        if let start = image.elf.nextFrameStart(after: linked) { limit = min(limit, start &- linked) }

        let available = Int(clamping: limit)
        if function.size > 0 { return (function.size, available) }
        if let frame = image.elf.debugging.frameRange(containing: linked), frame.lowerBound == linked {
            return (Int(clamping: frame.upperBound &- linked), available)
        }
        return (0, available)
    }

    /// The best symbol that starts exactly at an address.
    func function(at address: Address) -> Definition? {
        guard let number = imageIndex(containing: address) else { return nil }
        let functions = images[number].symbols.functions
        let linked = images[number].bias.linked(address)
        let end = Self.upperBound(functions, linked)
        guard end > 0, functions[end - 1].value == linked else { return nil }
        return best(functions, at: linked, end, number)
    }

    /// The first function that starts above an address.
    static func upperBound(_ functions: [FunctionRecord], _ linked: UInt64) -> Int {
        var low = 0
        var high = functions.count
        while low < high {
            let middle = (low + high) / 2
            if functions[middle].value > linked { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The best alias at one address: sized before unsized, strong before weak before local, the shortest name.
    private func best(_ functions: [FunctionRecord], at start: UInt64, _ end: Int, _ number: Int) -> Definition {
        let symbols = images[number].symbols
        func rank(_ symbol: Elf64_Sym) -> Int {
            let scope =
                switch symbol.binding {
                case .global, .unique: 0
                case .weak: 1
                default: 2
                }
            return (symbol.st_size > 0 ? 0 : 8) + (symbol.type == UInt8(STT_GNU_IFUNC) ? 4 : 0) + scope
        }
        var index = end - 1
        var best = Definition(
            image: number, reference: functions[index].reference, symbol: symbols.symbol(functions[index].reference))
        // Hostile files can put everything at one address.
        for _ in 0..<64 where index > 0 && functions[index - 1].value == start {
            index -= 1
            let reference = functions[index].reference
            let symbol = symbols.symbol(reference)
            let ranks = (rank(symbol), rank(best.symbol))
            if ranks.0 < ranks.1
                || ranks.0 == ranks.1 && symbols.name(reference).count < symbols.name(best.reference).count
            {
                best = Definition(image: number, reference: reference, symbol: symbol)
            }
        }
        return best
    }
}
