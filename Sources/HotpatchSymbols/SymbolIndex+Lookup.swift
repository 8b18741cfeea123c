import CHotpatchElf
import HotpatchELF
import HotpatchMemory

/// A definition found in the tables.
struct Definition {
    /// Index into `SymbolIndex.images`.
    var image: Int
    var reference: SymbolReference
    var symbol: Elf64_Sym
}

extension SymbolIndex {
    /// The one function a name means.
    /// - Parameters:
    ///   - image: path, file name or soname of the image to look in (`LoadedImage.matches`); nil for all.
    ///   - excluded: images that do not count, such as patch libraries that define the names of what they replace.
    /// - Throws: `notFound`, `ambiguous`, or `indirectUnresolved`.
    public func function(
        named name: String, in image: String? = nil, excluding excluded: [LoadedImage] = []
    ) throws(SymbolError) -> FunctionSymbol {
        let allowed = allowedImages(image, excluded)
        let found = query(name, allowed)
        try checkTime()
        if found.count == 1 { return try functionSymbol(found[0]) }
        if found.isEmpty {
            if let address = address(named: name) {
                throw .noFunctionAt(name: name, inside: function(containing: address)?.symbol.demangledName)
            }
            let copies = copiesLeft(of: [Self.splitVersion(name).base], in: image).values.joined().map(\.name)
            let nearest = copies.isEmpty ? nearestNames(to: name, allowed) : copies
            try checkTime()
            throw .notFound(name: name, image: image, nearest: nearest, stripped: whatIsStripped(image))
        }
        throw ambiguous(name, found)
    }

    private func checkTime() throws(SymbolError) {
        if let failure = time.failure { throw SymbolError(failure) }
    }

    func ambiguous(_ name: String, _ found: [Definition]) -> SymbolError {
        .ambiguous(
            name: name,
            candidates: found.map { definition in
                SymbolError.Candidate(
                    image: images[definition.image].path,
                    address: images[definition.image].bias.address(ofLinked: definition.symbol.st_value),
                    name: self.name(of: definition),
                    // With hundreds, which no program has, it would take hours to find what tells each from all others.
                    spelling: found.count <= 256
                        ? spelling(of: definition, among: found) : spelling(byAddressOf: definition))
            })
    }

    /// What cannot be seen of an image, or of the program where it is nil, for want of `.symtab`, and the way out. Nil where nothing
    /// is missing.
    package func whatIsStripped(_ spec: String?) -> String? {
        let image = images.first { image in spec.map(image.matches) ?? image.isMainProgram }
        guard let image, image.symbols.tables.staticTable == nil else { return nil }
        var text = "\(image.path) is stripped: of its functions only those that it exports are known."
        let digits = image.elf.buildID.hexadecimal(separator: "")
        if digits.count > 2 {
            text +=
                " Install its debug file (\(debugDirectories.first ?? "/usr/lib/debug")/.build-id/\(digits.prefix(2))/"
                + digits.dropFirst(2) + ".debug), or run one that is not stripped."
        } else {
            text += " Run one that is not stripped."
        }
        return text
    }

    /// All functions a name means, in all its versions, in the order of `images`; each address of an image once. Indirect
    /// functions without a known implementation are left out.
    package func functions(
        named name: String, in image: String? = nil, excluding excluded: [LoadedImage] = []
    ) -> [FunctionSymbol] {
        let allowed = allowedImages(image, excluded)
        var found = versioned(name, allowed, all: true)
        if found.isEmpty { found = demangledMatches(name, allowed, all: true) }
        var seen: Set<Address> = []
        return found.sorted { $0.image < $1.image }.compactMap { try? functionSymbol($0) }
            .filter { seen.insert($0.address).inserted }
    }

    /// Where an indirect function (STT_GNU_IFUNC) of exactly this mangled name has no implementation that is known: the error
    /// that a look-up of it would throw.
    package func unresolvedIndirect(named name: String, in image: String? = nil) -> SymbolError? {
        let allowed = allowedImages(image, [])
        for definition in name.withBytes({ definitions(named: $0, allowed, code: true) })
        where definition.symbol.type == UInt8(STT_GNU_IFUNC) && implementation(of: definition) == nil {
            let owner = images[definition.image]
            return .indirectUnresolved(
                name: name, image: owner.path, resolver: owner.bias.address(ofLinked: definition.symbol.st_value))
        }
        return nil
    }

