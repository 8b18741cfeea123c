import HotpatchELF

/// Demangles the names of Rust functions: version 0 (RFC 2603, `_RNvCs1234_7mycrate4name`), and those with a hash that came before
/// (`_ZN7mycrate4name17h0123456789abcdefE`).
///
/// As rustc-demangle shows them without hashes: `mycrate::module::name`, `<mycrate::Type as core::fmt::Debug>::fmt`. What they contain is
/// a file's word: every read is checked, and what would expand without end is no name.
struct RustDemangler {
    /// The bytes of the last name.
    private(set) var text: [UInt8] = []
    private var name = UnsafeRawBufferPointer(start: nil, count: 0)
    private var position = 0
    private var depth = 0
    /// Paths and types that were read, those that others refer back to each time.
    private var steps = 0
    private var isSilent = false
    /// Lifetimes of the binders around.
    private var lifetimes = 0

    private struct Malformed: Error {}

    private static let longestText = 16 << 10
    private static let mostSteps = 4096

    static func isVersion0(_ name: UnsafeRawBufferPointer) -> Bool {
        name.count > 3 && name.starts(with: "_R") && isUpper(name[2])
    }

    /// A C++ name that ends with Rust's hash, `17h0123456789abcdefE`, perhaps with a suffix of LLVM's behind it.
    static func isHashed(_ name: UnsafeRawBufferPointer) -> Bool { name.starts(with: "_ZN") && hash(name) != nil }

    /// Where the hash begins.
    private static func hash(_ name: UnsafeRawBufferPointer) -> Int? {
        guard let last = name.last else { return nil }
        let end = isDigit(last) ? name.firstIndex(of: ".llvm.") ?? 0 : name.count
        guard end > 23, name[end - 1] == UInt8(ascii: "E"), name.starts(with: "17h", at: end - 20) else { return nil }
        return name[(end - 17)..<(end - 1)].allSatisfy { isDigit($0) || (0x61...0x66).contains($0) } ? end - 20 : nil
    }

    /// Fills `text`; false where it is not a name of Rust.
    mutating func demangle(_ name: UnsafeRawBufferPointer) -> Bool {
        text.removeAll(keepingCapacity: true)
        self.name = name
        (depth, steps, isSilent, lifetimes) = (0, 0, false, 0)
        do throws(Malformed) {
            if Self.isVersion0(name) { try version0() } else { try hashed() }
            return true
        } catch {
            return false
        }
    }

    // MARK: With a hash

    private mutating func hashed() throws(Malformed) {
        guard let end = Self.hash(name) else { throw Malformed() }
        position = 3
        while position < end {
            let count = try decimal()
            guard count > 0, count <= end - position else { throw Malformed() }
            let part = UnsafeRawBufferPointer(rebasing: name[position..<(position + count)])
            position += count
            if !text.isEmpty { try write("::") }
            try unescape(part)
        }
        guard position == end, !text.isEmpty else { throw Malformed() }
        try suffix(from: end + 20)
    }

    private static let escapes: [(StaticString, StaticString)] = [
        ("$SP$", "@"), ("$BP$", "*"), ("$RF$", "&"), ("$LT$", "<"), ("$GT$", ">"), ("$LP$", "("), ("$RP$", ")"),
        ("$C$", ","), ("..", "::"),
    ]

    private mutating func unescape(_ part: UnsafeRawBufferPointer) throws(Malformed) {
        var index = part.starts(with: "_$") ? 1 : 0
        scan: while index < part.count {
            for (escape, meaning) in Self.escapes where part.starts(with: escape, at: index) {
                try write(meaning)
                index += escape.utf8CodeUnitCount
                continue scan
            }
            if part.starts(with: "$u", at: index), let end = part[(index + 2)...].firstIndex(of: UInt8(ascii: "$")),
                let value = UInt8(String(decoding: part[(index + 2)..<end], as: UTF8.self), radix: 16), value >= 0x20,
                value < 0x7f
            {
                try write(value)
                index = end + 1
                continue
            }
            try write(part[index])
            index += 1
        }
    }

    // MARK: Version 0

    private mutating func version0() throws(Malformed) {
        position = 2
        try path(isValue: true)
        // The crate that made the instance.
        if let byte = peek, Self.isUpper(byte) {
            try silently { (reader) throws(Malformed) in try reader.path(isValue: false) }
        }
        try suffix(from: position)
    }

