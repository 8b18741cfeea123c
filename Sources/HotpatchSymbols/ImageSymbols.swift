import CHotpatchElf
import Glibc
import HotpatchELF
import HotpatchMemory

/// Which record of which table of an image.
struct SymbolReference: Hashable, Sendable {
    var raw: UInt32
    @inline(__always) init(index: Int, isStatic: Bool) {
        raw = UInt32(truncatingIfNeeded: index) | (isStatic ? 0x8000_0000 : 0)
    }
    @inline(__always) var index: Int { Int(raw & 0x7FFF_FFFF) }
    @inline(__always) var isStatic: Bool { raw & 0x8000_0000 != 0 }
}

/// The symbol tables of an image: its own, and where it was stripped, `.symtab` of its separate debug file.
struct SymbolTables: Sendable {
    let elf: ElfImage
    let debugElf: ElfImage?

    @inline(__always) var dynamicTable: SymbolTable? { elf.dynamicTable }
    @inline(__always) var staticTable: SymbolTable? { elf.staticTable ?? debugElf?.staticTable }

    @inline(__always)
    subscript(reference: SymbolReference) -> SymbolTable { reference.isStatic ? staticTable! : dynamicTable! }
}

/// The defined symbols of one file, by hash of their name: flat arrays over the mapped tables, no string for a symbol.
final class ImageSymbols: Sendable {
    let elf: ElfImage
    let tables: SymbolTables
    /// For reading it; of the process that it is an image of.
    let time: ReadingTime
    /// Parallel: the name's hash, and the record.
    let hashes: [UInt32]
    let references: [SymbolReference]
    /// Link-time ranges of the executable segments.
    let executable: [Range<UInt64>]

    /// What is read of it, for an error.
    let subject: String

    private let lazyFunctions: Lazy<[FunctionRecord]>
    private let lazyLabels: Lazy<[FunctionRecord]>
    private let lazyDemangled: Lazy<DemangledNames>
    private let lazyDemangledTable: Lazy<NameTable>
    private let lazyRelocations: Lazy<[DynamicRelocation]>

    /// - Parameter debugFile: the separate debug file, asked for where the image has no `.symtab`.
    init(_ elf: ElfImage, time: ReadingTime, debugFile: () -> ElfImage?) {
        self.elf = elf
        self.time = time
        let subject = "the symbols of \(elf.path)"
        self.subject = subject
        let tables = SymbolTables(elf: elf, debugElf: elf.staticTable == nil ? debugFile() : nil)
        self.tables = tables
        let executable = elf.loadSegments.compactMap { segment -> Range<UInt64>? in
            guard segment.permissions.contains(.execute) else { return nil }
            let end = segment.address.addingReportingOverflow(segment.memorySize)
            return end.overflow ? nil : segment.address..<end.partialValue
        }
        self.executable = executable
        let capacity = (tables.dynamicTable?.count ?? 0) + (tables.staticTable?.count ?? 0)
        var hashes: [UInt32] = []
        var references: [SymbolReference] = []
        hashes.reserveCapacity(capacity)
        references.reserveCapacity(capacity)
        for case let table? in [tables.dynamicTable, tables.staticTable] where table.count > 1 {
            for index in 1..<table.count {
                if time.isOver(at: index &- 1, subject) { break }
                let symbol = table[index]
                guard Self.isIndexed(symbol), let name = table.name(symbol), name.count > 0 else { continue }
                hashes.append(name.nameHash)
                references.append(SymbolReference(index: index, isStatic: !table.isDynamic))
            }
        }
        self.hashes = hashes
        self.references = references
        let entries = zip(hashes, references)
        let functions = Lazy { FunctionRecord.sorted(entries, tables, executable, time, subject) }
        lazyFunctions = functions
        lazyLabels = Lazy { FunctionRecord.labels(entries, tables, executable, time, subject) }
        let demangled = Lazy { DemangledNames(functions.get(), tables, time, subject) }
        lazyDemangled = demangled
        lazyDemangledTable = Lazy { NameTable(groups: [demangled.get().keyHashes], time) }
        lazyRelocations = Lazy { elf.functionRelocations(time) }
    }

