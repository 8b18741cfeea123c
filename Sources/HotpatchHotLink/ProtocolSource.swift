/// A protocol as its source has it: what it requires, by the names, in order.
///
/// An object tells how many requirements a protocol has, and not which: only conformances do, and they may be other files'.
struct ProtocolSource {
    /// Of functions, properties, initialisers and subscripts, without parameters.
    let requirements: [String]

    /// - Returns: nil where the source has no such protocol, or several, or where what it requires depends on conditions (`#if`).
    init?(named name: String, in source: [UInt8]) {
        let words = Self.words(source)
        let starts = words.indices.filter { index in
            words[index] == "protocol" && index + 1 < words.count && words[index + 1] == name
        }
        guard starts.count == 1, let body = words[starts[0]...].firstIndex(of: "{") else { return nil }
        var depth = 0
        var names: [String] = []
        var index = body
        loop: while index < words.count {
            switch words[index] {
            case "{", "(", "[": depth += 1
            case "}", ")", "]":
                depth -= 1
                if depth == 0 { break loop }
            case "#": return nil
            case "func",
                "var" where depth == 1:
                guard index + 1 < words.count else { return nil }
                index += 1
                names.append(words[index])
            case "init" where depth == 1, "subscript" where depth == 1: names.append(words[index])
            default: break
            }
            index += 1
        }
        guard depth == 0 else { return nil }
        requirements = names
    }

    /// Identifiers, operators and brackets; nothing of comments and texts.
    private static func words(_ text: [UInt8]) -> [String] {
        var words: [String] = []
        var position = 0
        func starts(_ word: StaticString) -> Bool {
            text[position...].starts(with: UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
        }
        func skip(to end: StaticString) {
            while position < text.count, !starts(end) {
                position += text[position] == UInt8(ascii: "\\") ? 2 : 1
            }
            position += end.utf8CodeUnitCount
        }
        func isOperator(_ byte: UInt8) -> Bool { "+-*/%<>=!&|^~?.".utf8.contains(byte) }
        while position < text.count {
            let byte = text[position]
            if starts("//") {
                while position < text.count, text[position] != 10 { position += 1 }
            } else if starts("/*") {
                var depth = 0
                repeat {
                    if starts("/*") { depth += 1 } else if starts("*/") { depth -= 1 }
                    position += starts("/*") || starts("*/") ? 2 : 1
                } while depth > 0 && position < text.count
            } else if starts("\"\"\"") {
                position += 3
                skip(to: "\"\"\"")
            } else if byte == UInt8(ascii: "\"") {
                position += 1
                skip(to: "\"")
            } else if isIdentifier(byte) {
                let start = position
                while position < text.count, isIdentifier(text[position]) { position += 1 }
                words.append(String(decoding: text[start..<position], as: UTF8.self))
            } else if isOperator(byte) {
                let start = position
                while position < text.count, isOperator(text[position]), !starts("//"), !starts("/*") { position += 1 }
                words.append(String(decoding: text[start..<position], as: UTF8.self))
            } else {
                // What a name stands between, where it is a word of the language.
                if byte > 32, byte != UInt8(ascii: "`") { words.append(String(UnicodeScalar(byte))) }
                position += 1
            }
        }
        return words
    }

    private static func isIdentifier(_ byte: UInt8) -> Bool {
        byte >= 0x80 || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "$") || (0x30...0x39).contains(byte)
            || (0x61...0x7A).contains(byte | 0x20)
    }
}
