/// Text as a terminal may have it: names come from the target, and a control character in one of them would be obeyed.
package func printable(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: TerminalText.isControl) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { result.append(TerminalText.isControl(scalar) ? "\u{fffd}" : scalar) }
    return String(result)
}

/// What others have printed, and how lines are coloured.
enum TerminalText {
    /// Select Graphic Rendition (ECMA-48): ESC [ … m.
    enum Color: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"

        func callAsFunction(_ text: String) -> String { "\u{1b}[\(rawValue)m\(text)\u{1b}[0m" }
    }

    static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        (scalar.value < 0x20 && scalar != "\n" && scalar != "\t") || (0x7f..<0xa0).contains(scalar.value)
    }

    /// A compiler's words without its colours.
    static func plain(_ text: String) -> String {
        printable(pieces(of: text).filter { !$0.isColor }.map(\.text).joined())
    }

    /// A compiler's words with its colours, and no other control character.
    static func colored(_ text: String) -> String {
        pieces(of: text).map { $0.isColor ? $0.text : printable($0.text) }.joined()
    }

    /// The sequences that set colours, and what is between them.
    private static func pieces(of text: String) -> [(text: String, isColor: Bool)] {
        guard text.unicodeScalars.contains("\u{1b}") else { return [(text, false)] }
        var pieces: [(String, Bool)] = []
        var rest = text.unicodeScalars[...]
        while let escape = rest.firstIndex(of: "\u{1b}") {
            pieces.append((String(rest[..<escape]), false))
            let sequence = rest[escape...]
            let end = sequence.dropFirst(2).firstIndex { !("0"..."9").contains($0) && $0 != ";" }
            if sequence.dropFirst().first == "[", let end, rest[end] == "m" {
                pieces.append((String(rest[escape...end]), true))
                rest = rest[rest.index(after: end)...]
            } else {
                pieces.append(("\u{1b}", false))
                rest = sequence.dropFirst()
            }
        }
        return pieces + [(String(rest), false)]
    }
}
