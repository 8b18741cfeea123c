import CHotpatchElf
import HotpatchELF

/// Which functions of an image were written in its source, to show them: those that `ElfImage.isWritten` knows, but for what the tool
/// chain adds to a program, and for clones and parts of functions, which nobody calls by their own names.
///
/// A library's C++ thunks count as written where they replace a program's, for a thunk may hold its function's whole body. Nobody wants
/// to read them.
package struct WrittenFunctions: Sendable {
    /// Names of storage that the image has of variables: `SwiftEntity.storage`.
    private let storage: Set<String>

    /// Swift's own library. Any other image has copies of some of its functions, which belong to a library all the same.
    private let isStandardLibrary: Bool

    package init(of image: LoadedImage) {
        let tables = image.symbols.tables
        self.init(tables: [tables.dynamicTable, tables.staticTable], soname: image.elf.soname)
    }

    package init(of file: ElfImage) { self.init(tables: [file.dynamicTable, file.staticTable], soname: file.soname) }

    init(tables: [SymbolTable?], soname: String?) {
        isStandardLibrary = soname == "libswiftCore.so"
        let endings: [StaticString] = ["vp", "vpZ", "vau"]
        var storage: Set<String> = []
        for table in tables.compactMap(\.self) {
            for index in 0..<table.count {
                let symbol = table[index]
                guard symbol.isDefined, let name = table.name(symbol),
                    endings.contains(where: { end in
                        name.count > end.utf8CodeUnitCount
                            && name.starts(with: end, at: name.count - end.utf8CodeUnitCount)
                    }), Demangler.language(name) == .swift
                else { continue }
                storage.insert(String(decoding: name, as: UTF8.self))
            }
        }
        self.storage = storage
    }

    /// - Parameter name: a function's of the image, mangled.
    package func contains(_ name: String) -> Bool {
        !Self.isOfTheToolChain(name) && SwiftEntity.isWritten(name, besides: storage.contains)
            && (isStandardLibrary || !Self.isOfTheStandardLibrary(name))
    }

    private static func isOfTheStandardLibrary(_ name: String) -> Bool {
        guard name.withBytes(Demangler.language) == .swift, let text = Demangling.demangle(name) else { return false }
        let path = text.hasPrefix("static ") ? text.dropFirst(7) : text[...]
        return path.hasPrefix("Swift.") || path.hasPrefix("(extension in Swift):")
    }

    private static func isOfTheToolChain(_ name: String) -> Bool {
        startFiles.contains(name) || beginnings.contains(where: name.hasPrefix)
            // `static Program.$main()` of a type that is marked @main.
            || name.contains("5$main")
            || name.withBytes { name in
                guard Demangler.language(name) != .swift else { return false }
                if SymbolIndex.cloneSuffixes.contains(where: { name.firstIndex(of: $0) != nil }) { return true }
                guard let end = name.firstIndex(of: ".cold").map({ $0 + 5 }) else { return false }
                return end == name.count || name[end] == UInt8(ascii: ".")
            }
    }

    /// The objects that every program is linked with: crt1.o, crti.o, crtbegin.o, libc_nonshared.a, libgcc.a, swiftrt.o.
    private static let startFiles: Set<String> = [
        "_start", "_init", "_fini", "__libc_csu_init", "__libc_csu_fini", "_dl_relocate_static_pie", "call_weak_fn",
        "deregister_tm_clones", "register_tm_clones", "__do_global_dtors_aux", "frame_dummy",
        "__stack_chk_fail_local", "atexit", "at_quick_exit", "__pthread_atfork", "__cpu_indicator_init",
        "_ZL23swift_image_constructorv",
    ]

    /// In C++, thunks and the initialisation of variables; in Swift, helpers of values and what its headers bring.
    private static let beginnings = [
        "_ZTh", "_ZTv", "_ZTc", "_ZTW", "_ZTH", "_GLOBAL__", "__cxx_global_", "__clang_call_terminate", "__tls_init",
        "__swift_", "_swift_", "objectdestroy", "block_copy_helper", "block_destroy_helper",
    ]
}
