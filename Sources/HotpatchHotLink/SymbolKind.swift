/// What the name of a symbol says of how it may be bound.
struct SymbolKind: Hashable, Sendable {
    /// It has no name that means anything: its contents count.
    var isAnonymous: Bool
    /// The compiler numbers it, or emits it where it is used: the same name may mean another thing after an edit.
    var isUnstable: Bool
    /// Part of a function that is entered by it alone: where a suspended task goes on.
    var isPart: Bool

    init(_ name: String) {
        isAnonymous = name.isEmpty || name.hasPrefix(".L") || name.hasPrefix("symbolic ") || name.hasPrefix("got.")
            || name.hasPrefix("get_") || name.hasPrefix("associated conformance ") || name.hasPrefix("keypath")
        isPart = Self.owner(of: name) != nil
        let isSwift = name.hasPrefix("$s") || name.hasPrefix("$S")
        guard isSwift else {
            isUnstable = name.hasPrefix("__swift_") || name.hasPrefix("GCC_except_table") || name.hasPrefix("__clang_")
            return
        }
        let base = Self.withoutNumber(name)
        isUnstable =
            Self.unstable.contains { base.hasSuffix($0) } || Self.isValueFunction(base) || name != base
            || base.contains("WO")
    }

    /// Partial applications, reabstraction thunks, outlined copies, lazy accessors, key-path accessors, once-functions.
    private static let unstable = ["TA", "TR", "TRTA", "Tr", "WZ", "Wl", "WL", "TK", "Tk", "TATu", "TRTu", "Tm", "MXX", "MXM", "MXE"]

    /// A witness of a value witness table, as `wet`, `wst`, `wCP`.
    private static func isValueFunction(_ name: String) -> Bool {
        let end = name.suffix(3)
        return end.count == 3 && end.first == "w"
    }

    /// Without the number that LLVM puts behind a name that it has used before.
    static func withoutNumber(_ name: String) -> String {
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return name }
        let number = name[name.index(after: dot)...]
        return !number.isEmpty && number.allSatisfy(\.isNumber) && !name.hasSuffix(".resume.\(number)")
            ? String(name[..<dot]) : name
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
