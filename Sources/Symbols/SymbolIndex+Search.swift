import Glibc
import Memory

extension SymbolIndex {
    /// The functions whose mangled or demangled name matches a pattern, in ascending order of address.
    ///
    /// `*` stands for any bytes and `?` for one byte; a pattern without either matches any name that contains it. A leading
    /// `static ` may be left out of the pattern. Indirect functions without a known implementation are left out.
    public func functions(matching pattern: String, in image: String? = nil) -> [FunctionSymbol] {
        let allowed = allowedImages(image, [])
        let glob = Glob(pattern)
        var result: [FunctionSymbol] = []
        for number in images.indices where allowed?[number] ?? true {
            let symbols = images[number].symbols
            let demangled = symbols.demangled
            for (index, record) in symbols.functions.enumerated() {
                guard
                    glob.matches(symbols.name(record.reference))
                        || demangled.withText(index, { !$0.isEmpty && glob.matches($0) })
                else { continue }
                let definition = Definition(
                    image: number, reference: record.reference, symbol: symbols.symbol(record.reference))
                if let symbol = try? functionSymbol(definition) { result.append(symbol) }
            }
        }
        return result.sorted { ($0.address, $0.name) < ($1.address, $1.name) }
    }

    /// At most five names that are spelled like `name`, the most alike first; demangled where they are mangled. Where the
    /// compiler kept only specialised copies of the function, those.
    func nearestNames(to name: String, _ allowed: [Bool]?) -> [String] {
        let whole = Array(Self.splitVersion(name).base.utf8)
        let query = Spelling.baseName(whole)
        guard query.count >= 2, query.count <= 64 else { return [] }
        let limit = query.count <= 4 ? 1 : query.count <= 8 ? 2 : 3
        let wanted = Spelling(query)
        // Of names that are equally alike, the one whose path begins like the query.
        var best: [(distance: Int, otherPath: Int, text: String)] = []
        var keys = NameKeys()
        for number in images.indices where allowed?[number] ?? true {
            let symbols = images[number].symbols
            let demangled = symbols.demangled
            for (index, record) in symbols.functions.enumerated() {
                let mangled = symbols.name(record.reference)
                func consider(_ path: UnsafeRawBufferPointer, _ text: UnsafeRawBufferPointer) {
                    let base = Spelling.lastComponent(path)
                    let worst = best.count == 5 ? best[4].distance : limit
                    guard let distance = wanted.distance(to: base, atMost: min(limit, worst)) else { return }
                    let otherPath = whole.count - zip(whole, path).prefix { $0 == $1 }.count
                    if best.count == 5, (distance, otherPath) > (best[4].distance, best[4].otherPath) { return }
                    let found = (distance, otherPath, String(decoding: text, as: UTF8.self))
                    if best.count == 5, found >= best[4] { return }
                    guard !best.contains(where: { $0.text == found.2 }) else { return }
                    best.append(found)
                    best.sort { $0 < $1 }
                    if best.count > 5 { best.removeLast() }
                }
                guard let language = Demangler.language(mangled) else {
                    consider(mangled, mangled)
                    continue
                }
                demangled.withText(index) { text in
                    guard text.count < 4096 else { return }
                    keys.forEachKey(of: Self.source(of: text), language) { level, key in
                        if level == .bare { consider(key, text) }
                    }
                }
            }
        }
        // Where some have the beginning of the path, those that merely end alike are none.
        if query.count < whole.count, let first = best.first, first.otherPath <= whole.count / 2 {
            best.removeAll { $0.otherPath > whole.count * 3 / 4 }
        }
        return best.map(\.text)
    }

    /// The function in the source that a specialisation's text tells of: what stands behind `> of `.
    private static func source(of text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard text.starts(with: "function signature specialization <") || text.starts(with: "generic ") else {
            return text
        }
        guard let end = text.firstIndex(of: "> of ") else { return text }
        return UnsafeRawBufferPointer(rebasing: text[(end + 5)...])
    }
}

