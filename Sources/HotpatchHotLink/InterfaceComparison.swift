import HotpatchELF
import HotpatchSymbols

/// What callers and other code rely on and names do not tell, compared between two objects of one source file: how functions are called,
/// how types of C and C++ are laid out.
struct InterfaceComparison {
    /// The variables of Swift that are constant in both objects.
    let constants: Set<String>
    /// Those that are constant in the new object, whatever they were.
    let newConstants: Set<String>
    /// What the new object was compiled of.
    let source: String?
    /// Where functions are declared.
    let lines: (old: [String: Int], new: [String: Int])
    let functions: (old: DescribedFunctions, new: DescribedFunctions)
    private let types: (old: [String: [String]], new: [String: [String]])
    private let variables: (old: [String: ObjectDescriptions.Variable], new: [String: ObjectDescriptions.Variable])

    /// - Throws: `LinkError` where an object does not say.
    init(_ before: ElfImage, _ after: ElfImage) throws {
        func descriptions(of file: ElfImage) throws -> ObjectDescriptions {
            func refused(_ what: String, _ remedy: String) -> LinkError {
                .unsupported(
                    path: file.path,
                    what:
                        "its debugging information (DWARF) \(what), so that nobody knows what its functions expect of their callers",
                    remedy: remedy)
            }
            // SHF_COMPRESSED, or as it was before. libdw cannot decompress what has relocations yet.
            if file.sections.contains(where: {
                $0.name.hasPrefix(".zdebug_") || $0.name.hasPrefix(".debug_") && $0.flags & 0x800 != 0
            }) {
                throw refused("is compressed (-gz)", "Compile with -gz=none.")
            }
            // DWARF 5 has type units in further sections .debug_info, DWARF 4 in .debug_types.
            let units = file.sections.filter { $0.name == ".debug_info" }
            if units.count > 1 || file.section(named: ".debug_types") != nil {
                throw refused(
                    "has types in sections of their own (-fdebug-types-section)",
                    "Compile with -fno-debug-types-section.")
            }
            guard let found = ObjectDescriptions(of: file) else {
                throw refused("cannot be read", "Compile with -g, and install libdw (libdw1).")
            }
            switch found.gap {
            case .elsewhere: throw refused("is in another file (-gsplit-dwarf)", "Compile with -gno-split-dwarf.")
            case .linesOnly: throw refused("has only lines (-g1, -gline-tables-only)", "Compile with -g.")
            case nil: return found
            }
        }
        let (old, new) = (try descriptions(of: before), try descriptions(of: after))
        functions = (DescribedFunctions(of: before, old), DescribedFunctions(of: after, new))
        lines = (old.lines, new.lines)
        source = new.source
        constants = old.constants.intersection(new.constants)
        newConstants = new.constants
        types = (old.types, new.types)
        variables = (old.variables, new.variables)
    }

    /// What two closures capture.
    enum Captures {
        case same
        /// Something else of the same types, or the same under other names.
        case renamed
        case others
    }

    /// Compares what a closure of the baseline and a new one capture. What is not known counts as the same: their code is compared, too.
    /// - Parameter isOther: whether a type is another one than before, whatever its name.
    func captures(_ old: String, _ new: String, isOther: (String) -> Bool = { _ in false }) -> Captures {
        guard let before = functions.old.fingerprint(of: old)?.captures,
            let after = functions.new.fingerprint(of: new)?.captures
        else { return .same }
        if before.contains(where: { isOther($0.type) }) { return .others }
        if before == after { return .same }
        let isAlike =
            before.count == after.count
            && zip(before, after).allSatisfy { $0.type == $1.type && $0.isByReference == $1.isByReference }
        return isAlike ? .renamed : .others
    }

    /// What becomes of a closure of the baseline that has no successor.
    func kept(_ closure: String) -> KeptClosure {
        KeptClosure(
            name: Demangling.demangle(closure) ?? closure, before: functions.old.fingerprint(of: closure)?.captures,
            after: functions.new.fingerprint(of: closure).map { $0.captures ?? [] })
    }

    /// The functions that are called otherwise, and a sentence for each, without its full stop.
    /// - Parameters:
    ///   - opaque: functions of which is known already that they return another type.
    ///   - renamed: the name that something of the new object has in the old one. Closures are matched by what they capture.
    func functionChanges(
        opaque: Set<String>, renamed: (String) -> String
    ) -> [(function: String, reason: String)] {
        functions.new.names.compactMap { name -> (function: String, reason: String)? in
            // Where a task goes on is part of a function, of which it is told.
            if SymbolKind.owner(of: name) != nil { return nil }
            let former = renamed(name)
            if former == name, functions.new.describes(name, like: functions.old) { return nil }
            guard let before = functions.old.fingerprint(of: former), var after = functions.new.fingerprint(of: name)
            else { return nil }
            if opaque.contains(name) { after.result = before.result }
            if ClosureMatch.closureEnds(in: name).last == name.utf8.count { after.captures = before.captures }
            guard let what = after.difference(from: before) else { return nil }
            return (name, "\(Demangling.demangle(name) ?? name) \(what)")
        }.sorted { $0.function < $1.function }
    }

