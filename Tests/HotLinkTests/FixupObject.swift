import Glibc
import HotpatchTestSupport

/// As much of an ELF file as says what a linker has done: objects, and what is linked of them.
struct FixupObject {
    struct Section {
        var name: String
        var type: UInt32
        var flags: UInt64
        var address: UInt64
        var offset: Int
        var size: Int
        var link: Int
        var info: Int

        var isAllocated: Bool { flags & 2 != 0 }
        var isThreadLocal: Bool { flags & 0x400 != 0 }
        /// SHT_PROGBITS, and the arrays of initialisers.
        var hasBytes: Bool { type == 1 || (14...16).contains(type) }
    }

    struct Symbol {
        var name: String
        var type: UInt8
        var section: Int
        var value: UInt64
        var size: UInt64
    }

    struct Relocation {
        var offset: UInt64
        var type: UInt32
        var symbol: Int
        var addend: Int64
    }

    var bytes: [UInt8]
    var sections: [Section] = []
    var symbols: [Symbol] = []
    var dynamicSymbols: [Symbol] = []
    /// Start, size in memory and alignment of the thread-locals' segment.
    var threadLocals: (address: UInt64, size: UInt64, alignment: UInt64)?

    init(path: String) throws {
        bytes = try [UInt8](readingFile: path)
        guard bytes.count > 64, bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1]) else {
            throw TestFailure("\(path) is no ELF file")
        }
        let (start, count, names) = (Int(number(40, 8)), Int(number(60, 2)), Int(number(62, 2)))
        for index in 0..<count {
            let at = start + 64 * index
            sections.append(
                Section(
                    name: String(number(at, 4)), type: UInt32(number(at + 4, 4)), flags: number(at + 8, 8),
                    address: number(at + 16, 8), offset: Int(number(at + 24, 8)), size: Int(number(at + 32, 8)),
                    link: Int(number(at + 40, 4)), info: Int(number(at + 44, 4))))
        }
        for index in sections.indices {
            sections[index].name = string(sections[names].offset + Int(sections[index].name)!)
        }
        symbols = readSymbols(2)
        dynamicSymbols = readSymbols(11)
        for index in 0..<Int(number(56, 2)) {
            let at = Int(number(32, 8)) + 56 * index
            if number(at, 4) == 7 { threadLocals = (number(at + 16, 8), number(at + 40, 8), number(at + 48, 8)) }
        }
    }

    func number(_ at: Int, _ count: Int) -> UInt64 {
        (0..<count).reduce(0) { $0 | UInt64(bytes[at + $1]) << (8 * UInt64($1)) }
    }

    private func string(_ at: Int) -> String { String(decoding: bytes[at...].prefix { $0 != 0 }, as: UTF8.self) }

    private func readSymbols(_ type: UInt32) -> [Symbol] {
        guard let table = sections.first(where: { $0.type == type }) else { return [] }
        return stride(from: table.offset, to: table.offset + table.size, by: 24).map { at in
            Symbol(
                name: string(sections[table.link].offset + Int(number(at, 4))), type: bytes[at + 4] & 15,
                section: Int(number(at + 6, 2)), value: number(at + 8, 8), size: number(at + 16, 8))
        }
    }

    /// The records of SHT_RELA, ascending by offset.
    func relocations(_ section: Section) -> [Relocation] {
        stride(from: section.offset, to: section.offset + section.size, by: 24).map { at in
            Relocation(
                offset: number(at, 8), type: UInt32(number(at + 8, 4)), symbol: Int(number(at + 12, 4)),
                addend: Int64(bitPattern: number(at + 16, 8)))
        }.sorted { $0.offset < $1.offset }
    }

    func contents(_ section: Section) -> [UInt8] { Array(bytes[section.offset..<section.offset + section.size]) }

    /// What lies at an address; nil where the file has no bytes for it.
    func contents(at address: UInt64, count: Int) -> [UInt8]? {
        let found = sections.first {
            $0.isAllocated && $0.type != 8 && address >= $0.address && address - $0.address + UInt64(count) <= $0.size
        }
        return found.map {
            Array(bytes[($0.offset + Int(address - $0.address))...].prefix(count))
        }
    }

    func section(named name: String) -> Section? { sections.first { $0.name == name } }

    /// The symbol of a name that only one has.
    func symbol(named name: String) -> Symbol? {
        let found = symbols.filter { $0.name == name && $0.section != 0 }
        return found.count == 1 ? found[0] : nil
    }
}

func write(_ text: String, to path: String) throws {
    guard let file = fopen(path, "w") else { throw TestFailure("cannot write \(path)") }
    defer { fclose(file) }
    guard fputs(text, file) >= 0 else { throw TestFailure("cannot write \(path)") }
}
