/// The arguments and the result in the text of a Swift function, in words that can be compared with another spelling of them:
/// `[String]?` is `Swift.Optional<Swift.Array<Swift.String>>`, and a module may be left out.
struct SpelledName {
    private let words: [String]
    /// How many of the words are the arguments, without effects and result; all where there are none.
    private let argumentCount: Int

    /// - Parameter text: what stands behind the path of a function: `(of: Swift.String) -> Swift.Int`, ` : Swift.Int`.
    init(_ text: String) {
        var reader = Reader(text)
        var words: [String] = []
        reader.sequence(&words)
        self.words = words
        var depth = 0
        argumentCount =
            words.firstIndex { word in
                if word == "(" { depth += 1 }
                if word == ")" { depth -= 1 }
                return word == ")" && depth == 0
            }.map { $0 + 1 } ?? words.count
    }

    /// Whether what someone wrote means this; the effects and the result may be left out of it.
    func answers(to query: SpelledName) -> Bool {
        guard query.words.count == words.count || query.words.count == argumentCount else { return false }
        return zip(words, query.words).allSatisfy { word, asked in
            word == asked || word.hasSuffix("." + asked) && !word.dropLast(asked.utf8.count + 1).contains(".")
        }
    }

    private struct Reader {
        private let text: [UInt8]
        private var position = 0
        private var depth = 0

        init(_ text: String) { self.text = Array(text.utf8) }

        /// Up to a closing bracket that is not its own.
        mutating func sequence(_ words: inout [String]) {
            while let word = next() {
                if [")", "]", ">"].contains(word) {
                    position -= 1
                    return
                }
                type(word, &words)
            }
        }

        /// One word, or what stands in its brackets with them; `?` behind it makes it an Optional.
        private mutating func type(_ word: String, _ words: inout [String]) {
            // Each level of nesting takes stack.
            depth += 1
            defer { depth -= 1 }
            let start = words.count
            switch word {
            case _ where depth > 128: return
            case "any", "@escaping": return
            case "consuming": words.append("__owned")
            case "borrowing": words.append("__shared")
            case "Void", "Swift.Void": words += ["(", ")"]
            case "[":
                var inner: [String] = []
                sequence(&inner)
                _ = next()
                var nesting = 0
                let colon = inner.firstIndex { word in
                    if ["(", "<"].contains(word) { nesting += 1 }
                    if [")", ">"].contains(word) { nesting -= 1 }
                    return word == ":" && nesting == 0
                }
                if let colon { inner[colon] = "," }
                words += [colon == nil ? "Swift.Array" : "Swift.Dictionary", "<"] + inner + [">"]
            case "(", "<":
                words.append(word)
                sequence(&words)
                if let closing = next() { words.append(closing) }
            default:
                words.append(word)
                if peek == UInt8(ascii: "<"), let bracket = next() { type(bracket, &words) }
            }
            while peek == UInt8(ascii: "?") {
                position += 1
                var inner = Array(words[start...])
                // Parentheses around a single type, which a `?` needs behind a function.
                if inner.first == "(", inner.contains("->"), inner.last == ")" {
                    inner = Array(inner[1..<(inner.count - 1)])
                }
                words.replaceSubrange(start..., with: ["Swift.Optional", "<"] + inner + [">"])
            }
        }

        private var peek: UInt8? { position < text.count ? text[position] : nil }

        private mutating func next() -> String? {
            while peek == UInt8(ascii: " ") { position += 1 }
            guard let first = peek else { return nil }
            let start = position
            position += 1
            if first == UInt8(ascii: "-"), peek == UInt8(ascii: ">") {
                position += 1
            } else if Self.isWord(first) {
                while let byte = peek, Self.isWord(byte) { position += 1 }
            }
            return String(decoding: text[start..<position], as: UTF8.self)
        }

        private static func isWord(_ byte: UInt8) -> Bool {
            byte >= 0x80 || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "@")
                || byte == UInt8(ascii: "$") || (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte)
                || (0x61...0x7A).contains(byte)
        }
    }
}

extension SymbolIndex {
    /// Functions whose text is spelled in another way: with `[Int]` and `Int?`, as other demanglers and source do, and without
    /// the modules of the types.
    func spelledMatches(_ name: String, _ allowed: [Bool]?) -> [Definition] {
        var keys = NameKeys()
        func rest(_ text: String) -> (bare: String, SpelledName)? {
            text.withBytes { bytes in
                keys.path(of: bytes).map { path in
                    (path.bare, SpelledName(String(decoding: bytes[path.end...], as: UTF8.self)))
                }
            }
        }
        guard name.utf8.contains(where: { $0 == UInt8(ascii: "(") || $0 == UInt8(ascii: ":") }),
            let (bare, query) = rest(name)
        else { return [] }
        let module = Self.extensionModule(name)
        return demangledMatches(bare, allowed, all: false).filter { definition in
            guard let text = Demangling.demangle(self.name(of: definition)), let candidate = rest(text),
                module == nil || module == Self.extensionModule(text)
            else { return false }
            return candidate.1.answers(to: query)
        }
    }

    /// Of `(extension in Shop):Swift.String.shout()`.
    private static func extensionModule(_ text: String) -> Substring? {
        let text = text.hasPrefix("static ") ? text.dropFirst(7) : text[...]
        return text.hasPrefix("(extension in ") ? text.dropFirst(14).prefix { $0 != ")" } : nil
    }
}
