/// A closure that an edit has no successor of: where it is stored, its old code stays.
struct KeptClosure: CustomStringConvertible {
    /// As a demangler has it: `closure #1 () -> Swift.String in Shop.makeRoutes(Shop.Cart) -> [Shop.Route]`.
    var name: String
    /// What it has captured; nil where that is not known.
    var before: [Fingerprint.Capture]?
    /// What the closure of its number captures now; nil where there is none.
    var after: [Fingerprint.Capture]?

    /// "closure #1 in makeRoutes now captures cart: kept as it was where it is stored, until makeRoutes runs again"
    var description: String {
        let parts = Self.contexts(of: name)
        guard parts.count > 1 else {
            return "\(name) \(change): kept as it was where it is stored, until what makes it runs again"
        }
        let closures = parts.dropLast().map { $0.split(separator: " ").prefix(2).joined(separator: " ") }
        let function = Self.short(parts[parts.count - 1])
        return
            "\((closures + [function]).joined(separator: " in ")) \(change): kept as it was where it is stored, until "
            + "\(function) runs again"
    }

    private var change: String {
        func names(_ captures: [Fingerprint.Capture]) -> [String] { captures.map(\.name).filter { !$0.isEmpty } }
        guard let after else { return "is gone" }
        guard let before, before != after else { return "is another one now" }
        let (old, new) = (names(before), names(after))
        let added = new.filter { !old.contains($0) }
        if !added.isEmpty { return "now captures \(added.joined(separator: ", "))" }
        let gone = old.filter { !new.contains($0) }
        return gone.isEmpty ? "captures otherwise" : "no longer captures \(gone.joined(separator: ", "))"
    }

    /// The closure, what it is in, and so on. ` in ` stands inside parentheses, too: `(Shelf in _1A2B)` is a private type.
    static func contexts(of name: String) -> [String] {
        var parts: [[UInt8]] = [[]]
        var depth = 0
        let bytes = Array(name.utf8)
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "("), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: ")"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: " ") where depth == 0 && bytes[index...].starts(with: " in ".utf8):
                parts.append([])
                index += 4
                continue
            default: break
            }
            parts[parts.count - 1].append(bytes[index])
            index += 1
        }
        return parts.map { String(decoding: $0, as: UTF8.self) }
    }

    /// A function as its author calls it: without its module, its types, and the files of private ones.
    static func short(_ function: String) -> String {
        var text = ""
        var rest = Substring(function)
        // `(extension in Shop):Swift.Array.every(…)`
        for word in ["", "static "] where rest.hasPrefix(word + "(extension in ") {
            guard let end = rest.firstIndex(of: ":") else { break }
            (text, rest) = (word, rest[rest.index(after: end)...])
        }
        // `Shop.(Shelf in _1A2B).fill(…)`
        while let open = rest.firstIndex(of: "("), open == rest.startIndex || rest[rest.index(before: open)] == ".",
            let close = rest[open...].firstIndex(of: ")")
        {
            text += rest[..<open] + rest[rest.index(after: open)..<close].prefix { $0 != " " }
            rest = rest[rest.index(after: close)...]
        }
        text += rest.prefix { $0 != "(" && $0 != "<" && $0 != ":" }
        while text.last == " " { text.removeLast() }
        var words = text.split(separator: " ").map(String.init)
        guard let last = words.last, let dot = last.firstIndex(of: "."), dot != last.startIndex,
            last.index(after: dot) != last.endIndex
        else { return text.isEmpty ? function : text }
        words[words.count - 1] = String(last[last.index(after: dot)...])
        return words.joined(separator: " ")
    }
}
