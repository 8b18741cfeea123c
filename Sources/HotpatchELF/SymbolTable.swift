import CHotpatchElf
import HotpatchMemory

/// A symbol table and its strings, in place in the mapped file. The mapping must outlive it: an `ElfImage` sees to that.
@usableFromInline
package struct SymbolTable: @unchecked Sendable {
    @usableFromInline package let records: UnsafeRawBufferPointer
    @usableFromInline package let strings: UnsafeRawBufferPointer
    /// `.gnu.version`: one number for each symbol; empty in `.symtab`.
    @usableFromInline package let versions: UnsafeRawBufferPointer
    @usableFromInline package let count: Int
    @usableFromInline package let isDynamic: Bool
    @usableFromInline package let fileOffset: UInt64

    @usableFromInline package static let recordSize = MemoryLayout<Elf64_Sym>.size
    /// A file with a larger table is refused: the largest programs have two million symbols.
    static let largestCount: UInt64 = 8 << 20
    /// In bytes, of the names.
    static let largestStrings: UInt64 = 768 << 20

    static func check(_ records: UInt64, _ strings: UInt64, path: String) throws(ReadError) {
        guard records <= largestCount * UInt64(recordSize), strings <= largestStrings else {
            throw .unsupported(
                path: path,
                what: "it says it has \(records / UInt64(recordSize)) symbols with \(strings) bytes of names, "
                    + "and at most \(largestCount) and \(largestStrings) are read")
        }
    }

    init(
        records: UnsafeRawBufferPointer, strings: UnsafeRawBufferPointer, versions: UnsafeRawBufferPointer,
        isDynamic: Bool, fileOffset: UInt64
    ) {
        self.records = records
        self.strings = strings
        self.versions = versions
        self.isDynamic = isDynamic
        self.fileOffset = fileOffset
        // An index fits 31 bits (`SymbolReference`).
        count = min(records.count / Self.recordSize, Int(Int32.max))
    }

    init?(
        staticOf bytes: FileContents, _ sections: [ElfSection], path: String
    ) throws(ReadError) {
        guard let table = sections.first(where: { $0.type == UInt32(SHT_SYMTAB) }) else { return nil }
        guard table.entrySize == UInt64(Self.recordSize) else {
            throw .malformed(
                path: path, offset: table.fileOffset,
                what: "symbols of .symtab are \(table.entrySize) bytes long, not 24")
        }
        if Int(table.link) < sections.count { try Self.check(table.size, sections[Int(table.link)].size, path: path) }
        guard let records = bytes.slice(at: table.fileOffset, count: table.size) else {
            throw .malformed(path: path, offset: table.fileOffset, what: ".symtab reaches beyond the end of the file")
        }
        guard Int(table.link) < sections.count,
            let strings = bytes.slice(at: sections[Int(table.link)].fileOffset, count: sections[Int(table.link)].size)
        else {
            throw .malformed(path: path, offset: table.fileOffset, what: "the strings of .symtab lie outside the file")
        }
        self.init(
            records: records, strings: strings, versions: UnsafeRawBufferPointer(start: nil, count: 0),
            isDynamic: false,
            fileOffset: table.fileOffset)
    }

    /// `index` must be in `0 ..< count`.
    @inlinable @inline(__always)
    package subscript(index: Int) -> Elf64_Sym {
        precondition(index >= 0 && index < count)
        return records.baseAddress!.loadUnaligned(fromByteOffset: index &* Self.recordSize, as: Elf64_Sym.self)
    }

    /// The name as it is in the file; in `.symtab` linkers append `@VERSION` to versioned ones.
    @inlinable @inline(__always)
    package func rawName(_ symbol: Elf64_Sym) -> UnsafeRawBufferPointer? {
        strings.terminated(at: UInt64(symbol.st_name))
    }

    /// The name without a version.
    @inlinable @inline(__always)
    package func name(_ symbol: Elf64_Sym) -> UnsafeRawBufferPointer? {
        guard let name = rawName(symbol) else { return nil }
        guard !isDynamic, let at = name.firstIndex(ofByte: UInt8(ascii: "@")), at > 0 else { return name }
        return UnsafeRawBufferPointer(rebasing: name[..<at])
    }

    /// The number in `.gnu.version`, with its hidden bit (0x8000).
    package func versionNumber(_ index: Int) -> UInt16? { versions.value(UInt16.self, at: UInt64(index) &* 2) }
}

extension Elf64_Sym {
    @inlinable @inline(__always) package var type: UInt8 { st_info & 0xF }
    @inlinable @inline(__always) package var isDefined: Bool { st_shndx != UInt16(SHN_UNDEF) }
    @inlinable package var binding: SymbolBinding { SymbolBinding(st_info >> 4) }
    package var visibility: SymbolVisibility { SymbolVisibility(rawValue: st_other & 3)! }
    /// STO_AARCH64_VARIANT_PCS (AAELF64), of a symbol of arm64.
    package var isVariantCall: Bool { st_other & 0x80 != 0 }
}