    /// Functions in ascending order of their link-time address; each name at each address once.
    var functions: [FunctionRecord] { lazyFunctions.get() }
    /// Whatever else names a place of code, likewise: labels of assembly that no other file can name, and data between functions.
    var labels: [FunctionRecord] { lazyLabels.get() }
    /// Parallel to `functions`.
    var demangled: DemangledNames { lazyDemangled.get() }
    /// The keys of `demangled`, for a query that is about this image alone.
    var demangledTable: NameTable { lazyDemangledTable.get() }
    var relocations: [DynamicRelocation] { lazyRelocations.get() }

    @inline(__always)
    func table(_ reference: SymbolReference) -> SymbolTable {
        tables[reference]
    }

    @inline(__always)
    func symbol(_ reference: SymbolReference) -> Elf64_Sym { table(reference)[reference.index] }

    @inline(__always)
    func name(_ reference: SymbolReference) -> UnsafeRawBufferPointer {
        let table = table(reference)
        return table.name(table[reference.index]) ?? UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// Defined, with an address that moves with the image: no sections, files, thread-local or absolute symbols.
    @inline(__always)
    private static func isIndexed(_ symbol: Elf64_Sym) -> Bool {
        switch Int32(symbol.type) {
        case STT_FUNC, STT_GNU_IFUNC, STT_OBJECT, STT_NOTYPE: break
        default: return false
        }
        return symbol.isDefined && symbol.st_shndx != UInt16(SHN_ABS) && symbol.st_shndx != UInt16(SHN_COMMON)
    }

    @inline(__always)
    func isFunction(_ symbol: Elf64_Sym) -> Bool { Self.isFunction(symbol, executable) }

    /// A symbol of code: typed so, or an untyped label of hand-written assembly that other files can name.
    @inline(__always)
    static func isFunction(_ symbol: Elf64_Sym, _ executable: [Range<UInt64>]) -> Bool {
        switch Int32(symbol.type) {
        case STT_FUNC, STT_GNU_IFUNC: break
        // Local ones are branch targets, or the mapping symbols $x and $d of arm64 (AArch64 ELF §4.5.1).
        case STT_NOTYPE where symbol.binding != .local: break
        default: return false
        }
        for range in executable where range.contains(symbol.st_value) { return true }
        return false
    }
}

/// A function of an image: link-time address and record.
struct FunctionRecord: Sendable {
    var value: UInt64
    var hash: UInt32
    var reference: SymbolReference

    static func sorted(
        _ entries: Zip2Sequence<[UInt32], [SymbolReference]>, _ tables: SymbolTables, _ executable: [Range<UInt64>],
        _ time: ReadingTime, _ subject: String
    ) -> [FunctionRecord] {
        var records: [FunctionRecord] = []
        for (row, (hash, reference)) in entries.enumerated() {
            if time.isOver(at: row, subject) { return [] }
            let table = tables[reference]
            let symbol = table[reference.index]
            guard ImageSymbols.isFunction(symbol, executable) else { continue }
            records.append(FunctionRecord(value: symbol.st_value, hash: hash, reference: reference))
        }
        // The dynamic copy first: it knows the version.
        records.sort(within: time, subject) {
            if $0.value != $1.value { return $0.value < $1.value }
            return $0.hash != $1.hash ? $0.hash < $1.hash : $0.reference.raw < $1.reference.raw
        }
        var kept = 0
        for index in records.indices {
            if time.isOver(at: index, subject) { return [] }
            if kept > 0, records[kept - 1].value == records[index].value, records[kept - 1].hash == records[index].hash
            {
                let names = [records[kept - 1], records[index]].map { record in
                    let table = tables[record.reference]
                    return table.name(table[record.reference.index])!
                }
                if names[0].equals(names[1]) { continue }
            }
            records[kept] = records[index]
            kept += 1
        }
        records.removeSubrange(kept...)
        return records
    }
}

extension FunctionRecord {
    static func labels(
        _ entries: Zip2Sequence<[UInt32], [SymbolReference]>, _ tables: SymbolTables, _ executable: [Range<UInt64>],
        _ time: ReadingTime, _ subject: String
    ) -> [FunctionRecord] {
        var records: [FunctionRecord] = []
        for (row, (hash, reference)) in entries.enumerated() {
            if time.isOver(at: row, subject) { return [] }
            let table = tables[reference]
            let symbol = table[reference.index]
            guard !ImageSymbols.isFunction(symbol, executable),
                executable.contains(where: { $0.contains(symbol.st_value) })
            else { continue }
            // `$x`, `$d`, `$x.12` of arm64 say what follows, and name nothing (AArch64 ELF §4.5.1).
            if symbol.binding == .local, Int32(symbol.type) == STT_NOTYPE,
                table.name(symbol)?.first == UInt8(ascii: "$")
            {
                continue
            }
            records.append(FunctionRecord(value: symbol.st_value, hash: hash, reference: reference))
        }
        records.sort(within: time, subject) {
            $0.value != $1.value ? $0.value < $1.value : $0.reference.raw < $1.reference.raw
        }
        return records
    }
}

/// The demangled names of an image's functions in one arena, and the hashes of what each answers to (`NameKeys`).
struct DemangledNames: Sendable {
    let functions: [FunctionRecord]
    private var arena: [UInt8] = []
    private var languages: [Demangler.Language] = []
    private var ends: [UInt32] = []
    /// Parallel: a key's hash, and the index of its function.
    private(set) var keyHashes: [UInt32] = []
    private(set) var keyOwners: [UInt32] = []

