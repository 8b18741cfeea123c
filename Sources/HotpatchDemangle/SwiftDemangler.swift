import Glibc

/// The Swift runtime's demangler, with one buffer for many names. Not to be shared between threads.
///
/// The runtime trusts names: for some that no compiler writes it ends the process, be it the one that is patched. What it is known to do
/// that for is not given to it: see `PackMarkers`.
package struct SwiftDemangler: ~Copyable {
    /// Names beyond this length are left as they are: nothing a compiler writes, and the demangler is recursive.
    package static let longestName = 16 << 10

    private var buffer = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 2048)

    package init() {}

    deinit { buffer.deallocate() }

    /// Calls `body` with the readable text, which is valid during the call.
    ///
    /// - Parameter name: a mangled name with its prefix (`$s`, `_$s`, `$S`, `$e`, `_T0`).
    /// - Returns: what `body` does; nil where the name is none of Swift's.
    package mutating func demangle<R>(
        _ name: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> R
    ) -> R? {
        guard name.count > 0, name.count <= Self.longestName, PackMarkers.areSafe(in: name, tryingWith: &self) else {
            return nil
        }
        return run(name, body)
    }

    /// The same for text of one's own.
    package static func demangle(_ name: String) -> String? {
        var name = name
        return name.withUTF8 { bytes in
            var demangler = SwiftDemangler()
            return demangler.demangle(UnsafeRawBufferPointer(bytes)) { String(decoding: $0, as: UTF8.self) }
        }
    }

    /// Without looking at the name first.
    mutating func run<R>(_ name: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> R) -> R? {
        let start = name.baseAddress!.assumingMemoryBound(to: CChar.self)
        while true {
            // In: the room. Out, only where the text was cut to it: the room that the text needs, with its NUL.
            var size = UInt(buffer.count)
            guard let text = runtimeDemangle(start, UInt(name.count), buffer.baseAddress, &size, 0) else { return nil }
            if size <= UInt(buffer.count) {
                let result = UnsafeRawBufferPointer(start: text, count: strlen(text))
                // What only begins like a Swift name comes back as it is.
                let isSame = result.count == name.count && memcmp(text, start, name.count) == 0
                return isSame ? nil : body(result)
            }
            buffer.deallocate()
            buffer = .allocate(capacity: Int(size) + 1024)
        }
    }
}

/// include/swift/Demangling/Demangle.h, `swift_demangle`.
@_silgen_name("swift_demangle")
private func runtimeDemangle(
    _ name: UnsafePointer<CChar>, _ length: UInt, _ output: UnsafeMutablePointer<CChar>?,
    _ outputSize: UnsafeMutablePointer<UInt>?, _ flags: UInt32
) -> UnsafeMutablePointer<CChar>?
