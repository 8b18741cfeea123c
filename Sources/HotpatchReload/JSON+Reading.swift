/// Why bytes are not a JSON value.
package struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// In bytes, from the start of the text.
    package var offset: Int
    package var what: String

    package var description: String { "not JSON at byte \(offset): \(what)." }
}

extension JSON {
    /// Reads one value, and nothing behind it (RFC 8259).
    ///
    /// Where two members have one name, `subscript` gives the first. Half of a surrogate pair becomes U+FFFD.
    /// - Parameter depth: how deeply arrays and objects may be nested.
    /// - Throws: `JSONError`.
    package init(reading text: [UInt8], depth: Int = 128) throws(JSONError) {
        let result = text.withUnsafeBufferPointer { text -> Result<JSON, JSONError> in
            var reader = JSONReader(text: text)
            do throws(JSONError) { return .success(try reader.document(depth: depth)) } catch { return .failure(error) }
        }
        self = try result.get()
    }

    package init(reading text: String) throws(JSONError) { try self.init(reading: Array(text.utf8)) }

    /// The member of an object; nil where there is none, or where this is no object.
    package subscript(name: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    package var string: String? {
        guard case .string(let string) = self else { return nil }
        return string
    }

    package var bool: Bool? {
        guard case .bool(let bool) = self else { return nil }
        return bool
    }

    package var array: [JSON]? {
        guard case .array(let values) = self else { return nil }
        return values
    }

    package var members: [Member]? {
        guard case .object(let members) = self else { return nil }
        return members
    }

    /// The strings of an array of strings; nil where it is something else.
    package var strings: [String]? {
        guard let array else { return nil }
        let strings = array.compactMap(\.string)
        return strings.count == array.count ? strings : nil
    }
}

private struct JSONReader {
    let text: UnsafeBufferPointer<UInt8>
    var position = 0

    mutating func document(depth: Int) throws(JSONError) -> JSON {
        skipSpace()
        let value = try value(depth)
        skipSpace()
        guard position == text.count else { throw error("something follows the value") }
        return value
    }

    private var next: UInt8? { position < text.count ? text[position] : nil }

    private func error(_ what: String) -> JSONError { JSONError(offset: position, what: what) }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    /// Takes a byte where it is the next one.
    private mutating func take(_ byte: Character) -> Bool {
        guard next == byte.asciiValue else { return false }
        position += 1
        return true
    }

    private mutating func value(_ depth: Int) throws(JSONError) -> JSON {
        switch next {
        case nil: throw error("it ends where a value is expected")
        case UInt8(ascii: "{"): return try object(depth)
        case UInt8(ascii: "["): return try array(depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSON) throws(JSONError) -> JSON {
        for offset in 0..<word.utf8CodeUnitCount {
            guard next == word.utf8Start[offset] else { throw error("no value begins like this") }
            position += 1
        }
        return value
    }

    private mutating func array(_ depth: Int) throws(JSONError) -> JSON {
        guard depth > 0 else { throw error("it is nested too deeply") }
        position += 1
        skipSpace()
        var values: [JSON] = []
        if take("]") { return .array(values) }
        while true {
            skipSpace()
            values.append(try value(depth - 1))
            skipSpace()
            if take("]") { return .array(values) }
            guard take(",") else { throw error("a comma or the end of the array is expected") }
        }
    }

    private mutating func object(_ depth: Int) throws(JSONError) -> JSON {
        guard depth > 0 else { throw error("it is nested too deeply") }
        position += 1
        skipSpace()
        var members: [JSON.Member] = []
        if take("}") { return .object(members) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw error("the name of a member is expected") }
            let name = try string()
            skipSpace()
            guard take(":") else { throw error("a colon is expected") }
            skipSpace()
            members.append(JSON.Member(name: name, value: try value(depth - 1)))
            skipSpace()
            if take("}") { return .object(members) }
            guard take(",") else { throw error("a comma or the end of the object is expected") }
        }
    }

    private mutating func number() throws(JSONError) -> JSON {
        let start = position
        var isWhole = true
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") {
            isWhole = false
            try digits()
        }
        if take("e") || take("E") {
            isWhole = false
            if !take("+") { _ = take("-") }
            try digits()
        }
        let digits = String(decoding: text[start..<position], as: UTF8.self)
        if isWhole, let number = Int(digits) { return .number(number) }
        guard let number = Double(digits), number.isFinite else {
            position = start
            throw error("no number is that large")
        }
        return .real(number)
    }

    private mutating func digits() throws(JSONError) {
        let start = position
        while let byte = next, byte >= 0x30, byte <= 0x39 { position += 1 }
        guard position > start else {
            throw error(start == text.count ? "a digit is expected" : "no value begins like this")
        }
    }

    private mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
        if next == UInt8(ascii: "\"") {
            position += 1
            return String(decoding: text[start..<position - 1], as: UTF8.self)
        }
        var bytes = Array(text[start..<position])
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: bytes, as: UTF8.self)
            case UInt8(ascii: "\\"): try escape(&bytes)
            case 0x20...: bytes.append(byte)
            default:
                position -= 1
                throw error("a control character in a string")
            }
        }
        throw error("a string has no end")
    }

    private mutating func escape(_ bytes: inout [UInt8]) throws(JSONError) {
        guard let byte = next else { throw error("a string has no end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(byte)
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0c)
        case UInt8(ascii: "n"): bytes.append(0x0a)
        case UInt8(ascii: "r"): bytes.append(0x0d)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "u"):
            var unit = try fourDigits()
            if unit & 0xfc00 == 0xd800, next == UInt8(ascii: "\\"), position + 1 < text.count,
                text[position + 1] == UInt8(ascii: "u")
            {
                let before = position
                position += 2
                let second = try fourDigits()
                if second & 0xfc00 == 0xdc00 {
                    unit = 0x10000 + (unit & 0x3ff) << 10 + second & 0x3ff
                } else {
                    position = before
                }
            }
            bytes += Array(String(Unicode.Scalar(unit) ?? "\u{fffd}").utf8)
        default:
            position -= 1
            throw error("no escape is written like this")
        }
    }

    private mutating func fourDigits() throws(JSONError) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw error("four hexadecimal digits are expected")
            }
            unit = unit << 4 | UInt32(digit)
            position += 1
        }
        return unit
    }
}
