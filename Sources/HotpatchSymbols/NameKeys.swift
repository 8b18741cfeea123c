import HotpatchELF

/// What a demangled name answers to, from the most to the least exact.
enum NameKeyLevel: UInt8, CaseIterable {
    /// The whole text.
    case full
    /// Without the result: `Shop.price(of: Swift.String)`.
    case arguments
    /// Without the types of the arguments: `Shop.price(of:)`. Swift only.
    case labels
    /// `Shop.price`, `ns::Class::method`.
    case bare
}

/// Derives the keys of demangled names. One scratch buffer serves all; not to be shared between threads.
///
/// Only functions that stand in the source get more than their full text: thunks, outlined code, default arguments,
/// specialisations, closures and the like read as a phrase ("merged …", "closure #1 in …"), never as a plain path.
struct NameKeys {
    private var scratch: [UInt8] = []
    private var bare: [UInt8] = []

    mutating func forEachKey(
        of text: UnsafeRawBufferPointer, _ language: Demangler.Language,
        _ body: (NameKeyLevel, UnsafeRawBufferPointer) -> Void
    ) {
        guard !text.isEmpty else { return }
        body(.full, text)
        switch language {
        case .swift: swiftKeys(text, body)
        case .cxx: cxxKeys(text, body)
        case .rust: rustKeys(text, body)
        }
    }

    // MARK: Swift

    /// The bare name in the text of a Swift function, and where its arguments, or ` : ` and a type, begin. Nil for a phrase.
    mutating func path(of text: UnsafeRawBufferPointer) -> (bare: String, end: Int)? {
        guard let end = swiftPath(text, text.starts(with: "static ") ? 7 : 0) else { return nil }
        return (String(decoding: bare, as: UTF8.self), end)
    }

    private mutating func swiftKeys(
        _ text: UnsafeRawBufferPointer, _ body: (NameKeyLevel, UnsafeRawBufferPointer) -> Void
    ) {
        let start = text.starts(with: "static ") ? 7 : 0
        guard let path = swiftPath(text, start) else { return }
        guard path < text.count, text[path] == UInt8(ascii: "(") else {
            // An accessor or deinit; `path` stops before " : Type".
            if path < text.count { body(.arguments, UnsafeRawBufferPointer(rebasing: text[..<path])) }
            bare.withUnsafeBytes { body(.bare, $0) }
            if path < text.count { propertyKeys(text, path, body) }
            return
        }
        guard let end = Self.closing(text, path) else { return }
        let rest = UnsafeRawBufferPointer(rebasing: text[end...])
        guard rest.isEmpty || rest.starts(with: " -> ") || rest.starts(with: " async") || rest.starts(with: " throws"),
            rest.firstIndex(of: " with unmangled suffix") == nil
        else { return }

        if end < text.count { body(.arguments, UnsafeRawBufferPointer(rebasing: text[..<end])) }
        if bare.count < path {
            // Generic parameters, private discriminators or `static` were left out: spell the arguments behind that too.
            scratch.removeAll(keepingCapacity: true)
            scratch.append(contentsOf: bare)
            scratch.append(contentsOf: text[path..<end])
            scratch.withUnsafeBytes { body(.arguments, $0) }
        }
        swiftLabels(text, path + 1, end - 1)
        scratch.withUnsafeBytes { body(.labels, $0) }
        bare.withUnsafeBytes { body(.bare, $0) }
        derivedKey(body)
    }

    /// `Shop.Cart.==` names the one that the compiler derives, too (swift/lib/AST/ASTContext.cpp, Id_derived_struct_equals).
    private mutating func derivedKey(_ body: (NameKeyLevel, UnsafeRawBufferPointer) -> Void) {
        guard bare.last == UInt8(ascii: "s") else { return }
        for name in [".__derived_struct_equals", ".__derived_enum_equals"] as [StaticString] {
            let count = name.utf8CodeUnitCount
            guard name.withUTF8Buffer({ bare.suffix(count).elementsEqual($0) }) else { continue }
            bare.removeLast(count - 1)
            bare.append(contentsOf: "==".utf8)
            bare.withUnsafeBytes { body(.bare, $0) }
        }
    }

