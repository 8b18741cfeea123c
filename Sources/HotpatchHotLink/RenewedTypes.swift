import HotpatchSymbols

/// Types and protocols that edits before have brought, and that this one lays out otherwise: new ones of the same names.
///
/// What the program was built with is laid out as it is: code that no edit knows of relies on it. What an edit has brought, only code of
/// edits knows. So nothing is changed of it: whatever has to do with such a type gets another copy, under no name of the process: the
/// type, its metadata, its functions and conformances, and all functions and variables in whose signatures it stands. Whoever is
/// compiled with the new one uses the new one, wherever a value of it may come from. What was made of the former one, and code that
/// has it, stay as they were: a cast to the new one tells them apart.
struct RenewedTypes: Sendable {
    /// As a demangler writes them, with their module: `Shop.Item`.
    private(set) var names: Set<String>
    /// The symbols that have to do with one of them, functions without their parts.
    private var symbols: Set<String> = []
    /// What the old object has of them.
    private(set) var changed: [String] = []
    /// What cannot be without them, and is the program's.
    private(set) var obstacles: [String] = []

    var isEmpty: Bool { names.isEmpty }

    /// - Parameters:
    ///   - reasons: what the edit has laid out otherwise.
    ///   - others: types that another file of the same edit renews.
    ///   - isOwn: whether what the old object has under a name came with an edit.
    init(
        _ reasons: [RestartReason], and others: Set<String>, old: ObjectGraph, new: ObjectGraph,
        isOwn: (String) -> Bool
    ) {
        names = others
        for reason in reasons {
            guard case .layout = reason.kind, let name = Self.name(of: reason.descriptor), isOwn(reason.descriptor)
            else { continue }
            names.insert(name)
        }
        if names.isEmpty { return }
        let layouts = (SwiftLayout(old), SwiftLayout(new))
        while let found = Self.dependent(on: names, layouts, isOwn, &obstacles) { names.insert(found) }
        changed =
            layouts.0.types.map { $0 + "Mn" }.filter { Self.name(of: $0).map(names.contains) ?? false }
            + layouts.0.interfaces.keys.filter { Self.name(of: $0).map(names.contains) ?? false }.sorted()
        for graph in [old, new] {
            for symbol in graph.object.symbols where symbol.name.hasPrefix("$s") {
                let name = SymbolKind.owner(of: symbol.name) ?? symbol.name
                if !symbols.contains(name), isAbout(name) { symbols.insert(name) }
            }
            // The token of a variable does not say whose it is.
            for piece in graph.pieces where piece.name.hasSuffix("vau") && symbols.contains(piece.name) {
                for case .piece(let target, _) in piece.references.map(\.target)
                where graph.pieces[target].name.hasSuffix("Wz") {
                    symbols.insert(graph.pieces[target].name)
                }
            }
        }
    }

    /// The name that something goes by in the process; nil where it is as ever.
    func renamed(_ name: String) -> String? {
        if names.isEmpty { return nil }
        if symbols.contains(name) {
            // Between a function and what its record ends with, as where it has several parts.
            let end = name.hasSuffix("Tu") ? 2 : 0
            return name.dropLast(end) + ClosureMatch.unmatchedMark + name.suffix(end)
        }
        guard let owner = SymbolKind.owner(of: name), symbols.contains(owner) else { return nil }
        return owner + ClosureMatch.unmatchedMark + name.dropFirst(owner.count)
    }

    func contains(_ name: String) -> Bool { renamed(name) != nil }

    // MARK: Names

    /// A type's or protocol's name, by that of its descriptor.
    private static func name(of descriptor: String) -> String? {
        guard let text = Demangling.demangle(descriptor) else { return nil }
        for start in ["nominal type descriptor for ", "protocol descriptor for "] where text.hasPrefix(start) {
            return String(text.dropFirst(start.count))
        }
        return nil
    }

    /// Whether a symbol has to do with one of the types.
    private func isAbout(_ symbol: String) -> Bool {
        guard let text = Demangling.demangle(symbol) else { return false }
        // A variable is what its type is, wherever it stands.
        if ["vp", "vpZ", "vau"].contains(where: symbol.hasSuffix),
            let colon = SwiftLayoutNames.firstRange(of: " : ", in: text, outsideOfBrackets: true)
        {
            return mentions(String(text[colon...]))
        }
        return mentions(text)
    }

