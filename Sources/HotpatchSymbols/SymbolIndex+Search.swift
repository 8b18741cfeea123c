import Glibc
import HotpatchELF
import HotpatchMemory

extension SymbolIndex {
    /// The functions whose mangled or demangled name matches a pattern, in ascending order of address.
    ///
    /// `*` stands for any bytes and `?` for one byte; a pattern without either matches any name that contains it. `static ` and
    /// `(extension in …):` before a name may be left out of the pattern. Indirect functions without a known implementation are left out.
    public func functions(matching pattern: String, in image: String? = nil) -> [FunctionSymbol] {
        let allowed = allowedImages(image, [])
        let glob = Glob(pattern)
        var result: [FunctionSymbol] = []
        for number in images.indices where allowed?[number] ?? true {
            let symbols = images[number].symbols
            let demangled = symbols.demangled
            for (index, record) in symbols.functions.enumerated() {
                if time.isOver(at: index, symbols.subject) { break }
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
    ///
    /// Alike are those whose last component is the same but for a few letters, or for the order of its words. Where the name says where
    /// it belongs, others than the very word must belong there too.
    func nearestNames(to name: String, _ allowed: [Bool]?) -> [String] {
        let whole = Array(WrittenName(Self.splitVersion(name).base).rest.utf8)
        let query = Spelling.baseName(whole)
        guard query.count >= 2, query.count <= 64 else { return [] }
        let limit = query.count <= 3 ? 0 : query.count <= 5 ? 1 : query.count <= 9 ? 2 : 3
        let wanted = Spelling(query)
        let owners = Spelling.owners(whole)
        var best: [Alike] = []
        var keys = NameKeys()
        for number in images.indices where allowed?[number] ?? true {
            let symbols = images[number].symbols
            let demangled = symbols.demangled
            for (index, record) in symbols.functions.enumerated() {
                if time.isOver(at: index, symbols.subject) { break }
                let mangled = symbols.name(record.reference)
                func consider(_ path: UnsafeRawBufferPointer, _ text: UnsafeRawBufferPointer) {
                    let base = Spelling.lastComponent(path)
                    guard
                        let distance = wanted.distance(to: base, atMost: limit)
                            ?? (wanted.hasSameWords(as: base) ? limit + 1 : nil)
                    else { return }
                    let strangers = owners.isEmpty ? 0 : owners.subtracting(Spelling.owners(Array(path))).count
                    // A word that is not the same, and that belongs to something else, is alike by chance.
                    if distance > 0, !owners.isEmpty, strangers == owners.count { return }
                    if best.count == 5, (distance, strangers) > (best[4].distance, best[4].strangers) { return }
                    let found = Alike(
                        distance: distance, strangers: strangers,
                        otherPath: whole.count - zip(whole, path).prefix { $0 == $1 }.count,
                        text: String(decoding: text, as: UTF8.self))
                    guard !best.contains(where: { $0.text == found.text }) else { return }
                    best.append(found)
                    best.sort { $0.rank < $1.rank }
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
        // Where some belong there, others are none.
        let least = best.map(\.strangers).min() ?? 0
        best.removeAll { $0.strangers > least && ($0.distance > 0 || $0.strangers == owners.count) }
        return best.map(\.text)
    }

    private struct Alike {
        var distance: Int
        /// How many of the query's enclosing names this symbol lacks.
        var strangers: Int
        /// How much of the query is left where it begins to differ.
        var otherPath: Int
        var text: String

        var rank: (Int, Int, Int, String) { (distance, strangers, otherPath, text) }
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
        if matchesWhole(name) { return true }
        var start = name.starts(with: "static ") ? 7 : 0
        if start > 0, matchesWhole(UnsafeRawBufferPointer(rebasing: name[start...])) { return true }
        guard name.starts(with: "(extension in ", at: start),
            let end = UnsafeRawBufferPointer(rebasing: name[start...]).firstIndex(of: "):")
        else { return false }
        start += end + 2
        return matchesWhole(UnsafeRawBufferPointer(rebasing: name[start...]))
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
    private let words: [[UInt8]]

    init(_ word: [UInt8]) {
        self.word = word
        words = word.withUnsafeBytes { Self.words($0) }
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

    /// What the last component belongs to: the types and the modules before it, without generic parameters.
    static func owners(_ text: [UInt8]) -> Set<[UInt8]> {
        let head = text.prefix { $0 != UInt8(ascii: "(") && $0 != UInt8(ascii: " ") }
        let last = head.withUnsafeBytes { lastComponent($0).count }
        return Set(
            head.dropLast(last).split { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ":") }.map { part in
                Array(part.prefix { $0 != UInt8(ascii: "<") })
            }.filter { !$0.isEmpty })
    }

    /// Whether both are made of the same two words or more, in any order: `priceOfItem` and `item_price_of`.
    func hasSameWords(as other: UnsafeRawBufferPointer) -> Bool {
        guard words.count >= 2, abs(other.count - word.count) <= words.count else { return false }
        return Self.words(other) == words
    }

    /// Lower case, in order of the alphabet.
    private static func words(_ text: UnsafeRawBufferPointer) -> [[UInt8]] {
        var words: [[UInt8]] = []
        var wasLower = false
        for byte in text {
            let isUpper = (0x41...0x5A).contains(byte)
            if byte == UInt8(ascii: "_") {
                words.append([])
            } else {
                if words.isEmpty || isUpper && wasLower { words.append([]) }
                words[words.count - 1].append(isUpper ? byte | 0x20 : byte)
            }
            wasLower = (0x61...0x7A).contains(byte)
        }
        return words.filter { !$0.isEmpty }.sorted { $0.lexicographicallyPrecedes($1) }
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