    /// A variable, or another defined symbol that is not code, by its exact mangled name.
    /// - Throws: `notFound`, `ambiguous`.
    package func dataSymbol(named name: String, in image: String? = nil) throws(SymbolError) -> DataSymbol {
        let allowed = allowedImages(image, [])
        let (base, version) = Self.splitVersion(name)
        var found = base.withBytes { definitions(named: $0, allowed, code: false) }
        found = select(found, version: version)
        if found.count > 1, !found.allSatisfy({ images[$0.image].isDynamicLinker }) {
            found.removeAll { images[$0.image].isDynamicLinker }
        }
        guard let first = found.first else { throw .notFound(name: name, image: image, nearest: []) }
        guard found.count == 1 else {
            throw ambiguous(name, found)
        }
        let image = images[first.image]
        return DataSymbol(
            name: base, version: self.version(of: first).name,
            address: image.bias.address(ofLinked: first.symbol.st_value),
            size: Int(clamping: first.symbol.st_size), image: image, binding: first.symbol.binding,
            isExported: !first.reference.isStatic)
    }

    /// What the dynamic linker would bind a name to: the first definition in `.dynsym`, in load order. Functions and
    /// variables; for an indirect function, its implementation. Nil where there is none, or none that is known.
    package func exportedAddress(of name: String, version: String? = nil, in image: String? = nil) -> Address? {
        let allowed = allowedImages(image, [])
        let found = name.withBytes { name in
            (definitions(named: name, allowed, code: true) + definitions(named: name, allowed, code: false))
        }.filter { definition in
            guard !definition.reference.isStatic, definition.symbol.binding != .local else { return false }
            let (name, isDefault) = self.version(of: definition)
            return version == nil ? isDefault : name == version || name == nil
        }
        guard let first = found.min(by: { $0.image < $1.image }) else { return nil }
        if first.symbol.type == UInt8(STT_GNU_IFUNC) { return try? functionSymbol(first).address }
        return images[first.image].bias.address(ofLinked: first.symbol.st_value)
    }

    // MARK: Rules

    /// Which images a query may look in; nil for all.
    func allowedImages(_ spec: String?, _ excluded: [LoadedImage]) -> [Bool]? {
        if spec == nil, excluded.isEmpty { return nil }
        // A path or full name decides before one that only begins alike.
        let exact = spec.map { spec in images.contains { $0.path == spec || $0.name == spec } } ?? false
        return images.map { image in
            if excluded.contains(image) { return false }
            guard let spec else { return true }
            return exact ? image.path == spec || image.name == spec : image.matches(spec)
        }
    }

    /// The definitions a name means after the rules of `SymbolIndex`: one where it is unambiguous.
    func query(_ name: String, _ allowed: [Bool]?) -> [Definition] {
        if let address = address(named: name) { return definitions(at: address, allowed) }
        var found = versioned(name, allowed, all: false)
        if found.isEmpty { found = demangledMatches(name, allowed, all: false) }
        if found.isEmpty, case (let base, let file?) = Self.splitVersion(name) {
            found = fromFile(demangledMatches(base, allowed, all: true), file)
        }
        if found.isEmpty { found = writtenMatches(name, allowed) }
        if found.count > 1 { found = narrowed(found, by: WrittenName(name)) }
        if found.count > 1, !found.allSatisfy({ images[$0.image].isDynamicLinker }) {
            found.removeAll { images[$0.image].isDynamicLinker }
        }
        return found.count > 1 ? found.sorted { $0.image < $1.image } : found
    }

    /// By mangled name with an optional version, or the file of a static function; `all` keeps what the rules inside an image would hide.
    private func versioned(_ name: String, _ allowed: [Bool]?, all: Bool) -> [Definition] {
        let (base, version) = Self.splitVersion(name)
        let found = base.withBytes { definitions(named: $0, allowed, code: true) }
        if found.count <= 1, version == nil { return found }
        if let version, !found.contains(where: { self.version(of: $0).name == version }) {
            return fromFile(found, version)
        }
        guard all else { return select(found, version: version) }
        return version == nil ? found : found.filter { self.version(of: $0).name == version }
    }