    /// Whether a demangled text has one of the names in it.
    func mentions(_ text: String) -> Bool { Self.mentions(text, names) }

    /// Whether a type by its mangled name is, or has in it, one of them.
    func isPart(ofType mangled: String) -> Bool {
        !names.isEmpty && (Demangling.demangle(mangled).map(mentions) ?? false)
    }

    private static func mentions(_ text: String, _ names: Set<String>) -> Bool {
        let bytes = Array(text.utf8)
        return names.contains { name in
            let name = Array(name.utf8)
            var start = 0
            while start + name.count <= bytes.count {
                guard let first = bytes[start...].firstIndex(of: name[0]), first + name.count <= bytes.count else {
                    return false
                }
                start = first + 1
                guard bytes[first...].starts(with: name) else { continue }
                let isStart = first == 0 || !isPartOfName(bytes[first - 1]) && bytes[first - 1] != UInt8(ascii: ".")
                let end = first + name.count
                if isStart, end == bytes.count || !isPartOfName(bytes[end]) { return true }
            }
            return false
        }
    }

    private static func isPartOfName(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || byte >= 0x80 || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
            || (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
    }

    // MARK: What depends on them

    /// A type or protocol of both objects that is laid out by one of some, and is none of them yet. What of that is the program's is noted
    /// as an obstacle.
    private static func dependent(
        on names: Set<String>, _ layouts: (SwiftLayout, SwiftLayout), _ isOwn: (String) -> Bool,
        _ obstacles: inout [String]
    ) -> String? {
        /// Names stand in references as they are mangled, or as the descriptors that they lead to.
        func isPart(_ reference: String) -> Bool {
            if reference.hasPrefix("symbolic ") {
                return reference.split(separator: " ").contains { part in
                    let part = part.hasPrefix("$s") ? part.dropFirst(2) : part
                    return ["Mn", "Mp", "_pD", "D"].contains { end in
                        Demangling.demangle("$s" + part + end).map { mentions($0, names) } ?? false
                    }
                }
            }
            return Demangling.demangle(reference).map { mentions($0, names) } ?? false
        }
        func check(_ descriptor: String, _ references: [String], in layout: SwiftLayout) -> String? {
            guard let name = name(of: descriptor), !names.contains(name), references.contains(where: isPart) else {
                return nil
            }
            if isOwn(descriptor) { return name }
            let obstacle =
                "\(SwiftLayoutNames.tidied(name)): it holds, or inherits, a type that an edit before has added, and "
                + "this one lays out otherwise"
            if !obstacles.contains(obstacle) { obstacles.append(obstacle) }
            return nil
        }
        for layout in [layouts.0, layouts.1] {
            for base in layout.types where layouts.0.nominals[base] != nil {
                let nominal = layout.nominals[base]
                let fields = layout.fields[base]?.fields.map(\.type) ?? []
                if let found = check(
                    base + "Mn", fields + [nominal?.superclass ?? ""] + (nominal?.generics ?? []), in: layout)
                {
                    return found
                }
            }
            for (name, interface) in layout.interfaces.sorted(by: { $0.key < $1.key })
            where layouts.0.interfaces[name] != nil {
                if let found = check(name, interface.signature, in: layout) { return found }
            }
        }
        // Who calls a function lays out what it returns by the type behind `some`, of which its name says nothing.
        for (base, opaque) in layouts.1.opaques.sorted(by: { $0.key < $1.key })
        where layouts.0.opaques[base] != nil && opaque.underlying.contains(where: isPart) {
            let obstacle =
                "\(SwiftLayoutNames.text(base.hasSuffix("QO") ? String(base.dropLast(2)) : base)): the type of its opaque "
                + "result is, or has in it, one that an edit before has added, and this one lays out otherwise"
            if !obstacles.contains(obstacle) { obstacles.append(obstacle) }
        }
        // A conformance that is there already, of a type that stays, is asked for by what it was.
        for (base, conformance) in layouts.1.conformances.sorted(by: { $0.key < $1.key })
        where layouts.0.conformances[base] != nil && !isPart(base + "Mc")
            && conformance.types.values.contains(where: isPart)
        {
            let obstacle =
                "\(SwiftLayoutNames.text(base + "Mc", without: "protocol conformance descriptor for ")): it has an "
                + "associated type that an edit before has added, and this one lays out otherwise"
            if !obstacles.contains(obstacle) { obstacles.append(obstacle) }
        }
        return nil
    }
}
