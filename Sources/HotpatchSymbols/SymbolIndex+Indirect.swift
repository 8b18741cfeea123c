import CHotpatchElf
import HotpatchELF
import HotpatchMemory

extension SymbolIndex {
    /// The function that the resolver of an indirect function (STT_GNU_IFUNC) chose, read from where the dynamic linker
    /// wrote it. The resolver is never called.
    func implementation(of definition: Definition) -> Address? {
        let resolver = images[definition.image].bias.address(ofLinked: definition.symbol.st_value)
        if let known = implementations.withLock({ $0[resolver] }) { return known }
        let found = ownSlot(definition) ?? foreignSlot(definition)
        // A slot that is bound lazily may be filled later: only an answer is kept.
        if let found { implementations.withLock { $0[resolver] = found } }
        return found
    }

    /// The image's own IRELATIVE relocation, whose addend is the resolver.
    private func ownSlot(_ definition: Definition) -> Address? {
        let image = images[definition.image]
        for relocation in image.symbols.relocations
        where relocation.kind == .indirectRelative
            && UInt64(bitPattern: relocation.addend) == definition.symbol.st_value
        {
            if let found = target(ofSlot: relocation.slot, in: image, for: definition) { return found }
        }
        return nil
    }

    /// A slot of any image that is bound to the symbol by name.
    private func foreignSlot(_ definition: Definition) -> Address? {
        let name = images[definition.image].symbols.name(definition.reference)
        let version = version(of: definition).name
        for image in images {
            guard let table = image.elf.dynamicTable else { continue }
            for (row, relocation) in image.symbols.relocations.enumerated()
            where relocation.kind != .indirectRelative && relocation.symbolIndex > 0
                && Int(relocation.symbolIndex) < table.count
            {
                if time.isOver(at: row, image.symbols.subject) { return nil }
                let symbol = table[Int(relocation.symbolIndex)]
                guard table.name(symbol)?.equals(name) == true else { continue }
                let wanted = image.elf.version(of: table, Int(relocation.symbolIndex)).name
                if let wanted, let version, wanted != version { continue }
                if let found = target(ofSlot: relocation.slot, in: image, for: definition) { return found }
            }
        }
        return nil
    }

    /// What a slot holds, if that is code of the defining image: not a PLT stub (an unbound lazy slot), not the resolver,
    /// not another library's function that took the name over.
    private func target(ofSlot linked: UInt64, in image: LoadedImage, for definition: Definition) -> Address? {
        let slot = image.bias.address(ofLinked: linked)
        guard let value = try? memory.value(UInt64.self, at: slot) else { return nil }
        let owner = images[definition.image]
        let target = Address(value)
        guard target != owner.bias.address(ofLinked: definition.symbol.st_value), owner.isFunctionCode(target) else {
            return nil
        }
        return target
    }
}
