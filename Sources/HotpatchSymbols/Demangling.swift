import CHotpatchLinux
import Glibc
import HotpatchDemangle
import HotpatchELF

/// Readable text for mangled names. Safe to use from any thread.
package enum Demangling {
    /// The source form of a Swift, C++ or Rust name; nil for any other name.
    package static func demangle(_ mangled: String) -> String? {
        mangled.withBytes { name in
            // Most names of C need no buffers.
            guard Demangler.language(name) != nil else { return nil }
            var demangler = Demangler()
            return demangler.demangle(name) { String(decoding: $0, as: UTF8.self) }
        }
    }
}

/// Demangles many names with one buffer for each language. Not to be shared between threads.
struct Demangler: ~Copyable {
    enum Language: UInt8 { case swift, cxx, rust }

    /// As for Swift's.
    static let longestName = SwiftDemangler.longestName

    private var swift = SwiftDemangler()
    private var nameBuffer = UnsafeMutableBufferPointer<CChar>.allocate(capacity: Demangler.longestName + 1)
    /// From malloc: `__cxa_demangle` grows it with realloc.
    private var cxxBuffer: UnsafeMutablePointer<CChar>?
    private var cxxCapacity = 0
    private let cxxDemangle = Runtime.cxxDemangle
    private var rust = RustDemangler()

    deinit {
        nameBuffer.deallocate()
        free(cxxBuffer)
    }

    static func language(_ name: UnsafeRawBufferPointer) -> Language? {
        if name.starts(with: "_Z") { return RustDemangler.isHashed(name) ? .rust : .cxx }
        if name.starts(with: "$s") || name.starts(with: "$S") || name.starts(with: "$e") || name.starts(with: "_T0")
            || name.starts(with: "_$s") || name.starts(with: "_$S") || name.starts(with: "_$e")
        {
            return .swift
        }
        return RustDemangler.isVersion0(name) ? .rust : nil
    }

    /// Calls `body` with the demangled bytes, which are valid during the call; nil where there is nothing to demangle.
    mutating func demangle<R>(_ name: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> R) -> R? {
        guard name.count <= Self.longestName, let language = Self.language(name) else { return nil }
        switch language {
        case .swift: return swift.demangle(name, body)
        case .cxx: return demangleCxx(name, body)
        case .rust: return rust.demangle(name) ? rust.text.withUnsafeBytes(body) : nil
        }
    }

    private mutating func demangleCxx<R>(
        _ name: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> R
    ) -> R? {
        guard let cxxDemangle else { return nil }
        // The name may lie in a buffer without a NUL behind it.
        UnsafeMutableRawBufferPointer(nameBuffer).copyMemory(from: name)
        nameBuffer[name.count] = 0
        var status: Int32 = 0
        var capacity = cxxCapacity
        guard let text = cxxDemangle(nameBuffer.baseAddress!, cxxBuffer, &capacity, &status), status == 0 else {
            return nil
        }
        if text != cxxBuffer || capacity > cxxCapacity {
            cxxBuffer = text
            cxxCapacity = capacity
        }
        return body(UnsafeRawBufferPointer(start: text, count: strlen(text)))
    }
}

private enum Runtime {
    typealias CxxDemangle =
        @convention(c) (
            UnsafePointer<CChar>?, UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<Int>?,
            UnsafeMutablePointer<Int32>?
        ) -> UnsafeMutablePointer<CChar>?

    /// `__cxa_demangle` of the C++ runtime, which the process need not have loaded (Itanium C++ ABI §3.4).
    static let cxxDemangle: CxxDemangle? = {
        if let linked = linux_linked_cxx_demangle() { return linked }
        guard linux_has_loader() else { return nil }
        // RTLD_DEFAULT is a null pointer that the importer does not show.
        var found = dlsym(nil, "__cxa_demangle")
        if found == nil, let library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_LOCAL) {
            found = dlsym(library, "__cxa_demangle")
        }
        return found.map { unsafeBitCast($0, to: CxxDemangle.self) }
    }()
}
