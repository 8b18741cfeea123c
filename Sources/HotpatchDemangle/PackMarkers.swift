import Glibc

/// The marks of parameter packs (`Rv`) and values (`RV`) in the generic signatures of mangled names.
///
/// They stand first among a signature's requirements (lib/AST/ASTMangler.cpp, `appendGenericSignature`). The runtime prints such a one
/// anywhere else with "should be printed as a child of a DependentGenericSignature" and abort(): so for `$sRvz`, and for many a name
/// with packs that was cut off. Of 1,000,000 changed names (Swift 6.3.1) 1,612 ended the process by them, and 4 by cut-off names of
/// macro expansions (`fM`), which are left to it.
enum PackMarkers {
    /// Whether no mark stands where the runtime would end the process: tried with a name in which each is another requirement,
    /// `A == ()`, that may stand anywhere.
    static func areSafe(in name: UnsafeRawBufferPointer, tryingWith demangler: inout SwiftDemangler) -> Bool {
        guard occur(in: name) else { return true }
        var substitution = Substitution(name)
        guard substitution.replaceAll() else { return false }
        guard substitution.count > 0 else { return true }
        return substitution.output.withUnsafeBytes { demangler.run($0, leadTheirRequirements) } ?? false
    }

    private static func occur(in name: UnsafeRawBufferPointer) -> Bool {
        // Every name of a process comes here, and in debug builds a loop over a slice takes longer than the demangling.
        guard let start = name.baseAddress else { return false }
        var offset = 0
        while let found = memchr(start + offset, Int32(UInt8(ascii: "R")), name.count - offset) {
            offset = UnsafeRawPointer(found) - start + 1
            guard offset < name.count else { return false }
            if name[offset] == UInt8(ascii: "v") || name[offset] == UInt8(ascii: "V") { return true }
        }
        return false
    }

    /// Whether each `A == ()` in readable text follows a `where` or another one.
    private static func leadTheirRequirements(_ text: UnsafeRawBufferPointer) -> Bool {
        let mark = Array(" == ()".utf8)
        var end: Int?
        var from = 0
        while let found = text[from...].firstRange(of: mark) {
            let parameter = text[..<found.lowerBound].suffix(while: isIdentifier)
            let before = text[..<parameter.startIndex]
            let isFirst = before.suffix(6).elementsEqual("where ".utf8)
            let follows = end.map { before[$0...].elementsEqual(", ".utf8) } ?? false
            guard !parameter.isEmpty, isFirst || follows else { return false }
            end = found.upperBound
            from = found.upperBound
        }
        return true
    }

    private static func isIdentifier(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || byte == UInt8(ascii: "_")
    }
}

extension RandomAccessCollection {
    fileprivate func suffix(while isIncluded: (Element) -> Bool) -> SubSequence {
        self[(lastIndex { !isIncluded($0) }.map { index(after: $0) } ?? startIndex)...]
    }
}