    /// What LLVM put behind the name.
    private mutating func suffix(from start: Int) throws(Malformed) {
        guard start < name.count else { return }
        guard name[start] == UInt8(ascii: ".") else { throw Malformed() }
        try write(" [clone ")
        for byte in name[start...] { try write(byte) }
        try write("]")
    }

    /// Each level of nesting takes stack.
    private mutating func nested(
        _ body: (inout RustDemangler) throws(Malformed) -> Void
    ) throws(Malformed) {
        depth += 1
        steps += 1
        guard depth <= 128, steps <= Self.mostSteps else { throw Malformed() }
        try body(&self)
        depth -= 1
    }

    private mutating func silently(
        _ body: (inout RustDemangler) throws(Malformed) -> Void
    ) throws(Malformed) {
        let was = isSilent
        isSilent = true
        try body(&self)
        isSilent = was
    }

    private mutating func path(isValue: Bool) throws(Malformed) {
        try nested { (reader) throws(Malformed) in try reader.unnestedPath(isValue: isValue) }
    }

    private mutating func unnestedPath(isValue: Bool) throws(Malformed) {
        switch try next() {
        case UInt8(ascii: "C"):
            _ = try disambiguator()
            try identifier()
        case UInt8(ascii: "M"):
            try implementationPath()
            try write("<")
            try type()
            try write(">")
        case UInt8(ascii: "X"):
            try implementationPath()
            try conformance()
        case UInt8(ascii: "Y"): try conformance()
        case UInt8(ascii: "N"):
            let space = try next()
            try path(isValue: isValue)
            let number = try disambiguator()
            if Self.isUpper(space) {
                try write("::{")
                switch space {
                case UInt8(ascii: "C"): try write("closure")
                case UInt8(ascii: "S"): try write("shim")
                default: try write(space)
                }
                let start = text.count
                try write(":")
                try identifier()
                if text.count == start + 1 { text.removeLast() }
                try write("#")
                try write(decimal: number)
                try write("}")
            } else {
                guard Self.isLower(space) else { throw Malformed() }
                let start = text.count
                try write("::")
                try identifier()
                if text.count == start + 2 { text.removeLast(2) }
            }
        case UInt8(ascii: "I"):
            try path(isValue: isValue)
            if isValue { try write("::") }
            try write("<")
            try list { (reader) throws(Malformed) in try reader.genericArgument() }
            try write(">")
        case UInt8(ascii: "B"): try back { (reader) throws(Malformed) in try reader.path(isValue: isValue) }
        default: throw Malformed()
        }
    }

    private mutating func implementationPath() throws(Malformed) {
        _ = try disambiguator()
        try silently { (reader) throws(Malformed) in try reader.path(isValue: false) }
    }

    private mutating func conformance() throws(Malformed) {
        try write("<")
        try type()
        try write(" as ")
        try path(isValue: false)
        try write(">")
    }

    private mutating func genericArgument() throws(Malformed) {
        if skip("L") {
            try lifetime(try base62())
        } else if skip("K") {
            try constant()
        } else {
            try type()
        }
    }

    private static func basicType(_ tag: UInt8) -> StaticString? {
        switch tag {
        case UInt8(ascii: "a"): "i8"
        case UInt8(ascii: "b"): "bool"
        case UInt8(ascii: "c"): "char"
        case UInt8(ascii: "d"): "f64"
        case UInt8(ascii: "e"): "str"
        case UInt8(ascii: "f"): "f32"
        case UInt8(ascii: "h"): "u8"
        case UInt8(ascii: "i"): "isize"
        case UInt8(ascii: "j"): "usize"
        case UInt8(ascii: "l"): "i32"
        case UInt8(ascii: "m"): "u32"
        case UInt8(ascii: "n"): "i128"
        case UInt8(ascii: "o"): "u128"
        case UInt8(ascii: "p"): "_"
        case UInt8(ascii: "s"): "i16"
        case UInt8(ascii: "t"): "u16"
        case UInt8(ascii: "u"): "()"
        case UInt8(ascii: "v"): "..."
        case UInt8(ascii: "x"): "i64"
        case UInt8(ascii: "y"): "u64"
        case UInt8(ascii: "z"): "!"
        default: nil
        }
    }

