import CHotpatchElf
import HotpatchELF
import HotpatchMemory

/// What names that a library exports mean in the process: often not what the library defines. The dynamic linker binds a name to the first
/// image that exports it, the program first, for the library's own code, too (gABI, "Shared Object Dependencies"): a program may define
/// functions of a library once more, and it has the variables of libraries that it uses as copies (R_*_COPY).
package struct LibraryBindings: Sendable {
    /// Where the words lead by which the library's code finds its own addresses, by those addresses: only words that lead elsewhere.
    private var taken: [Address: Address] = [:]
    /// Those of which a word leads to the library.
    private var kept: Set<Address> = []
    /// Whether the library finds its functions, and its variables, by such words: linkers can make it not (-Bsymbolic, -Bsymbolic-functions).
    private var findsFunctions = false
    private var findsVariables = false
    /// Images that are asked before the library where no word says anything.
    private let before: [LoadedImage]
    private let image: LoadedImage

    /// - Parameters:
    ///   - memory: the process's.
    /// - Returns: Nil for the program, whose own definitions everything uses.
    package init?(of image: LoadedImage, in index: SymbolIndex, memory: any MemoryReader) {
        guard !image.isMainProgram, let table = image.symbols.tables.dynamicTable else { return nil }
        self.image = image
        before = Array(index.imagesFromTheStart.prefix { $0 != image })
        var words: [(slot: UInt64, own: Address, addend: Int64, isLazy: Bool)] = []
        image.elf.forEachFunctionRelocation(index.time) { relocation in
            guard relocation.kind != .indirectRelative, relocation.symbolIndex > 0, relocation.symbolIndex < table.count
            else { return }
            let symbol = table[Int(relocation.symbolIndex)]
            guard symbol.isDefined, symbol.binding != .local, symbol.type != UInt8(STT_GNU_IFUNC),
                symbol.type != UInt8(STT_TLS)
            else { return }
            if image.symbols.isFunction(symbol) { findsFunctions = true } else { findsVariables = true }
            words.append(
                (
                    relocation.slot, image.bias.address(ofLinked: symbol.st_value), relocation.addend,
                    relocation.kind == .jumpSlot
                ))
        }
        words.sort { $0.slot < $1.slot }
        var read: (start: UInt64, bytes: [UInt8]) = (0, [])
        for (number, word) in words.enumerated() {
            if word.slot < read.start || word.slot &- read.start &+ 8 > UInt64(read.bytes.count) {
                // Most lie side by side.
                var end = word.slot &+ 8
                for next in words[number...].prefix(1 << 16) where next.slot &- end < 4096 { end = next.slot &+ 8 }
                let start = image.bias.address(ofLinked: word.slot)
                read = (word.slot, (try? memory.bytes(at: start, count: Int(end &- word.slot))) ?? [])
            }
            let offset = Int(word.slot &- read.start)
            guard offset + 8 <= read.bytes.count else { continue }
            let value = read.bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
            let target = Address(value &- (word.isLazy ? 0 : UInt64(bitPattern: word.addend)))
            if target == word.own {
                kept.insert(word.own)
            } else if !image.range.contains(target), index.image(containing: target) != nil {
                taken[word.own] = target
            }
        }
    }

    /// Where the library's code finds what it exports under a name.
    /// - Parameter own: where the library has it.
    func address(of name: String, own: Address, isFunction: Bool, in index: SymbolIndex) -> Address {
        if let target = taken[own] { return target }
        // A word that the dynamic linker has not looked up yet says nothing (lazy binding).
        if kept.contains(own) || !(isFunction ? findsFunctions : findsVariables) { return own }
        for other in before {
            if let found = index.exportedAddress(of: name, in: other.path) { return found }
        }
        return own
    }
}

extension SymbolIndex {
    /// The program and the libraries that it was started with, in the order in which names are looked up; not what dlopen added.
    var imagesFromTheStart: ArraySlice<LoadedImage> {
        guard let program = images.first, program.isMainProgram else { return [] }
        var needed: Set<String> = []
        var last = 0
        var waiting = program.elf.needed
        while let name = waiting.popLast() {
            guard needed.insert(name).inserted,
                let found = images.firstIndex(where: { ($0.elf.soname ?? $0.name) == name || $0.name == name })
            else { continue }
            last = max(last, found)
            waiting += images[found].elf.needed
        }
        return images[...last]
    }
}

extension LinkableSymbol {
    /// Where code of its image finds it.
    package func address(by bindings: LibraryBindings?, named name: String, in index: SymbolIndex) -> Address {
        guard isExported, let bindings else { return address }
        return bindings.address(of: name, own: address, isFunction: isFunction, in: index)
    }
}
