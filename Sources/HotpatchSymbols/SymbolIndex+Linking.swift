import CHotpatchElf
import HotpatchELF
import HotpatchMemory
import HotpatchProcFS

/// A function or a variable of an image, by its raw name: what a linker binds to.
package struct LinkableSymbol: Sendable, Hashable {
    package var address: Address
    /// In bytes; 0 where the file does not say.
    package var size: Int
    package var isFunction: Bool
    /// STT_GNU_IFUNC: the address is its resolver's.
    package var isIndirect: Bool
    package var binding: SymbolBinding
    /// Whether other images can name it.
    package var isExported: Bool
    /// Which file of the program a local one comes from, as the file symbol before it says.
    package var file: String?
    /// Whether only that file can name it: it is static in C, or private in Swift. Linkers also make a local symbol of what the whole image
    /// can name, and no other image: it is hidden, or GNU ld writes it behind a file symbol without a name (version scripts).
    package var isOfOneFile: Bool
    package var image: LoadedImage
}

/// A variable of which each thread has its own, by its raw name.
package struct ThreadLocalSymbol: Sendable, Hashable {
    /// In its image's thread-locals, in bytes.
    package var offset: UInt64
    package var binding: SymbolBinding
    /// What the file symbol before a local one says.
    package var file: String?
    /// Whether only that file can name it.
    package var isOfOneFile: Bool
}

/// The thread-locals of one image, as the dynamic linker knows them.
package struct ThreadLocalModule: Sendable, Hashable {
    /// What `__tls_get_addr` is given.
    package var number: UInt64
    /// How far from the thread pointer they begin, in bytes, below it on x86_64, above it on arm64, where that is so in each thread; nil where
    /// threads allocate them when they first use them.
    package var distance: UInt64?
}

extension SymbolIndex {
    /// What number an image's thread-locals have, and where they lie; nil where that is not known: of libraries whose linker is not glibc's,
    /// and of images that have none.
    ///
    /// Where struct link_map has it, libc says to those who debug threads (nptl_db, structs.def): three words of 32 bits, which are the bits
    /// of a field, how many fields, and the offset of the first.
    package func threadLocalModule(of image: LoadedImage, memory: any MemoryReader) -> ThreadLocalModule? {
        guard let program = images.first(where: \.isMainProgram),
            let node = LinkMap.entries(program: program, memory: memory).first(where: { $0.bias == image.bias })?.node,
            let number = threadLocalField("l_tls_modid", of: node, memory), number > 0, number < 1 << 24
        else { return nil }
        guard let offset = threadLocalField("l_tls_offset", of: node, memory) else {
            return ThreadLocalModule(number: number, distance: nil)
        }
        // None yet, or none ever (include/link.h, NO_TLS_OFFSET and FORCED_DYNAMIC_TLS_OFFSET).
        if (-2...0).contains(Int64(bitPattern: offset)) { return ThreadLocalModule(number: number, distance: nil) }
        return ThreadLocalModule(number: number, distance: offset)
    }

    private func threadLocalField(_ name: String, of node: Address, _ memory: any MemoryReader) -> UInt64? {
        guard
            let field = exportedAddress(of: "_thread_db_link_map_" + name),
            let bits = try? memory.value(UInt32.self, at: field), bits == 64,
            let count = try? memory.value(UInt32.self, at: field + 4), count == 1,
            let offset = try? memory.value(UInt32.self, at: field + 8), offset < 1 << 14
        else { return nil }
        return try? memory.value(UInt64.self, at: node + Int(offset))
    }

    /// The images that let others use a thread-local of theirs, in the order in which the dynamic linker looks for it.
    package func images(exportingThreadLocal name: String) -> [LoadedImage] {
        images.filter { image in
            guard let table = image.symbols.tables.dynamicTable else { return false }
            return !threadLocals(named: name, of: table, image).filter { $0.binding != .local }.isEmpty
        }
    }

    /// The thread-locals that an image defines under a name.
    package func threadLocals(named name: String, in image: LoadedImage) -> [ThreadLocalSymbol] {
        guard let table = image.symbols.tables.staticTable ?? image.symbols.tables.dynamicTable else { return [] }
        return threadLocals(named: name, of: table, image)
    }

    private func threadLocals(named name: String, of table: SymbolTable, _ image: LoadedImage) -> [ThreadLocalSymbol] {
        name.withBytes { name in
            (0..<table.count).compactMap { index in
                if time.isOver(at: index, image.symbols.subject) { return nil }
                let symbol = table[index]
                guard symbol.type == UInt8(STT_TLS), symbol.isDefined, table.name(symbol)?.equals(name) == true else {
                    return nil
                }
                let file = symbol.binding == .local ? table.file(of: index) : nil
                return ThreadLocalSymbol(
                    offset: symbol.st_value, binding: symbol.binding, file: file,
                    isOfOneFile: symbol.isOfOneFile(file))
            }
        }
    }

