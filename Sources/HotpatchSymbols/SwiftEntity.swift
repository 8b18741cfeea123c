import CHotpatchElf
import HotpatchELF

/// What kind of thing a mangled Swift name is that of, told by the operators at its end (swift/docs/ABI/Mangling.rst, "Entities").
enum SwiftEntity {
    /// Functions, initialisers, and the accessors that a property or subscript may be written with.
    private static let written = [
        "F", "fC", "fc",
        "vg", "vs", "vM", "vr", "vw", "vW",
        "ig", "is", "iM", "ir",
    ]
    /// Endings of what ends like a written function: a distributed actor's accessor.
    private static let made = ["TF"]

    static func isWritten(_ mangled: String) -> Bool {
        let entity = mangled.hasSuffix("Z") ? mangled.dropLast() : mangled[...]
        return written.contains(where: entity.hasSuffix) && !made.contains(where: entity.hasSuffix)
            // Functions inside functions take what they capture in a form of the compiler's choice.
            && !(Demangling.demangle(mangled) ?? mangled).contains(" #")
    }

    /// Whether a name, of any language, is that of a function that was written in the source of a file.
    /// - Parameter defines: whether the file has a definition by a name.
    static func isWritten(_ name: String, besides defines: (String) -> Bool) -> Bool {
        guard name.withBytes(Demangler.language) == .swift else { return true }
        return isWritten(name) && !storage(ofAccessor: name).contains(where: defines)
    }

    /// What else there is of a stored variable, by an accessor of it: its storage, and the function that
    /// returns the storage's address.
    static func storage(ofAccessor mangled: String) -> [String] {
        let isStatic = mangled.hasSuffix("Z")
        let entity = isStatic ? mangled.dropLast() : mangled[...]
        guard ["vg", "vs", "vM", "vr"].contains(where: entity.hasSuffix) else { return [] }
        let variable = entity.dropLast(2)
        return ["\(variable)vp\(isStatic ? "Z" : "")", "\(variable)vau"]
    }
}

extension ElfImage {
    /// Whether a function of the file was written in its source, as far as its name tells; true of any name that is not Swift's.
    ///
    /// Not written are metadata accessors, deinitialisers (which destroy what the type stores), witnesses, thunks, closures, default
    /// arguments, addressors, outlined copies; and the accessors of a variable that the file itself has the storage of.
    package func isWritten(_ function: ElfSymbol) -> Bool { SwiftEntity.isWritten(function.name, besides: defines) }

    /// Whether it has a definition of any kind by a mangled name, in `.dynsym` or `.symtab`.
    private func defines(_ name: String) -> Bool {
        name.withBytes { name in
            [dynamicTable, staticTable].compactMap(\.self).contains { table in
                (0..<table.count).contains { table[$0].isDefined && table.name(table[$0])?.equals(name) == true }
            }
        }
    }
}

extension SymbolIndex {
    /// Whether an image has a function of exactly this mangled name.
    package func hasFunction(mangled name: String, in image: String? = nil) -> Bool {
        name.withBytes { !definitions(named: $0, allowedImages(image, []), code: true).isEmpty }
    }

    /// Swift types that a file declares, and an image of the process too: two types of one name, none of which is the other.
    /// Readable, sorted.
    package func typesDeclaredTwice(by library: ElfImage) -> [String] {
        let descriptor = "nominal type descriptor for "
        var types: Set<String> = []
        for table in [library.dynamicTable, library.staticTable].compactMap(\.self) {
            for index in 0..<table.count {
                let symbol = table[index]
                guard symbol.type == UInt8(STT_OBJECT), symbol.isDefined, let name = table.name(symbol),
                    name.count > 2, name.starts(with: "Mn", at: name.count - 2), Demangler.language(name) == .swift,
                    // Each file that uses a type of C has a descriptor of it.
                    !name.starts(with: "$sSo"), !name.starts(with: "$sSC"),
                    !definitions(named: name, nil, code: false).isEmpty
                else { continue }
                let mangled = String(decoding: name, as: UTF8.self)
                guard let text = Demangling.demangle(mangled), text.hasPrefix(descriptor) else { continue }
                types.insert(String(text.dropFirst(descriptor.count)))
            }
        }
        return types.sorted()
    }
}
