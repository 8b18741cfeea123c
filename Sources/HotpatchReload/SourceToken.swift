/// Where a token of Swift ends. The compiler tells where tokens begin, and of a range where its last one does.
struct SourceToken {
    let text: [UInt8]

    /// - Returns: nil for what no declaration of a property ends with, or where the text ends in it.
    func end(from start: Int) -> Int? {
        guard text.indices.contains(start) else { return nil }
        switch text[start] {
        case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: "?"), UInt8(ascii: "!"),
            UInt8(ascii: ">"):
            return start + 1
        case UInt8(ascii: "\""), UInt8(ascii: "#"): return endOfString(from: start)
        case UInt8(ascii: "`"): return text[(start + 1)...].firstIndex(of: UInt8(ascii: "`")).map { $0 + 1 }
        case let byte where Self.isDigit(byte): return endOfNumber(from: start)
        case let byte where Self.isIdentifier(byte): return endOfIdentifier(from: start)
        default: return nil
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    private static func isIdentifier(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte >= 0x80 || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "$")
            || (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
    }

    private func endOfIdentifier(from start: Int) -> Int {
        text[start...].firstIndex { !Self.isIdentifier($0) } ?? text.endIndex
    }

    /// `1_000`, `0xff`, `1.5e-3`.
    private func endOfNumber(from start: Int) -> Int {
        let isHexadecimal = text[start...].starts(with: Array("0x".utf8))
        let exponents =
            isHexadecimal ? [UInt8(ascii: "p"), UInt8(ascii: "P")] : [UInt8(ascii: "e"), UInt8(ascii: "E")]
        var end = start
        while end < text.count {
            let next = end + 1 < text.count ? text[end + 1] : 0
            let isPoint = text[end] == UInt8(ascii: ".") && Self.isDigit(next)
            let isSign =
                (text[end] == UInt8(ascii: "-") || text[end] == UInt8(ascii: "+"))
                && exponents.contains(text[end - 1]) && Self.isDigit(next)
            guard Self.isIdentifier(text[end]) || isPoint || isSign else { break }
            end += 1
        }
        return end
    }

    /// With the signs that a raw string has around it; nil for `#file` and what else begins like one.
    private func endOfString(from start: Int) -> Int? {
        let signs = text[start...].prefix { $0 == UInt8(ascii: "#") }.count
        var position = start + signs
        let quote = [UInt8(ascii: "\"")]
        let isLong = text[position...].starts(with: quote + quote + quote)
        guard isLong || text[position...].starts(with: quote) else { return signs == 1 ? endOfWord(start) : nil }
        let hashes = [UInt8](repeating: UInt8(ascii: "#"), count: signs)
        let closing = (isLong ? quote + quote + quote : quote) + hashes
        position += isLong ? 3 : 1
        while position < text.count {
            if text[position...].starts(with: closing) { return position + closing.count }
            guard text[position...].starts(with: [UInt8(ascii: "\\")] + hashes) else {
                position += 1
                continue
            }
            position += 1 + signs
            if position < text.count, text[position] == UInt8(ascii: "(") {
                guard let end = endOfInterpolation(from: position) else { return nil }
                position = end
            } else {
                position += 1
            }
        }
        return nil
    }

    /// `#line` and its like.
    private func endOfWord(_ start: Int) -> Int? {
        let end = endOfIdentifier(from: start + 1)
        return end > start + 1 ? end : nil
    }

    private func endOfInterpolation(from start: Int) -> Int? {
        var (position, depth) = (start, 0)
        while position < text.count {
            switch text[position] {
            case UInt8(ascii: "("): depth += 1
            case UInt8(ascii: ")"):
                depth -= 1
                if depth == 0 { return position + 1 }
            case UInt8(ascii: "\""), UInt8(ascii: "#"):
                guard let end = endOfString(from: position) else { return nil }
                position = end
                continue
            default: break
            }
            position += 1
        }
        return nil
    }

    /// The next place of a byte, outside of comments.
    func first(_ byte: UInt8, from start: Int) -> Int? {
        var position = start
        while position < text.count, text[position] != byte {
            if text[position...].starts(with: Array("//".utf8)) {
                position = text[position...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
            } else if text[position...].starts(with: Array("/*".utf8)) {
                position = endOfComment(from: position)
            } else {
                position += 1
            }
        }
        return position < text.count ? position : nil
    }

    /// Only comments stand there.
    func isBlank(_ range: Range<Int>) -> Bool {
        var position = range.lowerBound
        while position < range.upperBound {
            if text[position...].starts(with: Array("//".utf8)) {
                position = text[position...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
            } else if text[position...].starts(with: Array("/*".utf8)) {
                position = endOfComment(from: position)
            } else if [UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r")].contains(
                text[position])
            {
                position += 1
            } else {
                return false
            }
        }
        return true
    }

    /// Comments nest.
    private func endOfComment(from start: Int) -> Int {
        var (position, depth) = (start, 0)
        repeat {
            if text[position...].starts(with: Array("/*".utf8)) {
                depth += 1
                position += 2
            } else if text[position...].starts(with: Array("*/".utf8)) {
                depth -= 1
                position += 2
            } else {
                position += 1
            }
        } while depth > 0 && position < text.count
        return position
    }
}