    init(_ functions: [FunctionRecord], _ tables: SymbolTables, _ time: ReadingTime, _ subject: String) {
        var demangler = Demangler()
        var keys = NameKeys()
        self.functions = functions
        ends.reserveCapacity(functions.count)
        languages.reserveCapacity(functions.count)
        arena.reserveCapacity(functions.count * 64)
        keyHashes.reserveCapacity(functions.count * 4)
        keyOwners.reserveCapacity(functions.count * 4)
        for (owner, function) in functions.enumerated() {
            if owner & 255 == 0, time.isOver(subject) { break }
            let table = tables[function.reference]
            // A hostile file can make names that expand without end.
            let name = table.name(table[function.reference.index])
            let language = name.flatMap(Demangler.language)
            languages.append(language ?? .cxx)
            if let name, let language, arena.count < 1 << 30 {
                _ = demangler.demangle(name) { text in
                    arena.append(contentsOf: text)
                    keys.forEachKey(of: text, language) { _, key in
                        keyHashes.append(key.nameHash)
                        keyOwners.append(UInt32(truncatingIfNeeded: owner))
                    }
                }
            }
            ends.append(UInt32(truncatingIfNeeded: arena.count))
        }
    }

    /// Calls `body` with the demangled name of a function, empty where it has none.
    @inline(__always)
    func withText<R>(_ function: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        // The time may have been over before its turn came.
        guard function < ends.count else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        let start = function == 0 ? 0 : Int(ends[function - 1])
        let end = Int(ends[function])
        return arena.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[start..<end])) }
    }

    /// Calls `body` with each function whose name holds `text`, once for each time.
    func forEach(holding text: UnsafeRawBufferPointer, _ body: (Int) -> Void) {
        arena.withUnsafeBytes { arena in
            var position = 0
            while let offset = arena.firstIndex(of: text, from: position) {
                position = offset + 1
                var low = 0
                var high = ends.count
                while low < high {
                    let middle = (low + high) / 2
                    if Int(ends[middle]) > offset { high = middle } else { low = middle + 1 }
                }
                // Not one that begins in a name and ends in the next.
                if low < ends.count, offset + text.count <= Int(ends[low]) { body(low) }
            }
        }
    }

    func language(_ function: Int) -> Demangler.Language { languages[function] }
}

/// The demangled names of all images.
struct DemangledIndex: Sendable {
    /// Parallel to the images.
    let names: [DemangledNames]
    let table: NameTable

    init(_ images: [LoadedImage], _ time: ReadingTime) {
        names = images.map(\.symbols.demangled)
        table = NameTable(groups: names.map(\.keyHashes), time)
    }
}