private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
private func isLower(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") }
private func isUpper(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") }
private func isLetter(_ byte: UInt8) -> Bool { isLower(byte) || isUpper(byte) }

/// Copies a mangled name and puts `ytRs` (the requirement that a parameter is the empty tuple) in the place of each `Rv`, and of each
/// `SiRV`. Reads no more of the mangling (docs/ABI/Mangling.rst) than tells operators from identifiers.
private struct Substitution {
    private(set) var output: [UInt8] = []
    /// How many were replaced.
    private(set) var count = 0

    private let name: UnsafeRawBufferPointer
    private var position = 0

    init(_ name: UnsafeRawBufferPointer) {
        self.name = name
        output.reserveCapacity(name.count + 16)
    }

    private var current: UInt8? { position < name.count ? name[position] : nil }

    private mutating func skip(_ characters: StaticString) -> Bool {
        guard let byte = current, contains(characters, byte) else { return false }
        position += 1
        return true
    }

    private func contains(_ characters: StaticString, _ byte: UInt8) -> Bool {
        memchr(characters.utf8Start, Int32(byte), characters.utf8CodeUnitCount) != nil
    }

    /// - Returns: false where the name is cut off, or cannot be told apart.
    mutating func replaceAll() -> Bool {
        // The prefix ends with s, S, e or 0.
        while let byte = current {
            position += 1
            if contains("sSe0", byte) { break }
        }
        output += name[..<position]
        while let byte = current {
            let start = position
            if isDigit(byte) {
                guard skipIdentifier() else { return false }
            } else {
                position += 1
                if byte == UInt8(ascii: "R") {
                    if skip("vV") {
                        guard skipParameter(), replace(start..<position) else { return false }
                        continue
                    }
                    _ = skip("cCbBtTsSmMlLpPQhiIjJ")
                    _ = skipParameter()
                } else {
                    skipOperands(of: byte)
                }
            }
            output += name[start..<position]
        }
        return true
    }

    private mutating func replace(_ marker: Range<Int>) -> Bool {
        if name[marker.lowerBound + 1] == UInt8(ascii: "V") {
            // The type of the value, Swift.Int, may have been joined to one before it: S2i.
            guard output.popLast() == UInt8(ascii: "i") else { return false }
            let digits = output.reversed().prefix(while: isDigit).reversed()
            let times = digits.isEmpty ? 1 : Int(String(decoding: digits, as: UTF8.self)) ?? 0
            output.removeLast(digits.count)
            guard times > 0, output.popLast() == UInt8(ascii: "S") else { return false }
            if times > 1 { output += Array("S\(times > 2 ? "\(times - 1)" : "")i".utf8) }
        }
        output += Array("ytRs".utf8)
        output += name[marker.dropFirst(2)]
        count += 1
        return true
    }

    /// What belongs to the operator that begins with `byte`, as far as it may look like something else.
    private mutating func skipOperands(of byte: UInt8) {
        switch byte {
        case UInt8(ascii: "A"):  // Substitutions: AbC, A2B, A12_
            while let next = current {
                position += 1
                if !isDigit(next) && !isLower(next) { break }
            }
        case UInt8(ascii: "S"):  // Types of the standard library: Si, S2i, ScM
            skipDigits()
            _ = skip("c")
            position = min(position + 1, name.count)
        case UInt8(ascii: "q"):
            _ = skipParameter()
        case UInt8(ascii: "r"):
            _ = skipIndex()
        case UInt8(ascii: "L"), UInt8(ascii: "B"):
            if !skipIndex() {
                position = min(position + 1, name.count)
                if byte == UInt8(ascii: "B") { _ = skipIndex() }
            }
        case UInt8(ascii: "T") where current.map { contains("gGsB", $0) } ?? false:  // Specialisations: Tg5, TG5q
            position += 1
            while skip("qamr") {}
            _ = skip("0123456789")
        case UInt8(ascii: "W") where current == UInt8(ascii: "O"):  // Outlined copies: WOc
            position = min(position + 2, name.count)
        case UInt8(ascii: "T") where current == UInt8(ascii: "f"):  // Specialised signatures: Tf4d_n
            position += 1
            _ = skip("q")
            _ = skip("0123456789")
            while let next = current, isLower(next) { position += 1 }
            if skip("_"), let next = current, isLower(next) { position += 1 }
        case UInt8(ascii: "v"), UInt8(ascii: "i"):  // Accessors: vg, vM, ig
            if let next = current, isLetter(next) { position += 1 }
        case UInt8(ascii: "f"), UInt8(ascii: "T"), UInt8(ascii: "Y"), UInt8(ascii: "W"), UInt8(ascii: "M"),
            UInt8(ascii: "X"):
            position = min(position + 1, name.count)
            _ = skipIndex()
        default: break
        }
    }

    private mutating func skipDigits() { while let byte = current, isDigit(byte) { position += 1 } }

    /// `_`, or a number and `_`.
    private mutating func skipIndex() -> Bool {
        let start = position
        skipDigits()
        if skip("_") { return true }
        position = start
        return false
    }

    /// `z`, `s`, an index, or `d` and two: a generic parameter.
    private mutating func skipParameter() -> Bool {
        let start = position
        if skip("zs") { return true }
        let isFound = skip("d") ? skipIndex() && skipIndex() : skipIndex()
        if !isFound { position = start }
        return isFound
    }

    /// A length and as many characters; `0` before it: words of earlier identifiers; `00`: Punycode.
    private mutating func skipIdentifier() -> Bool {
        var hasWords = skip("0")
        let isEncoded = hasWords && skip("0")
        if isEncoded { hasWords = false }
        repeat {
            while hasWords, let byte = current, isLetter(byte) {
                position += 1
                if isUpper(byte) { hasWords = false }
            }
            if skip("0") { break }
            var length = 0
            while let byte = current, isDigit(byte), length <= name.count {
                length = length * 10 + Int(byte - UInt8(ascii: "0"))
                position += 1
            }
            guard length > 0 else { return false }
            if isEncoded { _ = skip("_") }
            guard length <= name.count - position else { return false }
            position += length
        } while hasWords
        return true
    }
}
