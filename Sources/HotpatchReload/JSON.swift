/// A JSON value that prints itself on one line, and is read from bytes (RFC 8259). Foundation's coders would bring all of Foundation
/// along.
package enum JSON: Sendable, Hashable, CustomStringConvertible {
    case string(String)
    case number(Int)
    /// A number with a fraction or an exponent, or one that `Int` does not hold.
    case real(Double)
    case bool(Bool)
    case null
    case array([JSON])
    /// In the order given.
    case object([Member])

    package struct Member: Sendable, Hashable {
        package var name: String
        package var value: JSON
    }

    package static func object(_ members: KeyValuePairs<String, JSON>) -> JSON {
        .object(members.map { Member(name: $0.key, value: $0.value) })
    }

    /// What a command prints: an object that says first how it is to be read.
    ///
    /// Members may be added to a schema. Where one goes, or means something else, the schema has the next number.
    package static func document(_ members: KeyValuePairs<String, JSON>) -> JSON {
        .object([Member(name: "schema", value: .number(1))] + members.map { Member(name: $0.key, value: $0.value) })
    }

    package var description: String {
        switch self {
        case .string(let string): return Self.quoted(string)
        case .number(let number): return String(number)
        // There is no other way to write them (RFC 8259, 6).
        case .real(let number): return number.isFinite ? String(number) : "null"
        case .bool(let bool): return bool ? "true" : "false"
        case .null: return "null"
        case .array(let values): return "[" + values.map(\.description).joined(separator: ",") + "]"
        case .object(let members):
            return "{" + members.map { Self.quoted($0.name) + ":" + $0.value.description }.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ string: String) -> String {
        var text = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}
