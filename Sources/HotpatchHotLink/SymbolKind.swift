/// What the name of a symbol says of how it may be bound.
struct SymbolKind: Hashable, Sendable {
    /// It has no name that means anything: its contents count.
    var isAnonymous: Bool
    /// The compiler numbers it, or emits it where it is used: the same name may mean another thing after an edit.
    var isUnstable: Bool
    /// Part of a function that is entered by it alone: where a suspended task goes on.
    var isPart: Bool

    init(_ name: String) {
        isAnonymous =
            name.isEmpty || name.hasPrefix(".L") || name.hasPrefix("symbolic ") || name.hasPrefix("got.")
            || name.hasPrefix("get_") || name.hasPrefix("associated conformance ") || name.hasPrefix("keypath")
            || name.hasPrefix("l__swift5_reflection_descriptor")
        let owner = Self.owner(of: name)
        isPart = owner != nil
        let isSwift = name.hasPrefix("$s") || name.hasPrefix("$S")
        guard isSwift else {
            isUnstable = name.hasPrefix("__swift_") || name.hasPrefix("GCC_except_table") || name.hasPrefix("__clang_")
            return
        }
        // A part is as its function is.
        let name = owner ?? name
        let base = Self.withoutNumber(name)
        isUnstable =
            name != base || Self.unstable.contains { base.hasSuffix($0) } || Self.isOutlined(base)
            || Self.isValueWitness(base)
    }

    /// Partial applications, reabstraction thunks, once-functions, lazy accessors, key-path accessors and helpers, merged functions, and
    /// records of the first two (swift/docs/ABI/Mangling.rst).
    private static let unstable = ["TA", "TR", "Tr", "WZ", "Wl", "TK", "Tk", "TATu", "TRTu", "Tm"]

    /// An outlined copy of a compiler's operation on a value: `WOh`, `WOe`, ….
    private static func isOutlined(_ name: String) -> Bool { name.utf8.count > 3 && name.dropLast().hasSuffix("WO") }

    /// A function of a value witness table.
    private static func isValueWitness(_ name: String) -> Bool {
        guard let witness = name.utf8.count > 3 ? name.suffix(3) : nil, witness.first == "w" else { return false }
        return valueWitnesses.contains(String(witness.dropFirst()))
    }

    private static let valueWitnesses: Set<String> = [
        "al", "ca", "ta", "de", "xx", "XX", "Xx", "CP", "Cp", "cp", "Tk", "tk", "pr", "TK", "Cc", "Tt", "tT", "xs",
        "xg", "ug", "up",
        "ui", "et", "st",
    ]

    /// Without the number that LLVM puts behind a name that it has used before; also where it is the function's, of a part or a record of
    /// which this is the name.
    static func withoutNumber(_ name: String) -> String {
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return name }
        let behind = name[name.index(after: dot)...]
        let number = behind.prefix { $0.isNumber }
        guard !number.isEmpty, !name[..<dot].hasSuffix(".resume") else { return name }
        var rest = behind.dropFirst(number.count)
        if rest.hasPrefix("TY") || rest.hasPrefix("TQ"), rest.last == "_" {
            rest = rest.dropFirst(2).dropLast()
            return rest.allSatisfy(\.isNumber) ? String(name[..<dot] + behind.dropFirst(number.count)) : name
        }
        return rest.isEmpty || rest == "Tu" ? String(name[..<dot] + rest) : name
    }

    /// The function that a part belongs to: an async function that goes on after an await (`TY0_`, `TQ1_`), a coroutine that is resumed.
    static func owner(of name: String) -> String? {
        if let range = lastRange(of: ".resume.", in: name) { return String(name[..<range]) }
        guard name.hasSuffix("_") else { return nil }
        let digits = name.dropLast().reversed().prefix { $0.isNumber }.count
        guard digits > 0 else { return nil }
        let rest = name.dropLast(1 + digits)
        return rest.hasSuffix("TY") || rest.hasSuffix("TQ") ? String(rest.dropLast(2)) : nil
    }

    private static func lastRange(of text: String, in name: String) -> String.Index? {
        guard name.utf8.count > text.utf8.count else { return nil }
        var index = name.endIndex
        while index > name.startIndex {
            index = name.index(before: index)
            if name[index] == ".", name[index...].hasPrefix(text) { return index }
        }
        return nil
    }
}
