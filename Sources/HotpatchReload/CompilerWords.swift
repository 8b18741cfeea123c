/// Command lines as text, in the quoting of the shell (POSIX.1-2024, XCU 2.2): nothing is expanded.
enum CompilerWords {
    /// The words of a line; nil where a quotation has no end.
    static func split(_ line: Substring) -> [String]? {
        var words: [String] = []
        var word: [UInt8] = []
        var isWord = false
        var bytes = line.utf8.makeIterator()
        while let byte = bytes.next() {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                if isWord { words.append(String(decoding: word, as: UTF8.self)) }
                word.removeAll(keepingCapacity: true)
                isWord = false
            case UInt8(ascii: "'"):
                isWord = true
                while true {
                    guard let byte = bytes.next() else { return nil }
                    if byte == UInt8(ascii: "'") { break }
                    word.append(byte)
                }
            case UInt8(ascii: "\""):
                isWord = true
                while true {
                    guard var byte = bytes.next() else { return nil }
                    if byte == UInt8(ascii: "\"") { break }
                    if byte == UInt8(ascii: "\\") {
                        guard let escaped = bytes.next() else { return nil }
                        if !#"\"$`"#.utf8.contains(escaped) { word.append(byte) }
                        byte = escaped
                    }
                    word.append(byte)
                }
            case UInt8(ascii: "\\"):
                guard let byte = bytes.next() else { return nil }
                isWord = true
                word.append(byte)
            default:
                isWord = true
                word.append(byte)
            }
        }
        if isWord { words.append(String(decoding: word, as: UTF8.self)) }
        return words
    }
}
