/// JSON, read by the tests' own rules: what the command prints must be JSON to others.
enum Parsed: Equatable {
    case string(String)
    case number(Int)
    case bool(Bool)
    case null
    case array([Parsed])
    case object([String: Parsed])
    /// Not JSON, or more than one line of it.
    case invalid(String)

    init(_ text: String) {
        var reader = Reader(bytes: Array(text.utf8))
        if let value = reader.value(), reader.rest == [10] { self = value } else { self = .invalid(text) }
    }

    subscript(name: String) -> Parsed {
        if case .object(let members) = self { members[name] ?? .invalid("no \(name)") } else { .invalid("no object") }
    }

    subscript(index: Int) -> Parsed {
        if case .array(let values) = self, values.indices.contains(index) {
            values[index]
        } else {
            .invalid("no element \(index)")
        }
    }

    var count: Int? {
        if case .array(let values) = self { values.count } else { nil }
    }

    var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    var number: Int? {
        if case .number(let number) = self { number } else { nil }
    }

    private struct Reader {
        var bytes: [UInt8]
        var position = 0

        var rest: [UInt8] { Array(bytes[position...]) }

        mutating func take(_ text: String) -> Bool {
            guard bytes[position...].starts(with: text.utf8) else { return false }
            position += text.utf8.count
            return true
        }

        mutating func value() -> Parsed? {
            if take("true") { return .bool(true) }
            if take("false") { return .bool(false) }
            if take("null") { return .null }
            if take("\"") { return text().map { .string($0) } }
            if take("[") {
                var values: [Parsed] = []
                if take("]") { return .array(values) }
                repeat {
                    guard let value = value() else { return nil }
                    values.append(value)
                } while take(",")
                return take("]") ? .array(values) : nil
            }
            if take("{") {
                var members: [String: Parsed] = [:]
                if take("}") { return .object(members) }
                repeat {
                    guard take("\""), let name = text(), take(":"), let value = value() else { return nil }
                    members[name] = value
                } while take(",")
                return take("}") ? .object(members) : nil
            }
            let digits = bytes[position...].prefix { $0 == 45 || (48...57).contains($0) }
            position += digits.count
            return Int(String(decoding: digits, as: UTF8.self)).map { .number($0) }
        }

        /// The rest of a string, after its opening quote.
        mutating func text() -> String? {
            var result: [UInt8] = []
            while position < bytes.count {
                let byte = bytes[position]
                position += 1
                switch byte {
                case 34: return String(decoding: result, as: UTF8.self)
                case 92:
                    guard position < bytes.count else { return nil }
                    let escaped = bytes[position]
                    position += 1
                    switch escaped {
                    case 34, 92, 47: result.append(escaped)
                    case 110: result.append(10)
                    case 114: result.append(13)
                    case 116: result.append(9)
                    case 117:
                        let digits = String(decoding: bytes[position...].prefix(4), as: UTF8.self)
                        guard let code = UInt8(digits, radix: 16) else { return nil }
                        position += 4
                        result.append(code)
                    default: return nil
                    }
                case ..<32: return nil
                default: result.append(byte)
                }
            }
            return nil
        }
    }
}
