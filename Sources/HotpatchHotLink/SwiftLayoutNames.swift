import HotpatchSymbols

/// Names as they stand in the source: without the module that they are in, and the standard library's.
enum SwiftLayoutNames {
    /// What a mangled name means, without a description in front of it.
    /// - Parameter other: a name of a module that is left out, too.
    static func text(_ mangled: String, without description: String = "", in other: String = "") -> String {
        let text = Demangling.demangle(mangled) ?? mangled
        return tidy(
            text.hasPrefix(description) ? String(text.dropFirst(description.count)) : text,
            modules: Set([module(mangled), module(other)].compactMap(\.self)))
    }

    /// A type, by the name of its descriptor (`…Mn`), or of what else belongs to it.
    static func type(_ base: String) -> String { text(base + "Mn", without: "nominal type descriptor for ") }

    /// A protocol, by the name of its descriptor (`…Mp`).
    static func `protocol`(_ name: String) -> String { text(name, without: "protocol descriptor for ") }

    /// What a field's type is in the source, from the name of its mangled form, in which each `_____` stands for one of the names behind
    /// it. Nil where that cannot be told: names that are left out count for what refers back to them.
    static func type(ofReference reference: String) -> String? {
        guard reference.hasPrefix("symbolic ") else { return nil }
        var words = reference.dropFirst("symbolic ".count).split(separator: " ")[...]
        guard let pattern = words.popFirst() else { return nil }
        var (mangled, operators) = ("", "")
        var rest = pattern
        while let start = placeholder(in: rest) {
            guard let word = words.popFirst() else { return nil }
            mangled += rest[..<start] + word
            operators += rest[..<start]
            rest = rest[rest.index(start, offsetBy: 5)...]
        }
        mangled += rest
        operators += rest
        guard words.isEmpty, rest.count == pattern.count || !operators.contains("A") && !operators.contains("0") else {
            return nil
        }
        guard let text = Demangling.demangle("$s" + mangled + "D") else { return nil }
        return tidy(text, modules: Set(reference.split(separator: " ").compactMap { module("$s" + $0) }))
    }

    private static func placeholder(in text: Substring) -> Substring.Index? {
        var index = text.startIndex
        while index < text.endIndex {
            if text[index...].hasPrefix("_____") { return index }
            index = text.index(after: index)
        }
        return nil
    }

    /// A member of a type, as "method 'reset()'", from the name of its function; and the member's own name.
    static func member(_ function: String, of type: String) -> (text: String, name: String) {
        // A slot holds the record of an async function (`Tu`).
        let function = function.hasSuffix("Tu") ? String(function.dropLast(2)) : function
        return member(ofText: text(function, without: "method descriptor for "), of: type)
    }

    static func member(ofText written: String, of type: String) -> (text: String, name: String) {
        var text = written
        if text.hasPrefix("static ") { text.removeFirst("static ".count) }
        if text.hasPrefix(type + ".") { text.removeFirst(type.count + 1) }
        for (ending, word) in accessors {
            guard let range = firstRange(of: ending, in: text) else { continue }
            let name = String(text[..<range])
            return ("\(word) of '\(name)'", name)
        }
        if let arrow = firstRange(of: " -> ", in: text, outsideOfBrackets: true) { text = String(text[..<arrow]) }
        for effect in [" throws", " async"] where text.hasSuffix(effect) { text.removeLast(effect.count) }
        if text.hasPrefix("__allocating_init") { text.removeFirst("__allocating_".count) }
        return ((text.hasPrefix("init") ? "initialiser" : "method") + " '\(text)'", text)
    }

    private static let accessors = [
        (".getter : ", "getter"), (".setter : ", "setter"), (".modify : ", "modify accessor"),
        (".read : ", "read accessor"),
        (".modify2 : ", "modify accessor"), (".read2 : ", "read accessor"),
    ]

    /// A field's name; for the storage of a lazy property, the property's.
    static func field(_ name: String) -> String {
        name.hasPrefix("$__lazy_storage_$_") ? String(name.dropFirst("$__lazy_storage_$_".count)) : name
    }

    // MARK: Text

    /// The first component of a mangled name, which is the module's.
    private static func module(_ mangled: String) -> String? {
        guard mangled.hasPrefix("$s") || mangled.hasPrefix("$S") else { return nil }
        let rest = mangled.dropFirst(2)
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        guard let count = Int(digits), count > 0, digits.count < 4 else { return nil }
        return String(rest.dropFirst(digits.count).prefix(count))
    }

    /// A type as a demangler writes it, without its module.
    static func tidied(_ type: String) -> String {
        tidy(type, modules: Set(type.split(separator: ".").prefix(1).map(String.init)))
    }

    private static func tidy(_ text: String, modules: Set<String>) -> String {
        var result = withoutDiscriminators(Array(text.utf8))
        for name in modules.union(["Swift"]) { result = removing(Array((name + ".").utf8), from: result) }
        return String(decoding: result, as: UTF8.self)
    }

    /// Removes a prefix of names, not what only ends like it.
    private static func removing(_ prefix: [UInt8], from text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var index = 0
        while index < text.count {
            let isStart = result.last.map { !isIdentifier($0) && $0 != UInt8(ascii: ".") } ?? true
            if isStart, text[index...].starts(with: prefix) {
                index += prefix.count
            } else {
                result.append(text[index])
                index += 1
            }
        }
        return result
    }

    private static func isIdentifier(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || byte == UInt8(ascii: "$") || byte >= 0x80
            || (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
            || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
    }

    /// `(name in _17BDE78E…)` is `name`.
    private static func withoutDiscriminators(_ text: [UInt8]) -> [UInt8] {
        let mark = Array(" in _".utf8)
        var result: [UInt8] = []
        var index = 0
        while index < text.count {
            if text[index...].starts(with: mark) {
                let digits = text[(index + mark.count)...].prefix {
                    $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9")
                        || $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "F")
                }
                let end = digits.endIndex
                let open = result.lastIndex { !isIdentifier($0) }
                if digits.count == 32, end < text.count, text[end] == UInt8(ascii: ")"), let open,
                    result[open] == UInt8(ascii: "(")
                {
                    result.remove(at: open)
                    index = end + 1
                    continue
                }
            }
            result.append(text[index])
            index += 1
        }
        return result
    }

    static func firstRange(of part: String, in text: String, outsideOfBrackets: Bool = false) -> String.Index? {
        var (index, depth) = (text.startIndex, 0)
        while index < text.endIndex {
            if !outsideOfBrackets || depth == 0, text[index...].hasPrefix(part) { return index }
            switch text[index] {
            case "(", "[": depth += 1
            case ")", "]": depth -= 1
            default: break
            }
            index = text.index(after: index)
        }
        return nil
    }
}
