import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// The process that objects are linked into, as the linker sees it.
package struct LiveProgram: Sendable {
    package var architecture: Architecture
    package var index: SymbolIndex
    /// The image that the objects are part of.
    package var image: LoadedImage
    /// The process's memory, with the entries of patched functions as they were.
    package var memory: any MemoryReader
    /// Where code or data lies that was linked into the process before, by name.
    package var identity: @Sendable (String) -> Address?
    /// Whether what lies there by that name is in force.
    package var isPlaced: @Sendable (String) -> Bool
    /// What runs instead of the function at an entry; nil where it was not replaced.
    package var replacement: @Sendable (Address) -> Address?
    /// What edits before have brought.
    var linked: @Sendable () -> LinkedCode
    /// Where the process keeps what it has made at run time, and variables: its writable memory; nil where nobody knows.
    package var writable: @Sendable () -> [Range<Address>]?
    /// What the image exports, and has from others; nil of a program.
    private let bindings: LibraryBindings?

    package init(
        architecture: Architecture, index: SymbolIndex, image: LoadedImage, memory: any MemoryReader,
        identity: @escaping @Sendable (String) -> Address? = { _ in nil },
        isPlaced: @escaping @Sendable (String) -> Bool = { _ in false },
        replacement: @escaping @Sendable (Address) -> Address? = { _ in nil },
        linked: @escaping @Sendable () -> LinkedCode = { LinkedCode() },
        writable: @escaping @Sendable () -> [Range<Address>]? = { nil }
    ) {
        self.architecture = architecture
        self.index = index
        self.image = image
        self.memory = memory
        self.identity = identity
        self.isPlaced = isPlaced
        self.replacement = replacement
        self.linked = linked
        self.writable = writable
        bindings = LibraryBindings(of: image, in: index, memory: memory)
    }

    /// The image that defines most of an object's functions that other files can name; nil where none does.
    package static func image(of object: ObjectFile, in index: SymbolIndex) -> LoadedImage? {
        let names = object.symbols.lazy.filter { $0.isFunction && $0.section != nil && $0.binding != .weak }.map(\.name)
        let counts = index.images.map { image in
            // Not a variable of that name.
            names.prefix(1000).count { name in
                index.linkableSymbols(named: name, in: image).contains { $0.isFunction || $0.isIndirect }
            }
        }
        guard let most = counts.max(), most > 0, let best = counts.firstIndex(of: most) else { return nil }
        return index.images[best]
    }

    /// Whose a name is: who can name what it stands for.
    enum Owner: Hashable, Sendable {
        /// Every file of the image.
        case all
        /// One file (`static` in C, `private` in Swift), as its object calls it.
        case file(String?)
    }

    /// What the image has of a name that a file of it defines, or needs: nil where there is none, or several.
    /// A variable is the one that the image uses, where that is another image's; a function is its own, which can be replaced.
    func symbol(_ name: String, of owner: Owner) -> LinkableSymbol? {
        let found = candidates(name, of: owner)
        let strong = found.filter { $0.binding != .local }
        guard var symbol = found.count == 1 ? found[0] : strong.count == 1 ? strong[0] : nil else { return nil }
        if !symbol.isFunction { symbol.address = symbol.address(by: bindings, named: name, in: index) }
        return symbol
    }

    /// Whether the image has several of a name, and nothing tells which one is meant.
    func isAmbiguous(_ name: String, of owner: Owner) -> Bool {
        candidates(name, of: owner).filter { $0.binding == .local }.count > 1 && symbol(name, of: owner) == nil
    }

    /// What the image has under a name, where nothing else has that name.
    func onlySymbol(_ name: String) -> LinkableSymbol? {
        let found = index.linkableSymbols(named: name, in: image)
        return found.count == 1 ? found[0] : nil
    }

    private func candidates(_ name: String, of owner: Owner) -> [LinkableSymbol] {
        let found = index.linkableSymbols(named: name, in: image)
        guard case .file(let file) = owner else { return found.filter { !$0.isOfOneFile } }
        let local = found.filter { $0.binding == .local }
        // Names of Swift say which file they are of.
        if local.count == 1, name.hasPrefix("$") { return local }
        let own = local.filter { $0.file == file && file?.isEmpty == false }
        guard own.isEmpty else { return own }
        // The file may have been called otherwise when the program was linked.
        guard let file, index.countOfFiles(named: file, in: image) > 0 else { return local }
        return []
    }

    /// The files whose static thing a name is, where those are all that has it in the image.
    func filesKeeping(_ name: String) -> [String] {
        let found = index.linkableSymbols(named: name, in: image)
        return found.allSatisfy(\.isOfOneFile) ? found.compactMap(\.file) : []
    }

    /// Where calls of a function of the image lead, which others can name: to itself, or to that of an image before it.
    func callee(_ name: String, at entry: Address) -> Address {
        guard bindings != nil, image.range.contains(entry) else { return entry }
        let symbols = index.linkableSymbols(named: name, in: image)
        guard let own = symbols.first(where: { $0.address == entry && $0.isFunction && !$0.isIndirect }) else {
            return entry
        }
        return own.address(by: bindings, named: name, in: index)
    }

    /// Where a symbol lies that an object does not define: in its image, in what was linked before, or in another image.
    func address(ofUndefined name: String) -> Address? {
        if let newest = identity(NewEntries.identity(name)) { return newest }
        if let symbol = symbol(name, of: .all) {
            if !symbol.isIndirect { return callee(name, at: symbol.address) }
            return index.functionSymbol(named: name, at: symbol.address, in: image)?.address
        }
        return identity(name) ?? index.exportedAddress(of: name)
    }
    /// More is not copied.
    private static let largestCopy = 1 << 16

    /// What a constant of a library holds, of which the program may have a copy, as linkers give it to those that it uses (R_*_COPY): the
    /// descriptions that C++ throws and catches by, which are compared by what they say, tables of functions, numbers. Of variables, those
    /// of libc that lead to the standard streams, which nobody changes.
    func constantOfLibrary(_ name: String) -> [UInt8]? {
        guard let symbol = symbolOfLibrary(name), !symbol.isFunction, symbol.size > 0, symbol.size <= Self.largestCopy
        else { return nil }
        let isStream = ["stdin", "stdout", "stderr"].contains(name) && symbol.size == GotSlot.size
        let library = symbol.image
        guard isStream || library.elf.isConstant(library.bias.linked(symbol.address)) else { return nil }
        return try? memory.bytes(at: symbol.address, count: symbol.size)
    }

    func isFunctionOfLibrary(_ name: String) -> Bool { symbolOfLibrary(name)?.isFunction ?? false }

    private func symbolOfLibrary(_ name: String) -> LinkableSymbol? {
        guard let found = address(ofUndefined: name), let library = index.image(containing: found), library != image
        else { return nil }
        return index.linkableSymbols(named: name, in: library).first { $0.address == found && !$0.isIndirect }
    }
}