    /// `Shop.Cart.total` names the getter and the setter, `Shop.Cart.subscript(named:).getter` one of several subscripts.
    private mutating func propertyKeys(
        _ text: UnsafeRawBufferPointer, _ path: Int, _ body: (NameKeyLevel, UnsafeRawBufferPointer) -> Void
    ) {
        let accessor = Array(bare.suffix(7))
        guard accessor.elementsEqual(".getter".utf8) || accessor.elementsEqual(".setter".utf8) else { return }
        bare.removeLast(7)
        bare.withUnsafeBytes { body(.bare, $0) }
        guard bare.suffix(10).elementsEqual(".subscript".utf8), text.starts(with: " : (", at: path),
            let end = Self.closing(text, path + 3), text.starts(with: " -> ", at: end)
        else { return }
        body(.arguments, UnsafeRawBufferPointer(rebasing: text[..<end]))
        swiftLabels(text, path + 4, end - 1)
        scratch.withUnsafeBytes { body(.labels, $0) }
        scratch.append(contentsOf: accessor)
        scratch.withUnsafeBytes { body(.labels, $0) }
    }

    /// Fills `bare` and returns where the path ends: at `(`, before ` : `, or at the end. Nil for a phrase.
    private mutating func swiftPath(_ text: UnsafeRawBufferPointer, _ start: Int) -> Int? {
        bare.removeAll(keepingCapacity: true)
        var index = start
        scan: while index < text.count {
            let byte = text[index]
            let isComponentStart =
                index == start || text[index - 1] == UInt8(ascii: ".") || text[index - 1] == UInt8(ascii: ":")
            switch byte {
            case UInt8(ascii: "("):
                guard isComponentStart else { return index }
                guard let end = Self.closing(text, index) else { return nil }
                if text.starts(with: "(extension in ", at: index) {
                    // `(extension in Shop):Swift.String.foo`
                    guard end < text.count, text[end] == UInt8(ascii: ":") else { return nil }
                    index = end + 1
                } else {
                    // `(helper in _0123456789ABCDEF)`
                    let inside = UnsafeRawBufferPointer(rebasing: text[(index + 1)..<(end - 1)])
                    guard let found = inside.firstIndex(of: " in ") else { return nil }
                    bare.append(contentsOf: inside[..<found])
                    index = end
                }
            case UInt8(ascii: " "):
                if text.starts(with: " : ", at: index) { return index }
                for fix in [" infix", " prefix", " postfix"] as [StaticString]
                where text.starts(with: fix, at: index) {
                    index += fix.utf8CodeUnitCount
                    continue scan
                }
                return nil
            case UInt8(ascii: "@") where !isComponentStart:
                // The one attribute of functions that stands in their names.
                return text.starts(with: "@Sendable (", at: index) ? index + 10 : nil
            case UInt8(ascii: "<") where !isComponentStart:
                guard let end = Self.closing(text, index) else { return nil }
                // Parameters of the function itself go, and the constraints of an extension; those of a generic type are part of
                // its name.
                if end < text.count, text[end] == UInt8(ascii: "."),
                    UnsafeRawBufferPointer(rebasing: text[index..<end]).firstIndex(of: " where ") == nil
                {
                    bare.append(contentsOf: text[index..<end])
                }
                index = end
            default:
                if isComponentStart, Self.isOperator(byte) {
                    while index < text.count, text[index] != UInt8(ascii: " ") {
                        bare.append(text[index])
                        index += 1
                    }
                } else {
                    bare.append(byte)
                    index += 1
                }
            }
        }
        return bare.isEmpty ? nil : index
    }

