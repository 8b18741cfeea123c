import CHotpatchElf
import HotpatchELF
import HotpatchMemory
import HotpatchPlan

/// A relocatable object (ET_REL, elf(5)): what a compiler made of one source file.
///
/// Its bytes are hostile. All that is kept of them is inside its bounds: sections and symbols that exist, places inside their section.
package struct ObjectFile: Sendable {
    package let path: String
    package let architecture: Architecture
    /// In file order; a section's index is its place.
    package let sections: [Section]
    /// In file order; a symbol's index is its place. The first is the null symbol.
    package let symbols: [Symbol]

    /// Its code builds code on the stack: functions inside functions whose addresses are taken.
    var needsExecutableStack: Bool { sections.contains { $0.name == ".note.GNU-stack" && $0.isExecutable } }

    /// Nothing of it runs: an object of a source that says nothing.
    package var definesNoFunction: Bool {
        !symbols.contains { $0.isFunction && $0.section != nil && $0.binding != .weak }
    }

    package struct Section: Sendable {
        package var name: String
        package var type: UInt32
        package var flags: UInt64
        /// The alignment of its address, in bytes: a power of two.
        package var alignment: Int
        /// Zeros where the file has none (SHT_NOBITS).
        package var bytes: [UInt8]
        /// Ascending by offset.
        package var relocations: [Relocation] = []

        /// Whether it is part of a program at run time.
        package var isAllocated: Bool { flags & UInt64(SHF_ALLOC) != 0 }
        package var isExecutable: Bool { flags & UInt64(SHF_EXECINSTR) != 0 }
        package var isWritable: Bool { flags & UInt64(SHF_WRITE) != 0 }
        package var isThreadLocal: Bool { flags & UInt64(SHF_TLS) != 0 }
        package var holdsZeros: Bool { type == UInt32(SHT_NOBITS) }
    }

    package struct Relocation: Hashable, Sendable {
        /// The offset in the section.
        package var offset: Int
        package var type: UInt32
        /// Its index.
        package var symbol: Int
        package var addend: Int64
    }

    package struct Symbol: Hashable, Sendable {
        package var name: String
        /// STT_FUNC, STT_OBJECT, …
        package var type: UInt8
        package var binding: SymbolBinding
        package var place: Place
        /// In its section, in bytes; at most the section's size.
        package var value: Int
        /// In bytes, inside the section.
        package var size: Int

        package enum Place: Hashable, Sendable {
            case undefined
            case absolute(UInt64)
            /// A variable that no file initialises, of this alignment (SHN_COMMON).
            case common(alignment: Int)
            case section(Int)
        }

        package var isFunction: Bool { type == UInt8(STT_FUNC) }
        /// STT_GNU_IFUNC: what it leads to its resolver chooses, which is the code that lies there.
        package var isIndirect: Bool { type == UInt8(STT_GNU_IFUNC) }
        package var isSection: Bool { type == UInt8(STT_SECTION) }
        package var isThreadLocal: Bool { type == UInt8(STT_TLS) }
        package var isUndefined: Bool { place == .undefined }

        /// The section that it lies in.
        package var section: Int? { if case .section(let index) = place { index } else { nil } }
    }

    /// The name of the source or object file that the first file symbol gives; linkers keep it in front of the file's local symbols.
    package var fileName: String? { symbols.first { $0.type == UInt8(STT_FILE) && !$0.name.isEmpty }?.name }

    /// Budgets: more is not what a compiler makes of one file.
    private static let largestSection: UInt64 = 256 << 20
    private static let largestAlignment: UInt64 = 1 << 16
    private static let largestRelocations = 1 << 23

    /// - Throws: `LinkError` where the file is no object, is of another machine, or contradicts itself.
    package init(_ elf: ElfImage) throws {
        path = elf.path
        guard elf.fileType == UInt16(ET_REL) else {
            throw LinkError.notAnObject(path: elf.path)
        }
        guard let architecture = Architecture(elfMachine: elf.machine) else {
            throw LinkError.malformed(path: elf.path, what: "its machine is number \(elf.machine)")
        }
        self.architecture = architecture
        let (path, sections) = (elf.path, elf.sections)
        func malformed(_ what: String) -> LinkError { .malformed(path: path, what: what) }

        guard sections.count < Int(SHN_LORESERVE) else {
            throw malformed("it has \(sections.count) sections, and more than \(SHN_LORESERVE) are not read")
        }
        guard !sections.contains(where: { $0.name == ".gnu.lto_.opts" || $0.name.hasPrefix(".llvmbc") }) else {
            throw LinkError.bitcode(path: path)
        }
        if let what = try CompilerOptions.optimisation(of: elf) {
            throw LinkError.unsupported(
                path: path, what: what, remedy: "Compile the program, and the edit, without optimisation (-Onone, -O0)."
            )
        }
        var read: [Section] = []
        var total: UInt64 = 0
        for section in sections {
            guard section.size <= Self.largestSection else {
                throw malformed("section \(section.name) has \(section.size) bytes")
            }
            if section.flags & UInt64(SHF_ALLOC) != 0 { total += section.size }
            guard total <= 2 * Self.largestSection else {
                throw malformed("its sections have more than \(total) bytes")
            }
            let alignment = max(1, section.alignment)
            guard alignment <= Self.largestAlignment, alignment.nonzeroBitCount == 1 else {
                throw malformed("section \(section.name) is to be aligned to \(alignment) bytes")
            }
            var bytes: [UInt8] = []
            if section.flags & UInt64(SHF_ALLOC) != 0 {
                bytes =
                    section.type == UInt32(SHT_NOBITS)
                    ? [UInt8](repeating: 0, count: Int(section.size)) : try elf.contents(of: section)
            }
            read.append(
                Section(
                    name: section.name, type: section.type, flags: section.flags, alignment: Int(alignment),
                    bytes: bytes))
        }
        var symbols = try Self.symbols(of: elf, read)
        if let (what, option) = CompilerOptions.instrumentation(of: symbols) {
            throw LinkError.unsupported(
                path: path, what: "it was compiled with \(option), \(what)",
                remedy: "Build the program without \(option) while it is edited.")
        }
        let common = try Self.commonSection(&symbols, at: read.count, elf.path)
        for section in sections where section.type == UInt32(SHT_RELA) || section.type == UInt32(SHT_REL) {
            guard let target = Int(exactly: section.info), read.indices.contains(target) else {
                throw malformed("\(section.name) changes section \(section.info), which does not exist")
            }
            guard read[target].isAllocated else { continue }
            guard section.type == UInt32(SHT_RELA), section.entrySize == 24 else {
                throw malformed("\(section.name) holds relocations without addends, or of \(section.entrySize) bytes")
            }
            let bytes = try elf.contents(of: section)
            guard bytes.count / 24 <= Self.largestRelocations else {
                throw malformed("\(section.name) holds \(bytes.count / 24) relocations")
            }
            try read[target].relocations += bytes.withUnsafeBytes { bytes in
                try (0..<bytes.count / 24).map { index in
                    let raw = bytes.value(Elf64_Rela.self, at: UInt64(index * 24))!
                    let symbol = Int(raw.r_info >> 32)
                    guard raw.r_offset < read[target].bytes.count, symbol < symbols.count else {
                        throw malformed("relocation \(index) of \(section.name) leads out of the file")
                    }
                    return Relocation(
                        offset: Int(raw.r_offset), type: UInt32(truncatingIfNeeded: raw.r_info), symbol: symbol,
                        addend: raw.r_addend)
                }
            }
        }
        for index in read.indices {
            // Compilers write them in order; the order of two at one place has a meaning.
            let relocations = read[index].relocations
            if zip(relocations, relocations.dropFirst()).allSatisfy({ $0.offset <= $1.offset }) { continue }
            read[index].relocations = relocations.enumerated().sorted {
                ($0.element.offset, $0.offset) < ($1.element.offset, $1.offset)
            }.map(\.element)
        }
        self.sections = read + common
        self.symbols = symbols
    }

    /// Gives variables that no file initialises a section of their own, as a linker does: nothing else tells them from others.
    private static func commonSection(_ symbols: inout [Symbol], at section: Int, _ path: String) throws -> [Section] {
        var (size, alignment) = (0, 1)
        for index in symbols.indices {
            guard case .common(let own) = symbols[index].place else { continue }
            size = (size + own - 1) & ~(own - 1)
            alignment = max(alignment, own)
            symbols[index].place = .section(section)
            symbols[index].value = size
            size += symbols[index].size
            guard size <= largestSection else {
                throw LinkError.malformed(path: path, what: "its common variables have more than \(size) bytes")
            }
        }
        guard alignment > 1 || size > 0 else { return [] }
        return [
            Section(
                name: "COMMON", type: UInt32(SHT_NOBITS), flags: UInt64(SHF_ALLOC | SHF_WRITE), alignment: alignment,
                bytes: [UInt8](repeating: 0, count: size))
        ]
    }

    private static func symbols(of elf: ElfImage, _ sections: [Section]) throws -> [Symbol] {
        guard let table = elf.staticTable else { throw LinkError.malformed(path: elf.path, what: "it has no symbols") }
        return try (0..<table.count).map { index in
            let raw = table[index]
            let name = table.rawName(raw).map { String(decoding: $0, as: UTF8.self) } ?? ""
            func malformed(_ what: String) -> LinkError {
                .malformed(path: elf.path, what: "symbol \(index), \(name.isEmpty ? "without a name" : name), \(what)")
            }
            var symbol = Symbol(
                name: name, type: raw.type, binding: raw.binding, place: .undefined, value: 0, size: 0)
            switch Int32(raw.st_shndx) {
            case SHN_UNDEF: break
            case SHN_ABS: symbol.place = .absolute(raw.st_value)
            case SHN_COMMON:
                guard raw.st_size <= largestSection, raw.st_value <= largestAlignment,
                    raw.st_value.nonzeroBitCount == 1
                else { throw malformed("has \(raw.st_size) bytes, aligned to \(raw.st_value)") }
                symbol.place = .common(alignment: Int(raw.st_value))
                symbol.size = Int(raw.st_size)
            case SHN_LORESERVE...:
                throw malformed("lies in section \(raw.st_shndx), which has a meaning that is not known")
            default:
                let section = Int(raw.st_shndx)
                guard sections.indices.contains(section) else { throw malformed("lies in section \(section)") }
                symbol.place = .section(section)
                guard sections[section].isAllocated else { break }
                let count = UInt64(sections[section].bytes.count)
                guard raw.st_value <= count else {
                    throw malformed("lies beyond the end of section \(sections[section].name)")
                }
                guard sections[section].isExecutable || !symbol.isFunction else {
                    throw malformed("is a function and lies in section \(sections[section].name), which is no code")
                }
                symbol.value = Int(raw.st_value)
                // The Swift compiler gives a method's descriptor the size of the type's, which it is part of.
                symbol.size = Int(min(raw.st_size, count - raw.st_value))
            }
            return symbol
        }
    }
}