    /// `memcpy@GLIBC_2.2.5` or `memcpy@@GLIBC_2.14`; any other text has no version.
    static func splitVersion(_ name: String) -> (base: String, version: String?) {
        guard let at = name.utf8.firstIndex(of: UInt8(ascii: "@")), at > name.startIndex else { return (name, nil) }
        let rest = name[at...].drop { $0 == "@" }
        if rest.isEmpty || rest.contains(where: { $0 == " " || $0 == "(" }) { return (name, nil) }
        return (String(name[..<at]), String(rest))
    }

    /// Every definition with this name, each address of an image once: the copy in `.dynsym`, which knows the version.
    func definitions(
        named name: UnsafeRawBufferPointer, _ allowed: [Bool]?, only: Int? = nil, code: Bool
    ) -> [Definition] {
        var result: [Definition] = []
        var isOver = false
        guard !name.isEmpty else { return result }
        // Hostile files can give one name to everything.
        var row = 0
        names.forEach(name.nameHash) { image, index in
            row &+= 1 + result.count
            if row > 4096 {
                row = 0
                isOver = isOver || time.isOver("the symbols of the process")
            }
            if isOver { return }
            if let allowed, !allowed[image] { return }
            if let only, only != image { return }
            let symbols = images[image].symbols
            let reference = symbols.references[index]
            let symbol = symbols.symbol(reference)
            guard symbols.isFunction(symbol) == code, symbols.name(reference).equals(name) else { return }
            for (position, known) in result.enumerated()
            where known.image == image && known.symbol.st_value == symbol.st_value {
                if prefers(reference, over: known, image) {
                    result[position] = Definition(image: image, reference: reference, symbol: symbol)
                }
                return
            }
            result.append(Definition(image: image, reference: reference, symbol: symbol))
        }
        return result
    }

    private func prefers(_ reference: SymbolReference, over known: Definition, _ image: Int) -> Bool {
        if reference.isStatic != known.reference.isStatic { return known.reference.isStatic }
        let symbols = images[image].symbols
        let new = symbols.elf.version(of: symbols.table(reference), reference.index)
        return new.isDefault && !version(of: known).isDefault
    }

    /// Hides, in each image, what the version, the scope and the binding rule out.
    func select(_ found: [Definition], version: String?) -> [Definition] {
        var result: [Definition] = []
        for image in Set(found.map(\.image)) {
            var inside = found.filter { $0.image == image }
            if let version {
                inside.removeAll { self.version(of: $0).name != version }
            } else if inside.count > 1, inside.contains(where: { self.version(of: $0).isDefault }) {
                inside.removeAll { !self.version(of: $0).isDefault }
            }
            if inside.contains(where: { $0.symbol.binding != .local }) {
                inside.removeAll { $0.symbol.binding == .local }
            }
            if inside.contains(where: { $0.symbol.binding == .global }) {
                inside.removeAll { $0.symbol.binding == .weak }
            }
            result += inside
        }
        return result
    }

    func demangledMatches(_ name: String, _ allowed: [Bool]?, all: Bool) -> [Definition] {
        var matches = KeyMatches()
        var keys = NameKeys()
        func consider(_ names: DemangledNames, _ image: Int, _ entry: Int, _ query: UnsafeRawBufferPointer) {
            let function = Int(names.keyOwners[entry])
            names.withText(function) { text in
                keys.forEachKey(of: text, names.language(function)) { level, key in
                    if key.equals(query) { matches.add(level, image, function) }
                }
            }
        }
        // Keys leave `static` out, except for the full text.
        for text in name.hasPrefix("static ") ? [name, String(name.dropFirst(7))] : [name] {
            text.withBytes { query in
                if let allowed, allowed.lazy.filter({ $0 }).count <= 4 {
                    // Demangling a few images is far from demangling them all.
                    for image in images.indices where allowed[image] {
                        let symbols = images[image].symbols
                        symbols.demangledTable.forEach(query.nameHash) { consider(symbols.demangled, image, $1, query) }
                    }
                    return
                }
                let index = demangledIndex.get()
                index.table.forEach(query.nameHash) { image, entry in
                    if let allowed, !allowed[image] { return }
                    consider(index.names[image], image, entry, query)
                }
            }
            if !matches.isEmpty { break }
        }
        return definitions(matches, all: all)
    }

