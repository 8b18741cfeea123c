import HotpatchELF

/// How an object was compiled, as its debugging information says.
enum CompilerOptions {
    /// Attributes of functions that clang and swiftc write where they optimise: DW_AT_call_all_calls (DWARF 5, §3.3.1.3), its form before
    /// (DW_AT_GNU_all_call_sites), and DW_AT_APPLE_optimized.
    private static let attributes: Set<UInt64> = [0x7a, 0x2117, 0x3fe1]
    private static let subprogram: UInt64 = 0x2e

    /// What says that the object was optimised; nil where nothing does.
    ///
    /// Optimisers change how functions of one file are called that others cannot name, and their names do not tell.
    static func optimisation(of elf: ElfImage) throws -> String? {
        func contents(_ name: String) throws -> [UInt8]? {
            // SHF_COMPRESSED: as libraries are distributed, not what a compiler has just written.
            guard let section = elf.section(named: name), section.flags & 0x800 == 0 else { return nil }
            return try elf.contents(of: section)
        }
        // As "GNU C17 12.2.0 -mtune=generic -g -O2".
        let producers = try [".debug_str", ".debug_line_str"].compactMap(contents).flatMap { $0.split(separator: 0) }
            .filter { $0.starts(with: "GNU ".utf8) }.map { String(decoding: $0, as: UTF8.self) }
        if !producers.isEmpty {
            let options = producers.flatMap { $0.split(separator: " ") }.filter { $0.hasPrefix("-O") }
            let option = options.first { $0 != "-O0" && $0 != "-Og" }
            return option.map { "it was compiled with \($0)" }
        }
        guard let table = try contents(".debug_abbrev"), hasOptimisedFunction(table) else { return nil }
        return "it was compiled with optimisation"
    }

    /// What a compiler has added to all code, and what stands in the way then; nil where it has added nothing of the kind.
    static func instrumentation(of symbols: [ObjectFile.Symbol]) -> (what: String, option: String)? {
        let shadow = "whose runtime has the process's memory and its allocator to itself"
        let counters = "which counts in tables that are laid out when the program starts"
        let known: [(prefix: String, option: String, what: String)] = [
            ("__asan_init", "-fsanitize=address", shadow), ("__hwasan_init", "-fsanitize=hwaddress", shadow),
            ("__tsan_init", "-fsanitize=thread", shadow), ("__msan_init", "-fsanitize=memory", shadow),
            ("__gcov_init", "--coverage", counters), ("__llvm_gcov_init", "--coverage", counters),
            ("llvm_gcov_init", "--coverage", counters),
            ("__llvm_profile_runtime", "-fprofile-instr-generate", counters),
            ("__profc_", "-fprofile-instr-generate", counters),
        ]
        for symbol in symbols where symbol.name.utf8.first == UInt8(ascii: "_") || symbol.name.hasPrefix("llvm_") {
            if let found = known.first(where: { symbol.name.hasPrefix($0.prefix) }) {
                return (found.what, found.option)
            }
        }
        return nil
    }

    /// By the table of abbreviations (DWARF 5, §7.5.3).
    private static func hasOptimisedFunction(_ bytes: [UInt8]) -> Bool {
        var position = 0
        func number() -> UInt64? {
            var (result, shift): (UInt64, UInt64) = (0, 0)
            while position < bytes.count, shift < 64 {
                let byte = bytes[position]
                position += 1
                result |= UInt64(byte & 0x7f) << shift
                if byte & 0x80 == 0 { return result }
                shift += 7
            }
            return nil
        }
        while position < bytes.count {
            guard let code = number() else { return false }
            if code == 0 { continue }
            guard let tag = number(), number() != nil else { return false }
            while let attribute = number(), let form = number() {
                if tag == subprogram, attributes.contains(attribute) { return true }
                if attribute == 0, form == 0 { break }
                // DW_FORM_implicit_const holds its value here.
                if form == 0x21, number() == nil { return false }
            }
        }
        return false
    }
}
