import HotpatchELF
import HotpatchSymbols

/// What the name of a symbol says of how it may be bound.
///
/// It is asked of every name of an object: by bytes, for characters cost much more.
struct SymbolKind: Hashable, Sendable {
    /// It has no name that means anything: its contents count.
    var isAnonymous: Bool
    /// The compiler numbers it, or emits it where it is used: the same name may mean another thing after an edit.
    var isUnstable: Bool
    /// Part of a function that is entered by it alone: where a suspended task goes on.
    var isPart: Bool

    /// - Parameter inSwift: whether it is a name of an object of Swift. In C, functions are called `get_price`, and variables `keypath`.
    init(_ name: String, inSwift: Bool = true) { self = name.withBytes { Self($0, inSwift) } }

    private init(_ name: UnsafeRawBufferPointer, _ inSwift: Bool) {
        isAnonymous =
            name.isEmpty || Self.anonymous.contains { name.starts(with: $0) }
            || inSwift && Self.anonymousInSwift.contains { name.starts(with: $0) }
        let owner = Self.ownerCount(name)
        isPart = owner != nil
        guard name.starts(with: "$s") || name.starts(with: "$S") else {
            isUnstable = Self.unstableHelpers.contains { name.starts(with: $0) }
            return
        }
        // A part is as its function is.
        let name = UnsafeRawBufferPointer(rebasing: name.prefix(owner ?? name.count))
        isUnstable =
            Self.number(in: name) != nil || Self.unstable.contains { name.ends(with: $0) } || Self.isOutlined(name)
            || Self.isValueWitness(name)
    }

    private static let anonymous: [StaticString] = [".L", "GCC_except_table"]

    private static let anonymousInSwift: [StaticString] = [
        "symbolic ", "got.", "get_type_metadata ", "get_type_metadata_for_layout_string ",
        "get_enum_tag_for_layout_string ", "get_underlying_type_ref ", "get_underlying_witness ", "get_witness_table ",
        "associated conformance ", "keypath", "l__swift5_reflection_descriptor",
    ]

    private static let unstableHelpers: [StaticString] = ["__swift_", "__clang_"]

    /// Partial applications, reabstraction thunks, once-functions, lazy accessors, key-path accessors and helpers, merged functions, and
    /// records of the first two (swift/docs/ABI/Mangling.rst).
    private static let unstable: [StaticString] = ["TA", "TR", "Tr", "WZ", "Wl", "TK", "Tk", "TATu", "TRTu", "Tm"]

    /// An outlined copy of a compiler's operation on a value: `WOh`, `WOe`, ….
    private static func isOutlined(_ name: UnsafeRawBufferPointer) -> Bool {
        name.count > 3 && name.starts(with: "WO", at: name.count - 3)
    }

    /// A function of a value witness table.
    private static func isValueWitness(_ name: UnsafeRawBufferPointer) -> Bool {
        name.count > 3 && name[name.count - 3] == UInt8(ascii: "w") && valueWitnesses.contains { name.ends(with: $0) }
    }

    private static let valueWitnesses: [StaticString] = [
        "al", "ca", "ta", "de", "xx", "XX", "Xx", "CP", "Cp", "cp", "Tk", "tk", "pr", "TK", "Cc", "Tt", "tT", "xs",
        "xg", "ug", "up", "ui", "et", "st",
    ]

    /// Without the number that LLVM puts behind a name that it has used before; also where it is the function's, of a part or a record of
    /// which this is the name.
    static func withoutNumber(_ name: String) -> String {
        name.withBytes { bytes in
            guard let number = number(in: bytes) else { return name }
            return String(decoding: bytes[..<number.lowerBound], as: UTF8.self)
                + String(decoding: bytes[number.upperBound...], as: UTF8.self)
        }
    }

    /// Whether `withoutNumber` is another name.
    static func hasNumber(_ name: String) -> Bool { name.withBytes { number(in: $0) != nil } }

    /// Where that number is, with the point before it.
    private static func number(in name: UnsafeRawBufferPointer) -> Range<Int>? {
        guard let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > 0 else { return nil }
        var end = dot + 1
        while end < name.count, isDigit(name[end]) { end += 1 }
        let isResumed = dot >= 7 && name.starts(with: ".resume", at: dot - 7)
        guard end > dot + 1, !isResumed else { return nil }
        let rest = name.count - end
        if rest >= 3, name.starts(with: "TY", at: end) || name.starts(with: "TQ", at: end),
            name[name.count - 1] == UInt8(ascii: "_")
        {
            return name[(end + 2)..<(name.count - 1)].allSatisfy(isDigit) ? dot..<end : nil
        }
        return rest == 0 || rest == 2 && name.starts(with: "Tu", at: end) ? dot..<end : nil
    }

    /// The function that a part belongs to: an async function that goes on after an await (`TY0_`, `TQ1_`), a coroutine that is resumed.
    static func owner(of name: String) -> String? {
        name.withBytes { bytes in
            ownerCount(bytes).map { String(decoding: bytes.prefix($0), as: UTF8.self) }
        }
    }

    /// How many bytes of a part's name are its function's.
    private static func ownerCount(_ name: UnsafeRawBufferPointer) -> Int? {
        var dot = name.count - ".resume.".utf8.count
        while dot >= 0 {
            if name[dot] == UInt8(ascii: "."), name.starts(with: ".resume.", at: dot) { return dot }
            dot -= 1
        }
        guard name.last == UInt8(ascii: "_") else { return nil }
        var start = name.count - 1
        while start > 0, isDigit(name[start - 1]) { start -= 1 }
        guard start < name.count - 1, start >= 2, name[start - 2] == UInt8(ascii: "T") else { return nil }
        return name[start - 1] == UInt8(ascii: "Y") || name[start - 1] == UInt8(ascii: "Q") ? start - 2 : nil
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
}

extension UnsafeRawBufferPointer {
    fileprivate func ends(with suffix: StaticString) -> Bool {
        starts(with: suffix, at: count - suffix.utf8CodeUnitCount)
    }
}
