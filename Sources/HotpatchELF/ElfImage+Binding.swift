import CHotpatchElf
import HotpatchMemory

extension ElfImage {
    /// What is to be written into the file so that undefined symbols of `.dynsym` are absolute ones at these addresses, which are looked
    /// up nowhere else: the dynamic linker takes a local symbol of its own library as it stands.
    package func bindingUndefinedSymbols(to addresses: [String: Address]) -> [(offset: UInt64, bytes: [UInt8])] {
        guard let table = dynamicTable, table.count > 1 else { return [] }
        var writes: [(offset: UInt64, bytes: [UInt8])] = []
        for index in 1..<table.count {
            var symbol = table[index]
            guard !symbol.isDefined, let name = table.name(symbol),
                let address = addresses[String(decoding: name, as: UTF8.self)]
            else { continue }
            symbol.st_info = symbol.type
            symbol.st_other = SymbolVisibility.hidden.rawValue
            symbol.st_shndx = UInt16(SHN_ABS)
            symbol.st_value = address.rawValue
            let offset = table.fileOffset &+ UInt64(index) &* UInt64(SymbolTable.recordSize)
            writes.append((offset, withUnsafeBytes(of: symbol) { Array($0) }))
        }
        return writes
    }
}
