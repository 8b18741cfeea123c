// Whether a parameter that is a closure escapes. No demangled text says it; the mangled names do: XE and XK are function types that do
// not, where c and XA do (swift/docs/ABI/Mangling.rst, "Types"). With XB in their place, a block, which there is none of here, the text
// tells them apart.

import HotpatchDemangle

/// Whether each function type in a type, the outermost first, is marked as one that does not escape.
struct EscapeMarks: Hashable, Sendable {
    var marks: [Bool]

    init(_ type: SwiftType) {
        var marks: [Bool] = []
        _ = type.contains { type in
            if case .function(let function) = type { marks.append(function.attributes.contains("convention(block)")) }
            return false
        }
        self.marks = marks
    }

    /// The demangled text of a name, with `@convention(block)` before each function type that does not escape. Nil where there is
    /// none.
    static func text(of mangled: String, _ demangle: (String) -> String?) -> String? {
        guard let text = demangle(mangled).map(bare) else { return nil }
        var name = Array(mangled.utf8)
        var isMarked = false
        for index in name.indices.dropLast() where name[index] == UInt8(ascii: "X") {
            let operation = name[index + 1]
            guard operation == UInt8(ascii: "E") || operation == UInt8(ascii: "K") else { continue }
            name[index + 1] = UInt8(ascii: "B")
            // In an identifier it would be another name.
            if demangle(String(decoding: name, as: UTF8.self)).map(bare) == text {
                isMarked = true
            } else {
                name[index + 1] = operation
            }
        }
        return isMarked ? demangle(String(decoding: name, as: UTF8.self)) : nil
    }

    private static func bare(_ text: String) -> String {
        var bare = ""
        var rest = text[...]
        while let at = rest.firstIndex(of: "@") {
            bare += rest[..<at]
            rest = rest[at...]
            if let mark = ["@convention(block) ", "@autoclosure "].first(where: rest.hasPrefix) {
                rest = rest.dropFirst(mark.count)
            } else {
                bare.append(rest.removeFirst())
            }
        }
        return bare + rest
    }
}

extension SwiftSignature {
    /// Throws where a closure escapes in one and not in the other. A closure that replaces the function would keep what may lie on the
    /// stack of the function's caller; or the original would, of what it is lent by a caller of the function value.
    func checkEscaping(of type: Any.Type) throws(SignatureError) {
        guard let name = _mangledTypeName(type) else { return }
        let text = EscapeMarks.text(of: "$s\(name)D", SwiftDemangler.demangle) ?? ClosureType.text(of: type) ?? ""
        var parser = SignatureParser(text)
        guard let closure = try? parser.function() else { return }
        let own = closure.parameters.count - function.parameters.count
        guard own == 0 || own == 1 else { return }
        for (index, pair) in zip(escapeMarks, closure.parameters.dropFirst(own)).enumerated()
        where EscapeMarks(pair.1.type) != pair.0 {
            throw .unsuitable(
                type: String(describing: type),
                why:
                    "parameter \(index + 1) is, or takes, a closure that escapes, and that of \(self.text) does not, or the "
                    + "other way round. Write @escaping where the function does, and nowhere else.")
        }
    }
}
