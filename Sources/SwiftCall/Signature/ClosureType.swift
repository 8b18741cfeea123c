/// The runtime's demangler (include/swift/Demangling/Demangle.h, `swift_demangle`).
@_silgen_name("swift_demangle")
private func runtimeDemangle(
    _ name: UnsafePointer<CChar>, _ length: UInt, _ output: UnsafeMutablePointer<CChar>?,
    _ outputSize: UnsafeMutablePointer<UInt>?, _ flags: UInt32
) -> UnsafeMutablePointer<CChar>?

/// Function types and symbols of this process as text.
public enum ClosureType {
    /// Readable text for a mangled Swift name; nil for any other.
    public static func demangle(_ name: String) -> String? {
        var name = name
        return name.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { bytes -> String? in
                guard let start = bytes.baseAddress, bytes.count <= 16 << 10 else { return nil }
                // In: the room. Out, where the text was cut to it: the room that it needs.
                var buffer = [CChar](repeating: 0, count: 1024)
                while true {
                    var size = UInt(buffer.count)
                    guard runtimeDemangle(start, UInt(bytes.count), &buffer, &size, 0) != nil else { return nil }
                    if size <= UInt(buffer.count) { break }
                    buffer = [CChar](repeating: 0, count: Int(size) + 1)
                }
                let text = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                return text.utf8.elementsEqual(UnsafeRawBufferPointer(bytes)) ? nil : text
            }
        }
    }

    /// A type's name with all modules and, unlike the name that Swift prints, with attributes of function types: nil for the
    /// few that the runtime cannot name.
    public static func text(of type: Any.Type) -> String? { _mangledTypeName(type).flatMap { demangle("$s\($0)D") } }
}

extension SwiftSignature {
    /// Reads a symbol with the runtime's demangler.
    public init(mangled: String) throws(SymbolRefusal) {
        try self.init(mangled: mangled, demangle: ClosureType.demangle)
    }

    /// Compares the function with the type of a closure of this process. See `match(closure:_:isConcreteContext:)`.
    public func match(type: Any.Type, _ facts: FunctionFacts) throws(SignatureError) -> SignatureMatch {
        guard let text = ClosureType.text(of: type) else {
            throw .unsuitable(type: String(describing: type), why: "the runtime cannot name it. Pass a closure.")
        }
        // The runtime makes a type of a name only where no generic arguments are missing.
        let isConcrete = context.map { _typeByName($0.mangled) != nil } ?? false
        let match = try match(closure: text, facts, isConcreteContext: isConcrete)
        try checkEscaping(of: type)
        return match
    }
}