/// STB_*: who may refer to the symbol, and which of several definitions counts (elf(5)).
public enum SymbolBinding: Hashable, Sendable {
    /// STB_LOCAL: seen in its own object only.
    case local
    /// STB_GLOBAL: seen by all objects, and the one definition that they may have.
    case global
    /// STB_WEAK: gives way to a global definition, and may be missing.
    case weak
    /// STB_GNU_UNIQUE: one definition for the whole process.
    case unique
    /// A binding that has no name here, by its number.
    case other(UInt8)

    @inlinable package init(_ raw: UInt8) {
        switch raw {
        case 0: self = .local
        case 1: self = .global
        case 2: self = .weak
        case 10: self = .unique
        default: self = .other(raw)
        }
    }
}

/// STV_* (elf(5)).
public enum SymbolVisibility: UInt8, Hashable, Sendable {
    /// STV_DEFAULT: seen by other images, whose definitions may take its place.
    case `default` = 0
    /// STV_INTERNAL: hidden, and more where a processor's ABI says so.
    case `internal`
    /// STV_HIDDEN: not seen by other images.
    case hidden
    /// STV_PROTECTED: seen by other images, whose definitions do not take its place.
    case protected
}

/// One symbol of a file.
public struct ElfSymbol: Hashable, Sendable {
    /// Mangled, without a version.
    package var name: String
    /// Link-time address; in an object file, the offset in its section.
    package var value: UInt64
    /// In bytes; 0 where the file does not say.
    package var size: UInt64
    /// STT_FUNC, STT_OBJECT, …
    package var type: UInt8
    package var binding: SymbolBinding
    package var visibility: SymbolVisibility
    /// SHN_UNDEF for a symbol that is defined elsewhere.
    package var sectionIndex: UInt16
    package var version: String?
    /// True of an unversioned symbol, and of the version that new programs are linked against (`name@@VERSION`).
    package var isDefaultVersion: Bool

    /// A function, or an indirect one.
    package var isFunction: Bool { type == UInt8(STT_FUNC) || type == UInt8(STT_GNU_IFUNC) }
    package var isDefined: Bool { sectionIndex != UInt16(SHN_UNDEF) }
}

extension ElfImage {
    /// The symbols of `.symtab`, without the null symbol; empty in a stripped file.
    public var symbols: [ElfSymbol] { symbols(of: staticTable) }

    /// The symbols of `.dynsym`, without the null symbol: what the dynamic linker sees.
    public var dynamicSymbols: [ElfSymbol] { symbols(of: dynamicTable) }

    /// What the file needs from elsewhere.
    package var undefinedDynamicSymbols: [ElfSymbol] {
        dynamicSymbols.filter { !$0.isDefined && !$0.name.isEmpty }
    }

    /// Calls `body` with each defined function of `.dynsym` and of `.symtab`: name, link-time address, size in bytes, binding. One that
    /// both tables hold comes twice.
    package func forEachFunction(
        exportedOnly: Bool = false,
        _ body: (_ name: UnsafeRawBufferPointer, _ value: UInt64, _ size: UInt64, _ binding: SymbolBinding) -> Void
    ) {
        for case let table? in [dynamicTable, exportedOnly ? nil : staticTable] where table.count > 1 {
            for index in 1..<table.count {
                let symbol = table[index]
                let isFunction = symbol.type == UInt8(STT_FUNC) || symbol.type == UInt8(STT_GNU_IFUNC)
                guard isFunction, symbol.isDefined, symbol.st_value != 0, let name = table.name(symbol) else {
                    continue
                }
                if exportedOnly, symbol.binding == .local { continue }
                body(name, symbol.st_value, symbol.st_size, symbol.binding)
            }
        }
    }

    private func symbols(of table: SymbolTable?) -> [ElfSymbol] {
        guard let table, table.count > 1 else { return [] }
        return (1..<table.count).map { symbol(table, $0) }
    }

    package func symbol(_ table: SymbolTable, _ index: Int) -> ElfSymbol {
        let raw = table[index]
        let version = version(of: table, index)
        return ElfSymbol(
            name: table.name(raw).map { String(decoding: $0, as: UTF8.self) } ?? "", value: raw.st_value,
            size: raw.st_size, type: raw.type, binding: raw.binding, visibility: raw.visibility,
            sectionIndex: raw.st_shndx, version: version.name, isDefaultVersion: version.isDefault)
    }

    /// The version of a symbol, from `.gnu.version` or from the text behind the name.
    package func version(of table: SymbolTable, _ index: Int) -> (name: String?, isDefault: Bool) {
        if table.isDynamic {
            guard let number = table.versionNumber(index), number & 0x7FFF > 1,
                let name = dynamic.versionNames[number & 0x7FFF]
            else { return (nil, true) }
            return (name, number & 0x8000 == 0)
        }
        guard let name = table.rawName(table[index]), let at = name.firstIndex(ofByte: UInt8(ascii: "@")), at > 0 else {
            return (nil, true)
        }
        let isDefault = name.count > at + 1 && name[at + 1] == UInt8(ascii: "@")
        return (String(decoding: name[(at + (isDefault ? 2 : 1))...], as: UTF8.self), isDefault)
    }
}
