import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// The process that objects are linked into, as the linker sees it.
public struct LiveProgram: Sendable {
    package var architecture: Architecture
    public var index: SymbolIndex
    /// The image that the objects are part of.
    public var image: LoadedImage
    /// The process's memory, with the entries of patched functions as they were.
    public var memory: any MemoryReader
    /// Where code or data lies that was linked into the process before, by name.
    public var identity: @Sendable (String) -> Address?
    /// What runs instead of the function at an entry; nil where it was not replaced.
    public var replacement: @Sendable (Address) -> Address?
    /// Where the process keeps what it has made at run time, and variables: its writable memory; nil where nobody knows.
    public var writable: @Sendable () -> [Range<Address>]?
    /// What the image exports, and has from others; nil of a program.
    private let bindings: LibraryBindings?

    package init(
        architecture: Architecture, index: SymbolIndex, image: LoadedImage, memory: any MemoryReader,
        identity: @escaping @Sendable (String) -> Address? = { _ in nil },
        replacement: @escaping @Sendable (Address) -> Address? = { _ in nil },
        writable: @escaping @Sendable () -> [Range<Address>]? = { nil }
    ) {
        self.architecture = architecture
        self.index = index
        self.image = image
        self.memory = memory
        self.identity = identity
        self.replacement = replacement
        self.writable = writable
        bindings = LibraryBindings(of: image, in: index, memory: memory)
    }

    /// The image that defines most of an object's functions that other files can name; nil where none does.
    public static func image(of object: ObjectFile, in index: SymbolIndex) -> LoadedImage? {
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

    /// What the image has of a name that a file of it defines: the one that others can name, or the file's own; nil where there is none, or
    /// several. A variable is the one that the image uses, where that is another image's; a function is its own, which can be replaced.
    func symbol(_ name: String, file: String?) -> LinkableSymbol? {
        guard var symbol = definition(name, file: file) else { return nil }
        if !symbol.isFunction { symbol.address = symbol.address(by: bindings, named: name, in: index) }
        return symbol
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

    private func definition(_ name: String, file: String?) -> LinkableSymbol? {
        let found = index.linkableSymbols(named: name, in: image)
        if found.count <= 1 { return found.first }
        let strong = found.filter { $0.binding != .local }
        if strong.count == 1 { return strong[0] }
        let own = found.filter { $0.file != nil && $0.file == file }
        return own.count == 1 ? own[0] : nil
    }

    /// Whether the image has several of a name, and nothing tells which one is the file's.
    func isAmbiguous(_ name: String, file: String?) -> Bool {
        definition(name, file: file) == nil && !index.linkableSymbols(named: name, in: image).isEmpty
    }

    /// Where a symbol lies that an object does not define: in its image, in what was linked before, or in another image.
    func address(ofUndefined name: String) -> Address? {
        if let newest = identity(NewEntries.identity(name)) { return newest }
        if let symbol = symbol(name, file: nil) {
            if !symbol.isIndirect { return callee(name, at: symbol.address) }
            return index.functionSymbol(named: name, at: symbol.address, in: image)?.address
        }
        return identity(name) ?? index.exportedAddress(of: name)
    }
}