    private mutating func type() throws(Malformed) {
        try nested { (reader) throws(Malformed) in try reader.unnestedType() }
    }

    private mutating func unnestedType() throws(Malformed) {
        guard let tag = peek else { throw Malformed() }
        if let basic = Self.basicType(tag) {
            position += 1
            return try write(basic)
        }
        if "CMXYNI".utf8.contains(tag) { return try path(isValue: false) }
        position += 1
        switch tag {
        case UInt8(ascii: "B"): try back { (reader) throws(Malformed) in try reader.type() }
        case UInt8(ascii: "A"):
            try write("[")
            try type()
            try write("; ")
            try constant()
            try write("]")
        case UInt8(ascii: "S"):
            try write("[")
            try type()
            try write("]")
        case UInt8(ascii: "T"):
            try write("(")
            let count = try list { (reader) throws(Malformed) in try reader.type() }
            try write(count == 1 ? ",)" : ")")
        case UInt8(ascii: "R"), UInt8(ascii: "Q"):
            try write("&")
            if skip("L") {
                let number = try base62()
                if number > 0 {
                    try lifetime(number)
                    try write(" ")
                }
            }
            if tag == UInt8(ascii: "Q") { try write("mut ") }
            try type()
        case UInt8(ascii: "P"):
            try write("*const ")
            try type()
        case UInt8(ascii: "O"):
            try write("*mut ")
            try type()
        case UInt8(ascii: "F"): try binder { (reader) throws(Malformed) in try reader.function() }
        case UInt8(ascii: "D"):
            try write("dyn ")
            try binder { (reader) throws(Malformed) in
                try reader.list(separator: " + ") { (reader) throws(Malformed) in try reader.dynamicTrait() }
            }
            guard skip("L") else { throw Malformed() }
            let number = try base62()
            if number > 0 {
                try write(" + ")
                try lifetime(number)
            }
        default: throw Malformed()
        }
    }

    private mutating func function() throws(Malformed) {
        if skip("U") { try write("unsafe ") }
        if skip("K") {
            try write("extern \"")
            if skip("C") { try write("C") } else { try identifier() }
            try write("\" ")
        }
        try write("fn(")
        try list { (reader) throws(Malformed) in try reader.type() }
        try write(")")
        if skip("u") { return }
        try write(" -> ")
        try type()
    }

    private mutating func dynamicTrait() throws(Malformed) {
        try path(isValue: false)
        var isOpen = false
        while skip("p") {
            // The bindings of associated types join the trait's own arguments.
            if !isOpen, !isSilent, text.last == UInt8(ascii: ">") {
                text.removeLast()
                try write(", ")
            } else {
                try write(isOpen ? ", " : "<")
            }
            isOpen = true
            try identifier()
            try write(" = ")
            try type()
        }
        if isOpen { try write(">") }
    }

    private mutating func binder(_ body: (inout RustDemangler) throws(Malformed) -> Void) throws(Malformed) {
        let outer = lifetimes
        if skip("G") {
            let count = try base62() &+ 1
            guard count > 0, count <= 64 else { throw Malformed() }
            try write("for<")
            for number in 0..<count {
                if number > 0 { try write(", ") }
                lifetimes += 1
                try lifetime(1)
            }
            try write("> ")
        }
        try body(&self)
        lifetimes = outer
    }

    /// 0 is one that is not named; others count from the innermost.
    private mutating func lifetime(_ number: Int) throws(Malformed) {
        try write("'")
        guard number > 0 else { return try write("_") }
        guard number <= lifetimes else { throw Malformed() }
        let index = lifetimes - number
        if index < 26 { return try write(UInt8(ascii: "a") + UInt8(index)) }
        try write("_")
        try write(decimal: index)
    }

