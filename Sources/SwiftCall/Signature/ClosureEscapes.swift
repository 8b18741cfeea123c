/// Which of the closures in a mangled signature are `@escaping`. The demangler's text leaves that out, and it matters: the context of
/// a closure that does not escape may be no object, but a piece of its caller's stack.
///
/// Function types are written in the order result, parameters; each ends with what kind of function it is: `c`, or `XE` where it does
/// not escape (swift/docs/ABI/Mangling.rst, "Types").
struct ClosureEscapes {
    private let bytes: [UInt8]
    private var position: Int
    /// For each closure, in the order in which they end.
    private var closures: [Bool] = []

    /// - Parameter mangled: the symbol of a function of the source.
    /// - Returns: nil for a symbol with something that is not known here.
    static func ofFunction(_ mangled: String) -> [Bool]? {
        var reader = ClosureEscapes(mangled)
        return reader.read() ? reader.closures : nil
    }

    /// - Parameter mangled: a function type, without `$s`; the function itself is not among the result.
    static func ofType(_ mangled: String) -> [Bool]? {
        var reader = ClosureEscapes("$s" + mangled)
        guard reader.read(), !reader.closures.isEmpty else { return nil }
        return reader.closures.dropLast()
    }

    private init(_ mangled: String) {
        bytes = Array(mangled.utf8)
        position = mangled.hasPrefix("$s") ? 2 : bytes.count
    }

    private var peek: Character? {
        position < bytes.count ? Character(Unicode.Scalar(bytes[position])) : nil
    }

    private mutating func next() -> Character? {
        defer { position += 1 }
        return peek
    }

    /// To the end; false where that cannot be.
    private mutating func read() -> Bool {
        guard position < bytes.count else { return false }
        while let character = peek {
            guard !character.isASCIIDigit else {
                guard identifier() else { return false }
                continue
            }
            position += 1
            switch character {
            case "c": closures.append(true)
            case "X":
                switch next() {
                case "E", "K": closures.append(false)
                case "A": closures.append(true)
                case nil, "z": return false
                default: break
                }
            // The function type of an initialiser or a subscript is that of the function itself.
            case "f", "i":
                _ = closures.popLast()
                position += 1
            // With a character that says more.
            case "Y", "v", "o", "R": position += 1
            case "A": guard substitutions() else { return false }
            case "S": standard()
            case "B":
                guard let kind = next() else { return false }
                if "ifvI".contains(kind) { index() }
            case "$":
                if peek == "n" { position += 1 }
                index()
            // Not in the name of a function of the source.
            case "T", "W", "M", "I", "w", ".": return false
            default: break
            }
        }
        return position == bytes.count
    }

    /// `4Shop`, or with words of earlier ones: `0A3Bag` (Demangler::demangleIdentifier).
    private mutating func identifier() -> Bool {
        var hasWords = false
        var isPunycode = false
        if peek == "0" {
            position += 1
            if peek == "0" {
                position += 1
                isPunycode = true
            } else {
                hasWords = true
            }
        }
        repeat {
            while hasWords, let letter = peek, letter.isASCIILetter {
                position += 1
                if letter.isUppercase { hasWords = false }
            }
            if peek == "0" {
                position += 1
                break
            }
            let count = natural()
            if isPunycode, peek == "_" { position += 1 }
            guard count > 0, bytes.count - position >= count else { return false }
            position += count
        } while hasWords
        return true
    }

    /// `A` has been read: `AA`, `A2Bc`, `A12_`.
    private mutating func substitutions() -> Bool {
        while let character = peek {
            position += 1
            if character.isASCIIDigit || character.isLowercase { continue }
            return character == "_" || character.isUppercase
        }
        return false
    }

    /// `S` has been read: `Si`, `S2i`, `ScT`.
    private mutating func standard() {
        _ = natural()
        if next() == "c" { position += 1 }
    }

    private mutating func index() {
        _ = natural()
        if peek == "_" { position += 1 }
    }

    private mutating func natural() -> Int {
        var value = 0
        while let digit = peek?.wholeNumberValue, value <= bytes.count {
            value = value * 10 + digit
            position += 1
        }
        return value
    }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { ("0"..."9").contains(self) }
    fileprivate var isASCIILetter: Bool { ("a"..."z").contains(self) || ("A"..."Z").contains(self) }
}