    /// Fills `scratch` with `bare` and the labels of the arguments in `text[start..<end]`.
    private mutating func swiftLabels(_ text: UnsafeRawBufferPointer, _ start: Int, _ end: Int) {
        scratch.removeAll(keepingCapacity: true)
        scratch.append(contentsOf: bare)
        scratch.append(UInt8(ascii: "("))
        var depth = 0
        var argument = start
        var label = start
        var index = start
        while index <= end, end > start {
            let byte = index < end ? text[index] : UInt8(ascii: ",")
            switch byte {
            case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "<"): depth += 1
            case UInt8(ascii: ">") where text[index - 1] == UInt8(ascii: "-"): break
            case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: ">"): depth -= 1
            case UInt8(ascii: ":") where depth == 0 && label == argument: label = index
            case UInt8(ascii: ",") where depth == 0:
                if label > argument {
                    scratch.append(contentsOf: text[argument..<label])
                } else {
                    scratch.append(UInt8(ascii: "_"))
                }
                scratch.append(UInt8(ascii: ":"))
                argument = min(index + 2, end)
                label = argument
            default: break
            }
            index += 1
        }
        scratch.append(UInt8(ascii: ")"))
    }

    private static func isOperator(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "/"), UInt8(ascii: "="), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "!"),
            UInt8(ascii: "*"), UInt8(ascii: "%"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"),
            UInt8(ascii: "|"), UInt8(ascii: "^"), UInt8(ascii: "~"), UInt8(ascii: "?"), UInt8(ascii: "."):
            return true
        default: return false
        }
    }

    // MARK: C++

    private mutating func cxxKeys(
        _ text: UnsafeRawBufferPointer, _ body: (NameKeyLevel, UnsafeRawBufferPointer) -> Void
    ) {
        // "[clone .cold]", and phrases: "virtual thunk to …", "guard variable for …".
        guard text.firstIndex(of: " [clone ") == nil else { return }
        for phrase in ["virtual thunk to ", "non-virtual thunk to ", "covariant return thunk to "] as [StaticString]
        where text.starts(with: phrase) { return }
        var start = 0
        var index = 0
        scan: while index < text.count {
            switch text[index] {
            case UInt8(ascii: "("):
                if text.starts(with: "(anonymous namespace)", at: index) {
                    index += 21
                    continue
                }
                break scan
            case UInt8(ascii: "<"), UInt8(ascii: "["), UInt8(ascii: "{"):
                guard let end = Self.closing(text, index) else { return }
                index = end
            case UInt8(ascii: "o") where Self.isOperatorWord(text, index):
                guard let end = Self.operatorEnd(text, index + 8) else { return }
                index = end
            case UInt8(ascii: " "):
                // What stood before is the result type of a template's instance.
                index += 1
                start = index
            default: index += 1
            }
        }
        guard index > start, index < text.count, let end = Self.closing(text, index) else { return }
        // "f()::local" and "f()::{lambda()#1}::operator()() const" lie inside a function.
        if end < text.count, text[end] == UInt8(ascii: ":") { return }
        if start > 0 { body(.arguments, UnsafeRawBufferPointer(rebasing: text[start...])) }
        if end < text.count { body(.arguments, UnsafeRawBufferPointer(rebasing: text[start..<end])) }
        body(.bare, UnsafeRawBufferPointer(rebasing: text[start..<index]))
    }

    // MARK: Rust

    /// `shop::Cart::total` names `<shop::Cart>::total` and `<shop::Cart as shop::Priced>::total::<u8>`, too.
    private mutating func rustKeys(
        _ text: UnsafeRawBufferPointer, _ body: (NameKeyLevel, UnsafeRawBufferPointer) -> Void
    ) {
        guard text.firstIndex(of: " [clone ") == nil, text.firstIndex(of: "::{") == nil else { return }
        bare.removeAll(keepingCapacity: true)
        var index = 0
        if text[0] == UInt8(ascii: "<") {
            guard let end = Self.closing(text, 0), end < text.count else { return }
            let inside = UnsafeRawBufferPointer(rebasing: text[1..<(end - 1)])
            var depth = 0
            for (position, byte) in inside.enumerated() {
                if byte == UInt8(ascii: "<") { depth += 1 }
                if byte == UInt8(ascii: ">"), position > 0, inside[position - 1] != UInt8(ascii: "-") { depth -= 1 }
                if depth == 0, inside.starts(with: " as ", at: position) { break }
                bare.append(byte)
            }
            index = end
        }
        while index < text.count {
            if text.starts(with: "::<", at: index) {
                guard let end = Self.closing(text, index + 2) else { return }
                index = end
            } else {
                bare.append(text[index])
                index += 1
            }
        }
        bare.withUnsafeBytes { body(.bare, $0) }
    }

    private static func isOperatorWord(_ text: UnsafeRawBufferPointer, _ index: Int) -> Bool {
        text.starts(with: "operator", at: index) && (index == 0 || !isWord(text[index - 1]))
            && index + 8 < text.count && !isWord(text[index + 8])
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte)
            || (0x61...0x7A).contains(byte)
    }

    /// Behind `operator()`, `operator<<`, `operator new[]`, `operator bool`: where the arguments begin.
    private static func operatorEnd(_ text: UnsafeRawBufferPointer, _ start: Int) -> Int? {
        var index = start
        if text.starts(with: "()", at: index) { return index + 2 }
        while index < text.count, text[index] != UInt8(ascii: "(") { index += 1 }
        return index < text.count ? index : nil
    }

    /// Behind the bracket that closes the one at `open`.
    private static func closing(_ text: UnsafeRawBufferPointer, _ open: Int) -> Int? {
        var depth = 0
        var index = open
        while index < text.count {
            switch text[index] {
            case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "<"), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: ">") where text[index - 1] == UInt8(ascii: "-"): break
            case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: ">"), UInt8(ascii: "}"):
                depth -= 1
                if depth == 0 { return index + 1 }
            default: break
            }
            index += 1
        }
        return nil
    }
}
