import Glibc
import HotpatchExpectations
import HotpatchHotLink
import HotpatchMemory
import HotpatchPlan
import HotpatchTestSupport
import Testing

/// The greatest and the least value of each field are put there by lld too, and those beyond are refused by it as well: for the types that
/// refer to a symbol or the place of one.
@Suite struct FixupBoundaryTests {
    private static let text: UInt64 = 0x2000_0000_0000
    private static let stride: UInt64 = 64

    /// 32 and 16 bits of arm64 relative to the place: lld lets their readers extend them either way.
    private static let narrower: Set<String> = ["R_AARCH64_PREL32", "R_AARCH64_PREL16"]

    private struct Linked {
        var words: [[UInt8]]
        var refused: Set<String>
        var misaligned: Set<String>
    }

    private let architecture: Architecture
    private let rows: [FixupRow]
    private let directory: TemporaryDirectory

    private init(_ architecture: Architecture) throws {
        self.architecture = architecture
        directory = try TemporaryDirectory("boundaries")
        rows = FixupTable(architecture).rows.filter { row in
            [.symbol, .plt].contains(row.subject) && [.absolute, .relative, .page].contains(row.expression)
                && row.byteCount > 0 && !row.name.hasSuffix("_BND")
        }
        var source = ".text\n.globl _start\n_start:\n"
        for (index, row) in rows.enumerated() {
            let word = Self.before(row).prefix(4).withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
            source += ".balign \(Self.stride)\n.reloc ., \(row.name), target\(index)\n.long \(word), 0\n"
        }
        try write(source, to: "\(directory.path)/source")
        let target = architecture == .x86_64 ? "x86_64-linux-gnu" : "aarch64-linux-gnu"
        try runTool(
            "clang", "--target=\(target)", "-x", "assembler", "-c", "-o", "\(directory.path)/object.o",
            "\(directory.path)/source")
    }

    init() throws { try self.init(.x86_64) }

    /// The instruction that the type is for, where a linker looks at it.
    private static func before(_ row: FixupRow) -> [UInt8] {
        let word: UInt32 =
            switch row.name {
            case "R_AARCH64_JUMP26": 0x1400_0000  // b
            case "R_AARCH64_CALL26": 0x9400_0000  // bl
            // movk, movz
            case let name where name.contains("_MOVW_"): name.hasSuffix("_NC") ? 0xf280_0000 : 0xd280_0000
            default: 0
            }
        return withUnsafeBytes(of: UInt64(word).littleEndian, Array.init)
    }

    private func place(_ index: Int) -> UInt64 { Self.text + UInt64(index) * Self.stride }

    private func link(_ values: [Int64]) throws -> Linked {
        let linked = "\(directory.path)/linked"
        let emulation = architecture == .x86_64 ? "elf_x86_64" : "aarch64linux"
        var command = ["ld.lld", "-m", emulation, "-O0", "-static", "--no-relax", "--noinhibit-exec", "-o", linked]
        command += ["-Ttext=0x\(String(Self.text, radix: 16))", "\(directory.path)/object.o"]
        for (index, row) in rows.enumerated() {
            let base =
                switch row.expression {
                case .relative: place(index)
                case .page: place(index) & ~0xfff
                default: UInt64(0)
                }
            let symbol = base &+ UInt64(bitPattern: values[index])
            expect(
                row.value(subject: symbol, addend: 0, place: Address(place(index)), got: .null), equals: values[index])
            command.append("--defsym=target\(index)=0x\(String(symbol, radix: 16))")
        }
        let result = try run(command)
        guard result.status == 0 else { throw TestFailure("\(result)") }
        let file = try FixupObject(path: linked)
        func names(_ words: String) -> Set<String> {
            Set(
                result.errors.split(separator: "\n").filter { $0.contains(words) }.compactMap { line in
                    rows.first { line.contains("relocation \($0.name)" + (words.hasPrefix(" ") ? words : ":")) }?.name
                })
        }
        return Linked(
            words: rows.indices.compactMap { file.contents(at: place($0), count: 8) }, refused: names(" out of range"),
            misaligned: names("improper alignment"))
    }

    /// Unchecked fields take any value.
    private func values(_ checked: (ClosedRange<Int64>) -> Int64, otherwise: Int64) -> [Int64] {
        rows.map { row in (row.range.map(checked) ?? otherwise) & ~Int64(row.alignment - 1) }
    }

    private func checkFit(_ values: [Int64]) throws {
        let linked = try link(values)
        #expect(linked.refused.isEmpty && linked.misaligned.isEmpty)
        expect(linked.words.count, equals: rows.count)
        // What lld takes for a call it leads elsewhere when that is farther away than calls reach.
        for (index, (row, word)) in zip(rows, linked.words).enumerated() where row.name != "R_AARCH64_PLT32" {
            var bytes = Self.before(row)
            try row.write(values[index], into: &bytes, at: 0)
            expect(bytes, equals: word, "\(row) of \(values[index])")
        }
    }

    private func check() throws {
        #expect(rows.count >= 10)
        try checkFit(values(\.lowerBound, otherwise: -0x1234_5678_9abc_def0))
        try checkFit(values(\.upperBound, otherwise: 0x1234_5678_9abc_def0))
        // lld leads calls of arm64 elsewhere that do not reach.
        let checked = rows.filter { $0.range != nil && !(architecture == .arm64 && $0.isCall) }
        let names = Set(checked.map(\.name))
        func beyond(_ value: (FixupRow, ClosedRange<Int64>) -> Int64) -> [Int64] {
            rows.map { row in
                guard names.contains(row.name), let range = row.range else { return 0 }
                return value(row, range)
            }
        }
        let below = try link(beyond { row, range in range.lowerBound - Int64(row.alignment) })
        expect(below.refused, equals: names)
        let above = try link(
            beyond { row, range in (range.upperBound & ~Int64(row.alignment - 1)) + Int64(row.alignment) })
        expect(above.refused, equals: names.subtracting(Self.narrower))
        // Units of pages are made by the expression.
        let odd = try link(rows.map { row in row.expression == .page ? 0 : Int64(row.alignment / 2) })
        #expect(odd.misaligned.isSubset(of: rows.filter { $0.alignment > 1 }.map(\.name)))
        expect(odd.misaligned.isEmpty, equals: (architecture == .x86_64))
    }

    @Test func x86_64() throws { try FixupBoundaryTests(.x86_64).check() }

    @Test func arm64() throws { try FixupBoundaryTests(.arm64).check() }
}
