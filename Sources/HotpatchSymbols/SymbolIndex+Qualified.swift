import CHotpatchElf
import HotpatchMemory

// Functions of one name are told apart by the source file that a static one is from (`helper@main.c`), and any by its address
// (`0x401136`, or where it is in its image: `shop+0x1136`).
extension SymbolIndex {
    /// The source file that a file-scoped symbol is from, as the linker's STT_FILE symbols say (elf(5)); nil for any other.
    func file(of definition: Definition) -> String? {
        let reference = definition.reference
        guard definition.symbol.binding == .local, reference.isStatic else { return nil }
        let table = images[definition.image].symbols.table(reference)
        // Local symbols stand behind the symbol of their file.
        var index = reference.index
        while index > 0 {
            index -= 1
            let symbol = table[index]
            guard symbol.binding == .local else { return nil }
            if symbol.type == UInt8(STT_FILE) {
                return table.rawName(symbol).flatMap { $0.isEmpty ? nil : String(decoding: $0, as: UTF8.self) }
            }
        }
        return nil
    }

    /// The definitions that are static in a file of this name, which may be written with the end of its path.
    func fromFile(_ found: [Definition], _ file: String) -> [Definition] {
        found.filter { definition in
            guard let own = self.file(of: definition) else { return false }
            return own == file || own.hasSuffix("/" + file)
        }
    }

    /// The address that a name is; nil for any other name.
    func address(named name: String) -> Address? {
        if let value = Self.hexadecimal(name[...]) { return Address(value) }
        guard let plus = name.utf8.lastIndex(of: UInt8(ascii: "+")),
            let offset = Self.hexadecimal(name[name.utf8.index(after: plus)...]),
            let named = allowedImages(String(name[..<plus]), [])
        else { return nil }
        let found = images.indices.filter { named[$0] }
        return found.count == 1 ? images[found[0]].bias.address(ofLinked: offset) : nil
    }

    /// The function that begins at an address, in one of the images allowed.
    func definitions(at address: Address, _ allowed: [Bool]?) -> [Definition] {
        guard let found = function(at: address), allowed?[found.image] ?? true else { return [] }
        return [found]
    }

    private static func hexadecimal(_ text: Substring) -> UInt64? {
        text.utf8.starts(with: "0x".utf8) ? UInt64(text.dropFirst(2), radix: 16) : nil
    }

    /// The shortest text that means one of several definitions and no other, in its image.
    func spelling(of definition: Definition, among all: [Definition]) -> String {
        let mangled = name(of: definition)
        let readable = Demangling.demangle(mangled) ?? mangled
        let alike = all.filter {
            let other = name(of: $0)
            return $0.image == definition.image && (other == mangled || Demangling.demangle(other) == readable)
        }
        if alike.count <= 1 { return readable }
        let qualifiers = alike.map { version(of: $0).name ?? file(of: $0) }
        if let own = version(of: definition).name ?? file(of: definition), qualifiers.count(where: { $0 == own }) == 1 {
            let text = "\(readable)@\(own)"
            if Self.splitVersion(text).version == own { return text }
        }
        return spelling(byAddressOf: definition)
    }

    func spelling(byAddressOf definition: Definition) -> String {
        "\(images[definition.image].name)+0x\(String(definition.symbol.st_value, radix: 16))"
    }
}
