import CPatchCore
import Glibc
import HotpatchExpectations
import HotpatchHotLink
import HotpatchMemory
import HotpatchPlan
import HotpatchTestSupport
import Testing

@Suite struct FixupTableTests {
    private static let rows = Architecture.allCases.flatMap { FixupTable($0).rows }
    private static let written = rows.filter { $0.expression != .unsupported && $0.expression != .none }

    private func row(_ architecture: Architecture, _ type: UInt32) throws -> FixupRow {
        try #require(FixupTable(architecture).row(type))
    }

    /// The numbers and names are those of the system's own list, and none of that is missing.
    @Test(arguments: [(Architecture.x86_64, "R_X86_64_"), (.arm64, "R_AARCH64_")])
    func namesAndNumbers(_ architecture: Architecture, _ prefix: String) throws {
        let table = FixupTable(architecture)
        #expect(zip(table.rows, table.rows.dropFirst()).allSatisfy { $0.type < $1.type })
        #expect(table.rows.allSatisfy { $0.architecture == architecture && table.row($0.type) == $0 })
        var count = 0
        for line in try String(readingFile: "/usr/include/elf.h").split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count >= 3, words[0] == "#define", words[1].hasPrefix(prefix), let type = UInt32(words[2]),
                !words[1].contains("_P32_"), !words[1].hasSuffix("_NUM")
            else { continue }
            expect(table.row(type)?.name, equals: String(words[1]), "type \(type)")
            count += 1
        }
        #expect(count > 38)
        expect(table.row(0x7fff_ffff), equals: nil)
        expect(table.row(200), equals: nil)
    }

    @Test func unknownArchitecture() {
        var count = 7
        expect(hp_fixup_rows(hp_arch(rawValue: 77), &count), equals: nil)
        expect(count, equals: 0)
        expect(hp_fixup_row(hp_arch(rawValue: 77), 1), equals: nil)
    }

    @Test func whatOnlyLinkersWriteIsRefused() throws {
        let dynamic = Self.rows.filter { $0.expression == .unsupported }
        expect(dynamic.count, equals: 17)
        for row in dynamic {
            var bytes = [UInt8](repeating: 1, count: 16)
            #expect(throws: FixupProblem.unsupported) { try row.write(0, into: &bytes, at: 0) }
            #expect(throws: FixupProblem.unsupported) { try row.read(bytes, at: 0) }
            #expect(throws: FixupProblem.unsupported) { try row.mask(of: bytes, at: 0) }
            #expect(throws: FixupProblem.unsupported) { try row.find(in: bytes, from: bytes, at: 0) }
        }
    }

    /// For each type: the lowest and highest value that fit, and those just beyond, are written among random bits.
    @Test func boundaries() throws {
        var random = SeededGenerator(seed: testSeed())
        for row in Self.written {
            let mask = FixupLink.fieldMask(row)
            #expect(mask.contains { $0 != 0 }, "\(row)")
            let unit = Int64(row.alignment)
            let range = row.range ?? Int64.min...Int64.max
            let values = [
                range.lowerBound, range.upperBound & ~(unit - 1), 0, unit, range.upperBound / 2 & ~(unit - 1),
            ]
            for value in values {
                // A movz, so that bit 30 may be what the value makes of it.
                var bytes = (0..<row.byteCount).map { _ in UInt8.random(in: 0...255, using: &random) }
                if row.isInstruction { bytes[3] &= 0xdf }
                let before = bytes
                try row.write(value, into: &bytes, at: 0)
                #expect(FixupLink.equal(before, bytes, mask), "\(row) of \(value)")
                let field = try row.read(bytes, at: 0)
                #expect(field.holds(value), "\(row) of \(value): \(field)")
                expect(UInt64(bitPattern: field.value) & ~field.known, equals: 0)
            }
            var bytes = [UInt8](repeating: 0xa5, count: row.byteCount)
            if row.range != nil {
                for value in [range.lowerBound - 1, range.upperBound + 1, Int64.min, Int64.max] {
                    #expect(throws: FixupProblem.doesNotFit(value: value, range: range), "\(row)") {
                        try row.write(value, into: &bytes, at: 0)
                    }
                }
            }
            for bit in 0..<63 where Int64(1) << bit < unit {
                let value = Int64(1) << bit
                #expect(throws: FixupProblem.misaligned(value: value, alignment: row.alignment), "\(row)") {
                    try row.write(value, into: &bytes, at: 0)
                }
            }
            #expect(bytes.allSatisfy { $0 == 0xa5 })
        }
    }

    @Test func places() throws {
        for row in Self.rows where row.expression != .unsupported {
            var bytes = [UInt8](repeating: 0, count: 12)
            for offset in [-1, 13, 12 - row.byteCount + 1, Int.max, Int.min] {
                #expect(throws: FixupProblem.outOfBounds) { try row.write(0, into: &bytes, at: offset) }
                #expect(throws: FixupProblem.outOfBounds) { try row.read(bytes, at: offset) }
                #expect(throws: FixupProblem.outOfBounds) { try row.mask(of: bytes, at: offset) }
                #expect(throws: FixupProblem.outOfBounds) { try row.find(in: bytes, from: bytes, at: offset) }
            }
            #expect(throws: FixupProblem.outOfBounds) { try row.find(in: bytes, from: bytes + [0], at: 0) }
            guard row.isInstruction else { continue }
            #expect(throws: FixupProblem.misplaced) { try row.write(0, into: &bytes, at: 2) }
            #expect(throws: FixupProblem.misplaced) { try row.read(bytes, at: 1) }
        }
    }

    /// Each expression, by the letters of the psABIs.
    @Test func expressions() throws {
        let (place, got) = (Address(0x40_1234), Address(0x60_0008))
        func value(_ architecture: Architecture, _ type: UInt32, _ subject: UInt64, _ addend: Int64) throws -> Int64 {
            try row(architecture, type).value(subject: subject, addend: addend, place: place, got: got)
        }
        try expect(value(.x86_64, 1, 0x50_0000, 16), equals: 0x50_0010)  // S + A
        try expect(value(.x86_64, 2, 0x40_1000, -4), equals: -0x238)  // S + A - P
        try expect(value(.x86_64, 25, 0x60_0000, 0), equals: -8)  // S + A - GOT
        try expect(value(.x86_64, 26, 0xdead, -4), equals: 0x1f_edd0)  // GOT + A - P
        try expect(value(.x86_64, 9, 0x60_0010, -4), equals: 0x1f_edd8)  // G + GOT + A - P
        try expect(value(.x86_64, 0, 0x60_0010, -4), equals: 0)
        try expect(value(.arm64, 275, 0x50_0fff, 1), equals: 0x10_0000)  // Page(S + A) - Page(P)
        try expect(value(.arm64, 275, 0x40_0fff, 0), equals: -0x1000)
        try expect(value(.arm64, 311, 0x60_0ff8, 0x1000), equals: 0x1f_f000)  // the addend is the slot's
        try expect(value(.arm64, 313, 0x60_0ff8, 0x1000), equals: 0xff8)  // G - Page(GOT)
        try expect(value(.arm64, 310, 0x60_0ff8, 0), equals: 0xff0)  // G - GOT
        try expect(value(.arm64, 283, 0x40_1000, 4), equals: -0x230)
        try expect(value(.x86_64, 2, 0, Int64.min), equals: Int64.min &- 0x40_1234)  // wraps around
    }

    /// What instructions of arm64 become: type, instruction, value, instruction. Assembled with clang.
    private static let words: [(UInt32, UInt32, Int64, UInt32)] = [
        (283, 0x9400_0000, 0x7ff_fffc, 0x95ff_ffff),  // bl .+134217724
        (283, 0x9400_0000, -0x800_0000, 0x9600_0000),  // bl .-134217728
        (282, 0x1400_0000, 4, 0x1400_0001),  // b .+4
        (280, 0x5400_0000, 0xf_fffc, 0x547f_ffe0),  // b.eq .+1048572
        (280, 0x5400_0000, -0x10_0000, 0x5480_0000),  // b.eq .-1048576
        (280, 0xb500_0007, -4, 0xb5ff_ffe7),  // cbnz x7, .-4
        (279, 0xb640_0009, 0x7ffc, 0xb643_ffe9),  // tbz x9, #40, .+32764
        (279, 0x3708_0005, -0x8000, 0x370c_0005),  // tbnz w5, #1, .-32768
        (273, 0x5800_0006, 0xf_fffc, 0x587f_ffe6),  // ldr x6, .+1048572
        (309, 0x9c00_0006, -8, 0x9cff_ffc6),  // ldr q6, .-8
        (522, 0x5800_0006, 0xf_fffc, 0x587f_ffe6), (543, 0x5800_0006, 0xf_fffc, 0x587f_ffe6),
        (560, 0x5800_0006, 0xf_fffc, 0x587f_ffe6),
        (274, 0x1000_0007, 0xf_ffff, 0x707f_ffe7),  // adr x7, #1048575
        (274, 0x1000_0007, -0x10_0000, 0x1080_0007),  // adr x7, #-1048576
        (512, 0x1000_0007, 0xf_ffff, 0x707f_ffe7), (517, 0x1000_0007, 0xf_ffff, 0x707f_ffe7),
        (561, 0x1000_0007, 0xf_ffff, 0x707f_ffe7),
        (275, 0x9000_0008, 0xfffe_d000, 0xb07f_ff68),  // adrp x8, .+0xfffed000
        (276, 0x9000_0008, -0x1_0000_0000, 0x9080_0008),  // adrp x8, .-0x100000000
        (311, 0x9000_0008, -0x1000, 0xf0ff_ffe8), (513, 0x9000_0008, -0x1000, 0xf0ff_ffe8),
        (518, 0x9000_0008, -0x1000, 0xf0ff_ffe8), (541, 0x9000_0008, -0x1000, 0xf0ff_ffe8),
        (562, 0x9000_0008, -0x1000, 0xf0ff_ffe8),
        (277, 0x9100_0109, 0x12_3fff, 0x913f_fd09),  // add x9, x8, #0xfff
        (514, 0x9100_0109, 0xfff, 0x913f_fd09), (519, 0x9100_0109, 0xfff, 0x913f_fd09),
        (529, 0x9100_0109, 0xfff, 0x913f_fd09), (530, 0x9100_0109, 0x1fff, 0x913f_fd09),
        (550, 0x9100_0109, 0xfff, 0x913f_fd09), (551, 0x9100_0109, 0x1fff, 0x913f_fd09),
        (564, 0x9100_0109, 0x1fff, 0x913f_fd09),
        (549, 0x9140_0109, 0xab_cdef, 0x916a_f109),  // add x9, x8, #0xabc, lsl #12
        (528, 0x9140_0109, 0xab_cdef, 0x916a_f109),
        (278, 0x3940_0100, 0x1fff, 0x397f_fd00),  // ldrb w0, [x8, #0xfff]
        (531, 0x3940_0100, 0xfff, 0x397f_fd00), (552, 0x3940_0100, 0xfff, 0x397f_fd00),
        (284, 0x7900_0100, 0x1ffe, 0x791f_fd00),  // strh w0, [x8, #0xffe]
        (533, 0x7900_0100, 0xffe, 0x791f_fd00), (554, 0x7900_0100, 0xffe, 0x791f_fd00),
        (285, 0xb940_0100, 0x1ffc, 0xb94f_fd00),  // ldr w0, [x8, #0xffc]
        (535, 0xb940_0100, 0xffc, 0xb94f_fd00), (556, 0xb940_0100, 0xffc, 0xb94f_fd00),
        (286, 0xf900_0100, 0x1ff8, 0xf907_fd00),  // str x0, [x8, #0xff8]
        (312, 0xf900_0100, 0x1ff8, 0xf907_fd00), (537, 0xf900_0100, 0xff8, 0xf907_fd00),
        (542, 0xf900_0100, 0x1ff8, 0xf907_fd00), (558, 0xf900_0100, 0xff8, 0xf907_fd00),
        (563, 0xf900_0100, 0x1ff8, 0xf907_fd00),
        (299, 0x3dc0_0100, 0x1ff0, 0x3dc3_fd00),  // ldr q0, [x8, #0xff0]
        (570, 0x3dc0_0100, 0xff0, 0x3dc3_fd00), (572, 0x3dc0_0100, 0xff0, 0x3dc3_fd00),
        (313, 0xf940_0100, 0x7ff8, 0xf97f_fd00),  // ldr x0, [x8, #0x7ff8]
        (310, 0xf940_0100, 0x7ff8, 0xf97f_fd00),
        (263, 0xd280_0003, 0xabcd, 0xd295_79a3),  // movz x3, #0xabcd
        (266, 0xf2a0_0003, 0x12_abcd_1234, 0xf2b5_79a3),  // movk x3, #0xabcd, lsl #16
        (267, 0xd2c0_0003, 0xabcd_1234_5678, 0xd2d5_79a3),  // movz x3, #0xabcd, lsl #32
        (269, 0xf2e0_0003, -0x5432_0000_0000_0000, 0xf2f5_79c3),  // movk x3, #0xabce, lsl #48
        (270, 0xd280_0003, -5, 0x9280_0083),  // movn x3, #0x4
        (270, 0x9280_0003, 0xffff, 0xd29f_ffe3),  // movz x3, #0xffff
        (287, 0xd280_0003, -0x1_0000, 0x929f_ffe3),  // movn x3, #0xffff
        (271, 0xd2a0_0003, 0x7fff_1234, 0xd2af_ffe3),  // movz x3, #0x7fff, lsl #16
        (289, 0xd2a0_0003, -0x7fff_0001, 0x92af_ffe3),  // movn x3, #0x7fff, lsl #16
        (272, 0xd2c0_0003, -0x1_0000_0000_0000, 0x92df_ffe3),  // movn x3, #0xffff, lsl #32
        (302, 0xd2a0_0003, -1, 0x92a0_0003), (515, 0xd2a0_0003, -1, 0x92a0_0003), (539, 0xd2a0_0003, -1, 0x92a0_0003),
        (545, 0xd2a0_0003, -1, 0x92a0_0003), (565, 0xd2a0_0003, -1, 0x92a0_0003),
        (540, 0xf280_0003, 0x1_abcd, 0xf295_79a3), (548, 0xf280_0003, 0x1_abcd, 0xf295_79a3),
    ]

    @Test func arm64Instructions() throws {
        for (type, before, value, after) in Self.words {
            let row = try row(.arm64, type)
            var bytes = withUnsafeBytes(of: before.littleEndian, Array.init)
            try row.write(value, into: &bytes, at: 0)
            let word = bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
            expect(
                word, equals: after,
                "\(row) of \(value): 0x\(String(word, radix: 16)) instead of 0x\(String(after, radix: 16))")
            #expect(try row.read(bytes, at: 0).holds(value), "\(row)")
        }
    }

    /// The ranges of what `FixupBoundaryTests` cannot ask a linker about, by the psABIs: bits of signed numbers, and of others.
    @Test func ranges() throws {
        let signed: [(Architecture, Int, [UInt32])] = [
            (.x86_64, 32, [3, 9, 19, 20, 21, 22, 23, 26, 32, 34, 39, 40] + Array(41...51)),
            (.arm64, 17, [300, 526, 547]), (.arm64, 21, [309, 512, 517, 522, 543, 560, 561]), (.arm64, 32, [308, 315]),
            (.arm64, 33, [302, 311, 513, 515, 518, 520, 524, 539, 541, 545, 562, 565]), (.arm64, 49, [304, 523, 544]),
        ]
        let unsigned: [(Architecture, Int, [UInt32])] = [
            (.arm64, 12, [529, 531, 533, 535, 537, 550, 552, 554, 556, 558, 570, 572]), (.arm64, 15, [310, 313]),
            (.arm64, 24, [528, 549]),
        ]
        var seen: Set<FixupRow> = []
        for (architecture, bits, types) in signed {
            for type in types {
                let row = try row(architecture, type)
                seen.insert(row)
                let half = Int64(1) << Int64(bits - 1)
                expect(row.range, equals: -half...half - 1, "\(row)")
            }
        }
        for (architecture, bits, types) in unsigned {
            for type in types {
                let row = try row(architecture, type)
                seen.insert(row)
                let end = Int64(1) << Int64(bits)
                expect(row.range, equals: 0...end - 1, "\(row)")
            }
        }
        for row in Self.written where row.subject != .symbol && row.subject != .plt && !seen.contains(row) {
            expect(row.range, equals: nil, "\(row)")
        }
    }

    /// Where readable memory ends in front of the bytes and behind them, nothing is read or written there. The bytes are such as begin
    /// what linkers relax, cut at any place.
    @Test func nothingBeyondTheBytes() {
        let pageSize = sysconf(Int32(_SC_PAGESIZE))
        guard let pages = mmap(nil, 6 * pageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), pages != MAP_FAILED
        else {
            Issue.record("mmap")
            return
        }
        defer { munmap(pages, 6 * pageSize) }
        let (code, live) = (pages + pageSize, pages + 3 * pageSize)
        for page in [code, live] { mprotect(page, pageSize, PROT_READ | PROT_WRITE) }
        let sequences: [[UInt8]] = [
            [0x66, 0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0x66, 0x66, 0x48, 0xe8, 0, 0, 0, 0],
            [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x8d, 0x80, 0, 0, 0, 0],
            [0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0xff, 0x15, 0, 0, 0, 0], [0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0],
            [0x66, 0x66, 0x66, 0x66, 0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0],
            [0x48, 0x8b, 0x05, 0, 0, 0, 0], [0xd5, 0x48, 0x8b, 0x05, 0, 0, 0, 0], [0xff, 0x25, 0, 0, 0, 0],
            [0xe9, 0, 0, 0, 0, 0x90], [0x08, 0, 0, 0x90, 0x08, 0x01, 0, 0x91],
            [0x1f, 0x20, 0x03, 0xd5, 0x08, 0, 0, 0x10], [0x00, 0, 0, 0x90, 0x01, 0, 0x40, 0xf9, 0, 0, 0, 0x91],
            [0xff, 0x10],
        ]
        func put(_ bytes: ArraySlice<UInt8>, _ page: UnsafeMutableRawPointer, atEnd: Bool) -> UnsafeMutablePointer<
            UInt8
        > {
            let start = (page + (atEnd ? pageSize - bytes.count : 0)).assumingMemoryBound(to: UInt8.self)
            for (index, byte) in bytes.enumerated() { start[index] = byte }
            return start
        }
        func check(
            _ row: UnsafePointer<hp_fixup>, _ written: ArraySlice<UInt8>, _ linked: ArraySlice<UInt8>, atEnd: Bool
        ) {
            let length = min(written.count, linked.count)
            let (was, now) = (
                put(written.prefix(length), code, atEnd: atEnd), put(linked.prefix(length), live, atEnd: atEnd)
            )
            for offset in 0...length + 1 {
                var (value, known) = (Int64(0), UInt64(0))
                var (span, place) = (hp_fixup_span(), hp_fixup_place())
                _ = hp_fixup_read(row, was, length, offset, &value, &known)
                if hp_fixup_mask(row, was, length, offset, &span) == HP_FIXUP_DONE, span.start + span.length > length {
                    Issue.record("\(String(cString: row.pointee.name)) at \(offset) of \(length)")
                }
                if hp_fixup_find(row, was, now, length, offset, &place) == HP_FIXUP_DONE, place.end > length {
                    Issue.record("\(String(cString: row.pointee.name)) at \(offset) of \(length)")
                }
            }
            for offset in [0, length - 1, length] { _ = hp_fixup_write(row, now, length, offset, 4096) }
        }
        for row in Self.rows {
            guard let raw = hp_fixup_row(hp_arch(rawValue: UInt32(row.architecture.rawValue)), row.type) else {
                continue
            }
            guard raw.pointee.relaxation != 0 else {
                check(raw, sequences[0][...], sequences[1][...], atEnd: true)
                continue
            }
            for written in sequences {
                // Cut behind, with nothing readable there; and in front.
                for count in 1...written.count {
                    for linked in [written, sequences[1], sequences[4], sequences[10]] {
                        check(raw, written.prefix(count), linked.prefix(count), atEnd: true)
                        check(raw, written.suffix(count), linked.suffix(count), atEnd: false)
                    }
                }
            }
        }
    }
}
