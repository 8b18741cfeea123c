/// The two words of a function value: what is called, and the context that it gets.
///
/// A value of a generic type `F` has the most general convention, which a function of the source does not: its code is a thunk.
/// Which function the thunk leads to can be read, without looking at its instructions, in these cases (Swift 6.3.1, at -Onone
/// and -O):
///
/// - **No thunk is needed**, or the generic code was specialised: the code is the function.
/// - **A partial application of a reabstraction thunk**, which is how unoptimised code makes the value: the context is a box
///   that holds one thing, the function value that the thunk calls.
/// - **A reabstraction thunk that the optimiser has specialised for one function**: its symbol names the function.
///
/// All three are of free functions. A method, static member, initialiser or operator of a type is wrapped in an implicit closure
/// that calls it, and whose symbol does not say what: that cannot be resolved.
package struct FunctionValue: Hashable, Sendable {
    package var code: UInt
    package var context: UInt

    /// The words of a value; nil where its type is not that of a Swift function value (kind 0x302, convention 0 of
    /// include/swift/ABI/MetadataValues.h).
    package init?<F>(_ value: F) {
        let metadata = unsafeBitCast(F.self as Any.Type, to: UnsafeRawPointer.self)
        guard MemoryLayout<F>.size == 16, metadata.load(as: UInt.self) == 0x302,
            metadata.load(fromByteOffset: 8, as: UInt.self) >> 16 & 0xFF == 0
        else { return nil }
        (code, context) = withUnsafeBytes(of: value) { bytes in
            (bytes.load(as: UInt.self), bytes.load(fromByteOffset: 8, as: UInt.self))
        }
    }

    package init(code: UInt, context: UInt) {
        self.code = code
        self.context = context
    }

    /// Where the code begins. The first word of an async value is the address of a record that holds it, relative to itself
    /// (`AsyncFunctionPointer`, include/swift/ABI/Task.h).
    package func entry(isAsync: Bool) -> UInt {
        guard isAsync, let record = UnsafeRawPointer(bitPattern: code) else { return code }
        return UInt(bitPattern: record + Int(record.load(as: Int32.self)))
    }

    /// The function value in the box of a partially applied reabstraction thunk (`FunctionValueOrigin.captured`). Nil where the
    /// context is no such box. The value it was read from must be alive.
    package var captured: FunctionValue? {
        // Metadata of kind HeapLocalVariable, reference count, contents.
        guard let box = UnsafeRawPointer(bitPattern: context),
            let metadata = UnsafeRawPointer(bitPattern: box.load(as: UInt.self)), metadata.load(as: UInt.self) == 0x400
        else { return nil }
        return FunctionValue(
            code: box.load(fromByteOffset: 16, as: UInt.self), context: box.load(fromByteOffset: 24, as: UInt.self))
    }
}

/// What the symbol of a function value's code says about where the value comes from.
package enum FunctionValueOrigin: Hashable, Sendable {
    /// The code is a function of the source, if the value has no context.
    case itself
    /// The function is that of `FunctionValue.captured`.
    case captured
    /// The function has this demangled name.
    case named(String)
    /// It cannot be told; a sentence says why, and what to do.
    case unknown(String)

    /// - Parameter text: the demangled name of the symbol at `FunctionValue.entry(isAsync:)`; nil where there is none.
    package init(entry text: String?) {
        guard let text = text?[...] else {
            self = .unknown("The value's code has no symbol: the program may be stripped. Pass the function's name.")
            return
        }
        let thunk = "reabstraction thunk helper from "
        if text.hasPrefix("partial apply forwarder for \(thunk)") {
            self = .captured
        } else if text.hasPrefix("function signature specialization <"), let constant = Self.constant(text, thunk) {
            self = Self.isPhrase(constant[...]) ? .unknown(Self.explanation(constant[...])) : .named(constant)
        } else if Self.isPhrase(text) {
            self = .unknown(Self.explanation(text))
        } else {
            self = .itself
        }
    }

    /// `function signature specialization <Arg[2] = [Constant Propagated Function : Shop.price(…) -> …]> of reabstraction …`: the
    /// function, where there is exactly one.
    private static func constant(_ text: Substring, _ thunk: String) -> String? {
        let start = " = [Constant Propagated Function : "
        var found: String?
        var rest = text
        while let character = rest.first {
            if rest.hasPrefix(start) {
                guard found == nil else { return nil }
                rest = rest.dropFirst(start.count)
                var depth = 0
                let function = rest.prefix { character in
                    if "[(".contains(character) { depth += 1 }
                    if character == "]", depth == 0 { return false }
                    if "])".contains(character) { depth -= 1 }
                    return true
                }
                found = String(function)
                rest = rest.dropFirst(function.count)
                guard rest.hasPrefix("]> of \(thunk)") else { return nil }
                return found
            }
            if character == "\n" { return nil }
            rest = rest.dropFirst()
        }
        return nil
    }

    /// A function of the source reads as a path: the words before its arguments are `static` and `(extension in M):` alone.
    private static func isPhrase(_ text: Substring) -> Bool {
        var parser = SignatureParser(String(text))
        guard let declaration = try? parser.declaration() else { return true }
        return declaration.form == .alone
    }

    private static func explanation(_ text: Substring) -> String {
        if text.hasPrefix("implicit closure #") || text.hasPrefix("partial apply forwarder for implicit closure #") {
            return
                "The value is a method, initialiser or operator, which the compiler has wrapped in a closure that does not"
                + " say what it calls. Pass its name, as \"Shop.Cart.add(_:)\"."
        }
        if text.hasPrefix("closure #") || text.hasPrefix("partial apply forwarder for closure #") {
            return "The value is a closure, not a function. Pass the name of a function."
        }
        return "The value's code is \(text), which does not say what function it leads to. Pass the function's name."
    }
}
