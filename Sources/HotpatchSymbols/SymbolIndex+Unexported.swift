import CHotpatchElf
import HotpatchELF
import HotpatchMemory

/// What a library needs that the process has and the dynamic linker does not see: hidden functions and variables, static ones, and all
/// of a program that was not linked with --export-dynamic.
package struct UnexportedSymbols: Sendable, Hashable {
    /// Addresses in the process, by name.
    package var addresses: [String: Address] = [:]
    /// Those of them that are static in a source file.
    package var staticFunctions: [String] = []
    /// Variables of which each thread has its own: they have no address.
    package var threadLocal: [String] = []
    /// What the process does not have at all.
    package var missing: [String] = []

    package init() {}
}

extension SymbolIndex {
    /// - Throws: `SymbolError.ambiguous` where the process has several of a name.
    package func unexportedSymbols(named names: [String], in image: String? = nil) throws(SymbolError)
        -> UnexportedSymbols
    {
        var result = UnexportedSymbols()
        let allowed = allowedImages(image, [])
        for name in names {
            let found = name.withBytes { bytes in
                select(
                    definitions(named: bytes, allowed, code: true) + definitions(named: bytes, allowed, code: false),
                    version: nil
                ).filter { !images[$0.image].isDynamicLinker }
            }
            guard let definition = found.first else {
                if isThreadLocal(name) { result.threadLocal.append(name) } else { result.missing.append(name) }
                continue
            }
            guard found.count == 1 else { throw ambiguous(name, found) }
            result.addresses[name] =
                definition.symbol.type == UInt8(STT_GNU_IFUNC)
                ? try functionSymbol(definition).address
                : images[definition.image].bias.address(ofLinked: definition.symbol.st_value)
            if definition.symbol.type == UInt8(STT_FUNC), definition.symbol.binding == .local,
                definition.symbol.visibility == .default
            {
                result.staticFunctions.append(name)
            }
        }
        return result
    }

    private func isThreadLocal(_ name: String) -> Bool {
        name.withBytes { name in
            images.contains { image in
                guard let table = image.symbols.tables.staticTable else { return false }
                return (0..<table.count).contains { index in
                    if time.isOver(at: index, image.symbols.subject) { return true }
                    let symbol = table[index]
                    return symbol.isDefined && symbol.type == UInt8(STT_TLS) && table.name(symbol)?.equals(name) == true
                }
            }
        }
    }

    /// Whether the loader of the process takes absolute symbols for what they are: since 2.28 glibc does not add the load bias.
    package var bindsAbsoluteSymbols: Bool { exportedAddress(of: "fcntl64", version: "GLIBC_2.28") != nil }
}