    /// The images, libraries of patches among them, that need another image to have one of these names.
    package func images(importing names: Set<String>) -> [LoadedImage] {
        let hashes = Set(names.map { $0.withBytes(\.nameHash) })
        return (images + patchLibraries).filter { image in
            guard let table = image.symbols.tables.dynamicTable else { return false }
            return (0..<table.count).contains { index in
                if time.isOver(at: index, image.symbols.subject) { return false }
                let symbol = table[index]
                guard !symbol.isDefined, let name = table.name(symbol), hashes.contains(name.nameHash) else {
                    return false
                }
                return names.contains(String(decoding: name, as: UTF8.self))
            }
        }
    }

    /// The data that an image defines under names that begin so, each with its size.
    package func data(withPrefix prefix: String, in image: LoadedImage) -> [(name: String, address: Address, size: Int)]
    {
        guard let table = image.symbols.tables.staticTable ?? image.symbols.tables.dynamicTable else { return [] }
        return prefix.withBytes { prefix in
            (0..<table.count).compactMap { index in
                if time.isOver(at: index, image.symbols.subject) { return nil }
                let symbol = table[index]
                guard symbol.isDefined, symbol.type == UInt8(STT_OBJECT), let name = table.rawName(symbol),
                    name.prefix(prefix.count).elementsEqual(prefix)
                else { return nil }
                return (
                    String(decoding: name, as: UTF8.self), image.bias.address(ofLinked: symbol.st_value),
                    Int(clamping: symbol.st_size)
                )
            }
        }
    }

    /// All that an image defines under a name, functions and data, local ones too, each address once.
    package func linkableSymbols(named name: String, in image: LoadedImage) -> [LinkableSymbol] {
        guard let number = images.firstIndex(of: image) else { return [] }
        return name.withBytes { bytes in
            definitions(named: bytes, nil, only: number, code: true)
                + definitions(named: bytes, nil, only: number, code: false)
        }.map { definition in
            let symbol = definition.symbol
            let file =
                symbol.binding == .local
                ? image.symbols.table(definition.reference).file(of: definition.reference.index) : nil
            return LinkableSymbol(
                address: image.bias.address(ofLinked: symbol.st_value), size: Int(clamping: symbol.st_size),
                isFunction: image.symbols.isFunction(symbol), isIndirect: symbol.type == UInt8(STT_GNU_IFUNC),
                binding: symbol.binding,
                isExported: !definition.reference.isStatic && symbol.binding != .local,
                file: file, isOfOneFile: symbol.isOfOneFile(file), image: image)
        }
    }

    /// How many files of one name an image was linked from, as far as its symbols tell.
    package func countOfFiles(named name: String, in image: LoadedImage) -> Int {
        guard let table = image.symbols.tables.staticTable else { return 0 }
        return name.withBytes { name in
            (0..<table.count).count { index in
                let symbol = table[index]
                return symbol.type == UInt8(STT_FILE) && table.rawName(symbol)?.elementsEqual(name) == true
            }
        }
    }

    /// The function symbol at an address of an image, for whoever replaces it: the one asked for, where there are several names.
    package func functionSymbol(named name: String, at address: Address, in image: LoadedImage) -> FunctionSymbol? {
        guard let number = images.firstIndex(of: image) else { return nil }
        return name.withBytes { bytes in
            let found = definitions(named: bytes, nil, only: number, code: true).first {
                image.bias.address(ofLinked: $0.symbol.st_value) == address
            }
            return found.flatMap { try? functionSymbol($0) }
        }
    }
}

extension SymbolTable {
    /// The name of the file symbol that a local symbol stands behind (gABI, "Symbol Table": STT_FILE precedes the file's local symbols).
    fileprivate func file(of local: Int) -> String? {
        var index = local
        while index > 0 {
            index -= 1
            let symbol = self[index]
            if symbol.type == UInt8(STT_FILE) {
                return rawName(symbol).map { String(decoding: $0, as: UTF8.self) }
            }
            if symbol.binding != .local { return nil }
        }
        return nil
    }
}

extension Elf64_Sym {
    /// - Parameter file: what the file symbol before it says.
    fileprivate func isOfOneFile(_ file: String?) -> Bool {
        binding == .local && visibility == .default && file?.isEmpty == false
    }
}