    /// Functions with a key that a name is when the module before it is left out: `Cart.total(of:)` for `Shop.Cart.total(of:)`.
    func moduleLessMatches(_ name: String, _ allowed: [Bool]?) -> [Definition] {
        // No key holds the name, so the texts are looked through: for its last component, which all texts write like this.
        let path = name.prefix { $0 != "(" && $0 != " " }
        let last = path.split(separator: ".").last ?? ""
        var matches = KeyMatches()
        var keys = NameKeys()
        name.withBytes { query in
            ("." + last).withBytes { part in
                for image in images.indices where allowed?[image] ?? true {
                    let names = images[image].symbols.demangled
                    if time.isOver(images[image].symbols.subject) { return }
                    names.forEach(holding: part) { function in
                        guard names.language(function) == .swift else { return }
                        names.withText(function) { text in
                            keys.forEachKey(of: text, .swift) { level, key in
                                let module = key.count - query.count - 1
                                guard module > 0, key[module] == UInt8(ascii: "."),
                                    UnsafeRawBufferPointer(rebasing: key[(module + 1)...]).equals(query),
                                    key[..<module].allSatisfy(SpelledName.isIdentifier)
                                else { return }
                                matches.add(level, image, function)
                            }
                        }
                    }
                }
            }
        }
        return definitions(matches, all: false)
    }

    /// Functions that answer to a demangled name, at the most exact level that any of them does.
    private struct KeyMatches {
        private var level: UInt8 = .max
        private(set) var functions: [(image: Int, function: Int)] = []

        var isEmpty: Bool { functions.isEmpty }

        mutating func add(_ level: NameKeyLevel, _ image: Int, _ function: Int) {
            guard level.rawValue <= self.level else { return }
            if level.rawValue < self.level { functions.removeAll() }
            self.level = level.rawValue
            functions.append((image, function))
        }
    }

    private func definitions(_ matches: KeyMatches, all: Bool) -> [Definition] {
        var result: [Definition] = []
        for match in matches.functions {
            let symbols = images[match.image].symbols
            let reference = symbols.functions[match.function].reference
            // The same rules as for the mangled name it stands for.
            let found = definitions(named: symbols.name(reference), nil, only: match.image, code: true)
            for definition in all || found.count == 1 ? found : select(found, version: nil)
            where !result.contains(where: {
                $0.image == definition.image && $0.symbol.st_value == definition.symbol.st_value
            }) {
                result.append(definition)
            }
        }
        return result
    }

    // MARK: Building symbols

    func name(of definition: Definition) -> String {
        String(decoding: images[definition.image].symbols.name(definition.reference), as: UTF8.self)
    }

    func version(of definition: Definition) -> (name: String?, isDefault: Bool) {
        let symbols = images[definition.image].symbols
        return symbols.elf.version(of: symbols.table(definition.reference), definition.reference.index)
    }

    func functionSymbol(_ definition: Definition, resolving: Bool = true) throws(SymbolError) -> FunctionSymbol {
        let image = images[definition.image]
        let symbol = definition.symbol
        let isIndirect = symbol.type == UInt8(STT_GNU_IFUNC)
        let symbolAddress = image.bias.address(ofLinked: symbol.st_value)
        var result = FunctionSymbol(
            name: name(of: definition), version: version(of: definition).name, address: symbolAddress,
            symbolAddress: symbolAddress, size: Int(clamping: symbol.st_size), image: image, binding: symbol.binding,
            visibility: symbol.visibility, isIndirect: isIndirect, isExported: !definition.reference.isStatic,
            isVariantCall: image.elf.machine == UInt16(EM_AARCH64) && symbol.isVariantCall)
        if isIndirect, resolving {
            guard let implementation = implementation(of: definition) else {
                throw .indirectUnresolved(name: result.name, image: image.path, resolver: symbolAddress)
            }
            result.address = implementation
            result.size = function(at: implementation).map { Int(clamping: $0.symbol.st_size) } ?? 0
        }
        return result
    }
}