    /// Virtual functions that have come, or gone.
    struct Virtuals {
        var added: [String]
        var removed: [String]
    }

    /// A type of C or C++ that is laid out otherwise.
    struct TypeChange {
        /// As the debugging information has it.
        var name: String
        /// Where nothing else differs, the functions of which only one of the objects says that they are virtual.
        var virtuals: Virtuals?
        /// What differs: "'a: int at 0' added".
        var what: String

        /// A sentence without its full stop.
        var reason: String { "\(InterfaceComparison.text(ofType: name)): \(what)" }
    }

    func typeChanges() -> [TypeChange] {
        types.old.sorted { $0.key < $1.key }.compactMap { name, before in
            // What is made for lambdas has one name for several: `LambdaMatch` compares what those capture.
            if name.contains("<lambda") || name.contains("(lambda") { return nil }
            guard let after = types.new[name], after != before, !isExtended(before, after) else { return nil }
            return TypeChange(name: name, virtuals: Self.virtuals(before, after), what: change(before, after))
        }
    }

    private static func virtuals(_ before: [String], _ after: [String]) -> Virtuals? {
        let mark = "virtual "
        func isOnly(in facts: [String]) -> (String) -> Bool { { $0.hasPrefix(mark) && !facts.contains($0) } }
        let (removed, added) = (before.filter(isOnly(in: after)), after.filter(isOnly(in: before)))
        guard !removed.isEmpty || !added.isEmpty,
            before.filter({ !removed.contains($0) }) == after.filter({ !added.contains($0) })
        else { return nil }
        func names(_ facts: [String]) -> [String] { facts.map { String($0.dropFirst(mark.count)) } }
        return Virtuals(added: names(added), removed: names(removed))
    }

    /// A type of a function stands behind the function's name, which is mangled: `_Z4workv::Item`.
    private static func text(ofType name: String) -> String {
        let parts = name.split(separator: ":", maxSplits: 1).map(String.init)
        guard parts.count == 2, let function = Demangling.demangle(parts[0]) else {
            return Demangling.demangle(name) ?? name
        }
        return "\(function):\(parts[1])"
    }

    /// The variables of C and C++ that are of another type, and a sentence for each, likewise.
    func variableChanges() -> [(name: String, reason: String)] {
        variables.old.sorted { $0.key < $1.key }.compactMap { name, before in
            guard let after = variables.new[name], after.type != before.type, !(after.isInteger && before.isInteger)
            else { return nil }
            let types = "its type is '\(after.type)' instead of '\(before.type)'"
            return (name, "\(Demangling.demangle(name) ?? name): \(types)")
        }
    }

    /// What each variable of C and C++ is, with the layout of its type.
    var variableTypes: (old: [String: String], new: [String: String]) {
        func texts(
            _ variables: [String: ObjectDescriptions.Variable], _ types: [String: [String]]
        ) -> [String: String] {
            variables.mapValues { variable in
                let name = String(variable.type.prefix { $0 != "[" && $0 != "*" && $0 != "&" })
                return ([variable.isInteger ? "integer" : variable.type] + (types[name] ?? [])).joined(separator: "\n")
            }
        }
        return (texts(variables.old, types.old), texts(variables.new, types.new))
    }

    /// Whether an enumeration has got more constants, and nothing else has changed: what there was means what it meant.
    private func isExtended(_ before: [String], _ after: [String]) -> Bool {
        let constants = after.dropFirst()
        return before.first == after.first && before.allSatisfy(after.contains)
            && constants.allSatisfy { $0.contains(" = ") && !$0.contains(":") }
    }

    private func change(_ before: [String], _ after: [String]) -> String {
        func members(_ facts: [String]) -> [String] { facts.filter { !$0.hasSuffix(" bytes") } }
        if members(before) == members(after), let was = before.first, let now = after.first {
            return "its size changed from \(was) to \(now)"
        }
        if let added = after.first(where: { !before.contains($0) && !$0.hasSuffix(" bytes") }) {
            let name = added.prefix { $0 != ":" && $0 != "=" }
            let isKnown = before.contains { $0.hasPrefix(name) }
            return "'\(added)' \(isKnown ? "changed" : "added")"
        }
        if let removed = before.first(where: { !after.contains($0) }) { return "'\(removed)' removed" }
        return "its members are in another order"
    }
}
