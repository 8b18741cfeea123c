import CHotpatchElf
import HotpatchELF
import HotpatchMemory

extension SymbolIndex {
    /// Other functions that have the very code of a function, because the linker or the compiler has folded equal ones: whoever
    /// overwrites the one has overwritten the others.
    ///
    /// Without names that are the function's own by design: of C++ constructors and destructors the complete and the base object's,
    /// weak aliases (`read` of `__read`), other versions.
    package func functionsOfSameCode(as function: FunctionSymbol) -> [FunctionSymbol] {
        guard let number = images.firstIndex(of: function.image) else { return [] }
        let symbols = images[number].symbols
        let functions = symbols.functions
        let linked = function.image.bias.linked(function.address)
        var found: [FunctionSymbol] = []
        var end = Self.upperBound(functions, linked)
        // Hostile files can put everything at one address.
        for _ in 0..<64 where end > 0 && functions[end - 1].value == linked {
            end -= 1
            let reference = functions[end].reference
            let definition = Definition(image: number, reference: reference, symbol: symbols.symbol(reference))
            guard definition.symbol.type == UInt8(STT_FUNC), name(of: definition) != function.name,
                (definition.symbol.binding == .weak) == (function.binding == .weak),
                let other = try? functionSymbol(definition, resolving: false),
                other.demangledName != function.demangledName
            else { continue }
            found.append(other)
        }
        return found.sorted { $0.name < $1.name }
    }

    /// The copies that the compiler left of functions that the process does not have, by the function's mangled name.
    package func copiesLeft(of names: Set<String>, in image: String? = nil) -> [String: [UnreachedCopy]] {
        let sorted = names.filter { !$0.isEmpty }.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
        guard !sorted.isEmpty else { return [:] }
        let allowed = allowedImages(image, [])
        var found: [String: Set<UnreachedCopy>] = [:]
        for number in images.indices where allowed?[number] ?? true {
            let symbols = images[number].symbols
            for (row, reference) in symbols.references.enumerated() {
                if time.isOver(at: row, symbols.subject) { break }
                let other = symbols.name(reference)
                // What is behind the first dot of a name of C or C++ is the compiler's; a Swift name goes on without one.
                let isSwift = Demangler.language(other) == .swift
                let dot = isSwift ? nil : other.firstIndex(ofByte: UInt8(ascii: "."))
                guard isSwift || dot != nil else { continue }
                let base = UnsafeRawBufferPointer(rebasing: other[..<(dot ?? other.count)])
                // The last name that does not sort behind it is the only one that it can begin with.
                var low = 0
                var high = sorted.count
                while low < high {
                    let middle = (low + high) / 2
                    if base.lexicographicallyPrecedes(sorted[middle]) { high = middle } else { low = middle + 1 }
                }
                guard low > 0, other.starts(with: sorted[low - 1]),
                    Self.isCopy(other, ofNameWith: sorted[low - 1].count),
                    symbols.isFunction(symbols.symbol(reference))
                else { continue }
                let copy = UnreachedCopy(
                    kind: .specialised(
                        name: String(decoding: other, as: UTF8.self),
                        address: images[number].bias.address(ofLinked: symbols.symbol(reference).st_value)))
                found[String(decoding: sorted[low - 1], as: UTF8.self), default: []].insert(copy)
            }
        }
        return found.mapValues { $0.sorted { $0.description < $1.description } }
    }
}