/// A pattern with `*` and `?`.
struct Glob: Sendable {
    private let pattern: [UInt8]

    init(_ text: String, findsParts: Bool = true) {
        let bytes = Array(text.utf8)
        let isPlain = findsParts && !bytes.contains(UInt8(ascii: "*")) && !bytes.contains(UInt8(ascii: "?"))
        pattern = isPlain ? [UInt8(ascii: "*")] + bytes + [UInt8(ascii: "*")] : bytes
    }

    /// Linear in pattern times name: only the last `*` is ever retried.
    func matches(_ name: UnsafeRawBufferPointer) -> Bool {
        matchesWhole(name) || name.starts(with: "static ") && matchesWhole(UnsafeRawBufferPointer(rebasing: name[7...]))
    }

    private func matchesWhole(_ name: UnsafeRawBufferPointer) -> Bool {
        pattern.withUnsafeBufferPointer { pattern in
            var index = 0
            var position = 0
            var star = -1
            var retry = 0
            while index < name.count {
                if position < pattern.count, pattern[position] == UInt8(ascii: "*") {
                    star = position
                    retry = index
                    position += 1
                } else if position < pattern.count,
                    pattern[position] == name[index] || pattern[position] == UInt8(ascii: "?")
                {
                    index += 1
                    position += 1
                } else if star >= 0 {
                    retry += 1
                    index = retry
                    position = star + 1
                } else {
                    return false
                }
            }
            while position < pattern.count, pattern[position] == UInt8(ascii: "*") { position += 1 }
            return position == pattern.count
        }
    }
}

/// A word that others are compared with.
struct Spelling {
    private let word: [UInt8]
    private let letters: UInt64

    init(_ word: [UInt8]) {
        self.word = word
        letters = word.withUnsafeBytes { Self.letters($0) }
    }

    /// The last component of a path such as `Shop.price(of:)` or `ns::price(int)`.
    static func baseName(_ text: [UInt8]) -> [UInt8] {
        let head = text.prefix { $0 != UInt8(ascii: "(") && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: " ") }
        return head.withUnsafeBytes { Array(lastComponent($0)) }
    }

    /// With the component before it where it only says which accessor or initialiser is meant.
    static func lastComponent(_ path: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        func start(before end: Int) -> Int {
            var start = end
            while start > 0, path[start - 1] != UInt8(ascii: "."), path[start - 1] != UInt8(ascii: ":") { start -= 1 }
            return start
        }
        let last = start(before: path.count)
        let common: [StaticString] = ["getter", "setter", "modify", "init", "deinit", "__deallocating_deinit"]
        let isCommon = common.contains { $0.utf8CodeUnitCount == path.count - last && path.starts(with: $0, at: last) }
        return UnsafeRawBufferPointer(rebasing: path[(isCommon && last > 0 ? start(before: last - 1) : last)...])
    }

    private static func letters(_ word: UnsafeRawBufferPointer) -> UInt64 {
        var set: UInt64 = 0
        for byte in word { set |= 1 &<< UInt64(byte & 63) }
        return set
    }

    /// The number of insertions, removals and changes, if it is at most `limit`.
    func distance(to other: UnsafeRawBufferPointer, atMost limit: Int) -> Int? {
        guard abs(other.count - word.count) <= limit else { return nil }
        // Each edit adds at most one letter and takes at most one away.
        guard (letters ^ Self.letters(other)).nonzeroBitCount <= 2 * limit else { return nil }
        var row = Array(0...other.count)
        for (index, byte) in word.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            var least = row[0]
            for column in 0..<other.count {
                let above = row[column + 1]
                row[column + 1] = min(above + 1, row[column] + 1, diagonal + (other[column] == byte ? 0 : 1))
                diagonal = above
                least = min(least, row[column + 1])
            }
            if least > limit { return nil }
        }
        return row[other.count] <= limit ? row[other.count] : nil
    }
}