    private mutating func constant() throws(Malformed) {
        try nested { (reader) throws(Malformed) in
            if reader.skip("p") { return try reader.write("_") }
            if reader.skip("B") { return try reader.back { (reader) throws(Malformed) in try reader.constant() } }
            let type = try reader.next()
            // Others than numbers, booleans and characters are shown mangled.
            guard "ahijlmnostxybc".utf8.contains(type) else { throw Malformed() }
            if reader.skip("n") { try reader.write("-") }
            let start = reader.position
            while let byte = reader.peek, Self.isDigit(byte) || (0x61...0x66).contains(byte) { reader.position += 1 }
            let digits = String(decoding: reader.name[start..<reader.position], as: UTF8.self)
            guard reader.skip("_") else { throw Malformed() }
            guard let value = digits.isEmpty ? 0 : UInt64(digits, radix: 16) else {
                try reader.write("0x")
                for byte in digits.utf8 { try reader.write(byte) }
                return
            }
            switch type {
            case UInt8(ascii: "b"): try reader.write(value == 0 ? "false" : "true")
            case UInt8(ascii: "c"):
                try reader.write("'")
                guard let scalar = UInt32(exactly: value).flatMap(Unicode.Scalar.init), value >= 0x20, value != 0x7f
                else {
                    throw Malformed()
                }
                for byte in String(Character(scalar)).utf8 { try reader.write(byte) }
                try reader.write("'")
            default: for byte in String(value).utf8 { try reader.write(byte) }
            }
        }
    }

    @discardableResult
    private mutating func list(
        separator: StaticString = ", ", _ element: (inout RustDemangler) throws(Malformed) -> Void
    ) throws(Malformed) -> Int {
        var count = 0
        while !skip("E") {
            if count > 0 { try write(separator) }
            try element(&self)
            count += 1
        }
        return count
    }

    /// What was mangled once, from its offset behind `_R`. Only what lies before: there is no circle.
    private mutating func back(_ body: (inout RustDemangler) throws(Malformed) -> Void) throws(Malformed) {
        let start = position - 1
        let offset = try base62()
        guard (0..<(start - 2)).contains(offset) else { throw Malformed() }
        // What is not shown need not be read again.
        if isSilent { return }
        let end = position
        position = offset + 2
        try body(&self)
        position = end
    }

    // MARK: Words

    private mutating func disambiguator() throws(Malformed) -> Int {
        guard skip("s") else { return 0 }
        return try base62() &+ 1
    }

    private mutating func identifier() throws(Malformed) {
        let isEncoded = skip("u")
        let count = try decimal()
        _ = skip("_")
        guard count <= name.count - position else { throw Malformed() }
        if isEncoded { try write("punycode{") }
        for byte in name[position..<(position + count)] { try write(byte) }
        if isEncoded { try write("}") }
        position += count
    }

    private mutating func decimal() throws(Malformed) -> Int {
        guard let first = peek, Self.isDigit(first) else { throw Malformed() }
        if skip("0") { return 0 }
        var value = 0
        while let byte = peek, Self.isDigit(byte) {
            value = value * 10 + Int(byte - 0x30)
            guard value <= name.count else { throw Malformed() }
            position += 1
        }
        return value
    }

    /// `_` is 0, and digits one less than they mean. No number here need be large.
    private mutating func base62() throws(Malformed) -> Int {
        if skip("_") { return 0 }
        var value = 0
        while true {
            let byte = try next()
            if byte == UInt8(ascii: "_") { return value &+ 1 }
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x61...0x7A: digit = byte - 0x61 + 10
            case 0x41...0x5A: digit = byte - 0x41 + 36
            default: throw Malformed()
            }
            // A hash of a crate has 64 bits, and is not shown.
            value = (value &* 62 &+ Int(digit)) & Int.max
        }
    }

    private var peek: UInt8? { position < name.count ? name[position] : nil }

    private mutating func next() throws(Malformed) -> UInt8 {
        guard let byte = peek else { throw Malformed() }
        position += 1
        return byte
    }

    private mutating func skip(_ byte: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: byte) else { return false }
        position += 1
        return true
    }

    private mutating func write(_ string: StaticString) throws(Malformed) {
        for index in 0..<string.utf8CodeUnitCount { try write(string.utf8Start[index]) }
    }

    private mutating func write(decimal number: Int) throws(Malformed) {
        for byte in String(number).utf8 { try write(byte) }
    }

    private mutating func write(_ byte: UInt8) throws(Malformed) {
        if isSilent { return }
        guard text.count < Self.longestText else { throw Malformed() }
        text.append(byte)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    private static func isUpper(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte) }
    private static func isLower(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) }
}
