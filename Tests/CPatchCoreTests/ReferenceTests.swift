import CPatchCore
import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// What refers to a place, found at any byte, and told from what only looks so. The code runs at 0x401000; what is wanted are
/// jumps to 0x400ff0, and whatever refers to 0x400ff1 to 0x400ff4.
@Suite struct ReferenceTests {
    static let address: UInt64 = 0x401000
    static let entry: UInt64 = 0x400ff0

    struct Row: Sendable, CustomTestStringConvertible {
        var code: [UInt8]
        var assembly: String
        /// Kind, offset of the displacement, target; nil for nothing.
        var found: [UInt64]?
        var verdict: hp_verdict
        var reach: hp_reach
        var arch: hp_arch
        var testDescription: String { assembly }

        init(
            _ code: String, _ assembly: String, _ found: [UInt64]?, _ verdict: hp_verdict = HP_VERDICT_REAL,
            reach: hp_reach = HP_REACH_NEAR
        ) {
            self.code = hex(code)
            self.assembly = assembly
            self.found = found
            self.verdict = verdict
            self.reach = reach
            arch = HP_ARCH_X86_64
        }

        init(arm64 code: String, _ assembly: String, _ found: [UInt64]?) {
            self.init("", assembly, found)
            self.code = words(code)
            arch = HP_ARCH_ARM64
        }
    }

    private static let (jump, call, taken): (UInt64, UInt64, UInt64) = (
        UInt64(HP_REFERENCE_JUMP.rawValue), UInt64(HP_REFERENCE_CALL.rawValue), UInt64(HP_REFERENCE_ADDRESS.rawValue)
    )

    static let rows = [
        Row("e9 eb ff ff ff", "jmp 0x400ff0", [jump, 1, entry]),
        Row("e9 ec ff ff ff", "jmp 0x400ff1", [jump, 1, entry + 1]),
        Row("e9 ef ff ff ff", "jmp 0x400ff4", [jump, 1, entry + 4]),
        Row("e9 f0 ff ff ff", "jmp 0x400ff5: behind what is overwritten", nil),
        Row("e9 ea ff ff ff", "jmp 0x400fef", nil),
        Row("e8 eb ff ff ff", "call 0x400ff0: a call of the function", nil),
        Row("e8 ee ff ff ff", "call 0x400ff3", [call, 1, entry + 3]),
        Row("0f 84 eb ff ff ff", "je 0x400ff1", [jump, 2, entry + 1]),
        Row("0f 8f ea ff ff ff", "jg 0x400ff0", [jump, 2, entry]),
        Row("0f 90 eb ff ff ff", "seto: no branch", nil),
        Row("c7 f8 eb ff ff ff", "xbegin 0x400ff1", [jump, 2, entry + 1]),
        Row("3e 0f 84 ea ff ff ff", "je 0x400ff1, with a prefix", [jump, 3, entry + 1]),
        Row("48 8d 05 ea ff ff ff", "lea rax, [rip - 0x16]: 0x400ff1", [taken, 3, entry + 1]),
        Row("4c 8d 3d ed ff ff ff", "lea r15, [rip - 0x13]: 0x400ff4", [taken, 3, entry + 4]),
        Row("48 8d 05 e9 ff ff ff", "lea rax, [rip - 0x17]: the function's address", nil),
        Row("48 8b 05 ea ff ff ff", "mov rax, [rip - 0x16]: reads, and takes no address", nil),
        Row("90 e9 eb ff ff ff", "nop; jmp 0x400ff1", [jump, 2, entry + 1]),
        Row("b8 e9 ea ff ff ff c3 00", "mov eax, …; its constant is half a jmp", [jump, 2, entry], HP_VERDICT_NONE),
        Row(
            "48 b8 e9 ea ff ff ff 00 00 00", "movabs rax, …; its constant reads as jmp 0x400ff1", [jump, 3, entry + 1],
            HP_VERDICT_NONE),
        Row("06 e9 eb ff ff ff", "no instruction, and a jmp behind it", [jump, 2, entry + 1], HP_VERDICT_UNKNOWN),
        Row("e9 ec ff ff", "cut off", nil),
        Row("eb ee", "jmp 0x400ff0, short", [jump, 1, entry], reach: HP_REACH_SHORT),
        Row("eb ef", "jmp 0x400ff1, short", [jump, 1, entry + 1], reach: HP_REACH_SHORT),
        Row("eb f3", "jmp 0x400ff5, short", nil, reach: HP_REACH_SHORT),
        Row("74 f2", "je 0x400ff4, short", [jump, 1, entry + 4], reach: HP_REACH_SHORT),
        Row("e3 f0", "jrcxz 0x400ff2", [jump, 1, entry + 2], reach: HP_REACH_SHORT),
        Row("67 e3 ef", "jecxz 0x400ff2", [jump, 2, entry + 2], reach: HP_REACH_SHORT),
        Row("e4 f0", "in al, 0xf0: no branch", nil, reach: HP_REACH_SHORT),
        Row(
            "b0 eb f0 c3", "mov al, 0xeb; lock ret: a constant and a prefix", [jump, 2, entry + 3], HP_VERDICT_NONE,
            reach: HP_REACH_SHORT),

        Row(arm64: "17fffffc", "b 0x400ff0", [jump, 0, entry]),
        Row(arm64: "17fffffd", "b 0x400ff4", [jump, 0, entry + 4]),
        Row(arm64: "97fffffc", "bl 0x400ff0: a call of the function", nil),
        Row(arm64: "97fffffd", "bl 0x400ff4", [call, 0, entry + 4]),
        Row(arm64: "54ffffa1", "b.ne 0x400ff4", [jump, 0, entry + 4]),
        Row(arm64: "b4ffff80", "cbz x0, 0x400ff0", [jump, 0, entry]),
        Row(arm64: "3707ffa0", "tbnz w0, #0, 0x400ff4", [jump, 0, entry + 4]),
        Row(arm64: "10ffffa0", "adr x0, 0x400ff4", [taken, 0, entry + 4]),
        Row(arm64: "10ffff80", "adr x0, 0x400ff0: the function's address", nil),
        Row(arm64: "58ffffa0", "ldr x0, 0x400ff4", [taken, 0, entry + 4]),
        Row(arm64: "f0ffffe0 d503201f 913fd001", "adrp x0, 0x400000; nop; add x1, x0, #0xff4", [taken, 8, entry + 4]),
        Row(arm64: "f0ffffe0 913fc000", "adrp x0, 0x400000; add x0, x0, #0xff0: the function's address", nil),
        Row(arm64: "f0ffffe2 913fd001", "adrp x2, …; add x1, x0, #0xff4: of another register", nil),
        Row(arm64: "d503201f 17fffffc", "nop; b 0x400ff4", [jump, 4, entry + 4]),
    ]

    @Test(arguments: rows)
    func reference(row: Row) {
        let found = Self.references(row.code, arch: row.arch, reach: row.reach)
        guard let expected = row.found else {
            #expect(found.isEmpty, "\(found)")
            return
        }
        expect(found.map { [UInt64($0.kind), $0.address - Self.address, $0.target] }, equals: [expected])
        guard var reference = found.first else { return }
        var (start, size) = (0, 0)
        let verdict = hp_check_reference(
            row.arch, row.code, row.code.count, Self.address, &reference, &start, &size)
        expect(verdict, equals: row.verdict)
        if verdict == HP_VERDICT_REAL {
            let (text, length) = disassembleOne(
                Array(row.code[start...]), at: Self.address + UInt64(start), arch: row.arch)
            #expect(length == size && !text.isEmpty)
        }
    }

    /// As many as there are come out, whatever the room for them.
    @Test(arguments: [1, 2, 7, 1000])
    func manyInSmallPortions(capacity: Int) {
        var code: [UInt8] = []
        var words: [UInt8] = []
        for number in 0..<300 {
            let distance = Int32(1 - 16 - 5 - number * 5)
            code += [0xe9] + withUnsafeBytes(of: distance.littleEndian) { Array($0) }
            let word = 0x1400_0000 | UInt32(bitPattern: Int32(1 - 4 - number)) & 0x3ff_ffff
            words += withUnsafeBytes(of: word.littleEndian) { Array($0) }
        }
        expect(Self.references(code, arch: HP_ARCH_X86_64, capacity: capacity).count, equals: 300)
        expect(Self.references(words, arch: HP_ARCH_ARM64, capacity: capacity).count, equals: 300)
    }

    /// Nothing beyond the code is read, wherever it ends, and whatever it is.
    @Test(arguments: [HP_ARCH_X86_64, HP_ARCH_ARM64])
    func readsNothingBeyondTheCode(arch: hp_arch) {
        let guarded = GuardedBytes()
        var random = SeededGenerator(seed: testSeed())
        for count in 0..<200 {
            let code = guarded.fill(count) {
                [0xe9, 0xe8, 0x0f, 0x84, 0x8d, 0x05, 0xc7, 0xf8, 0xeb, 0xff].randomElement(using: &random)!
            }
            for reach in [HP_REACH_NEAR, HP_REACH_SHORT] {
                let map = [UInt8](repeating: 0xff, count: 128)
                var wanted = hp_reference_targets(start: Self.address - 512, length: 1024, entries: nil, insides: nil)
                var from = 0
                var found = [hp_reference](repeating: hp_reference(), count: 64)
                map.withUnsafeBufferPointer { map in
                    wanted.entries = map.baseAddress
                    wanted.insides = map.baseAddress
                    while from < count {
                        let number = hp_find_references(
                            arch, code, count, Self.address, &wanted, reach, &from, &found, found.count)
                        for var reference in found[..<number] {
                            var (start, size) = (0, 0)
                            _ = hp_check_reference(arch, code, count, Self.address, &reference, &start, &size)
                            #expect(start + size <= count)
                        }
                    }
                }
            }
        }
    }

    /// The search looks at many bytes at once. It finds what one finds that looks at one byte after the other.
    @Test func findsWhatASlowSearchFinds() {
        var random = SeededGenerator(seed: testSeed())
        let bytes: [UInt8] = [0xeb, 0x74, 0xe3, 0xe9, 0xe8, 0x0f, 0x84, 0x8d, 0x05, 0xc7, 0xf8, 0xff, 0xf0, 0]
        var total = 0
        for round in 0..<4000 {
            let code = (0..<Int.random(in: 0..<300, using: &random)).map { _ in
                Int.random(in: 0..<3, using: &random) > 0
                    ? bytes.randomElement(using: &random)! : UInt8.random(in: 0...255, using: &random)
            }
            // As of an entry, and as of an image.
            let length =
                round % 4 > 0 ? Int.random(in: 0..<20, using: &random) : Int.random(in: 0..<600, using: &random)
            let start = Self.address &+ UInt64(Int.random(in: 0..<400, using: &random)) &- 150
            func map() -> [UInt8] { (0...length / 8).map { _ in UInt8.random(in: 0...255, using: &random) } }
            let (entries, insides) = (map(), map())
            for reach in [HP_REACH_NEAR, HP_REACH_SHORT] {
                let slow = Self.slowly(code, start, length, entries, insides, reach)
                var fast: [[UInt64]] = []
                entries.withUnsafeBufferPointer { entries in
                    insides.withUnsafeBufferPointer { insides in
                        var wanted = hp_reference_targets(
                            start: start, length: length, entries: entries.baseAddress, insides: insides.baseAddress)
                        var from = 0
                        var found = [hp_reference](repeating: hp_reference(), count: 1 + round % 5)
                        while from < code.count {
                            let count = hp_find_references(
                                HP_ARCH_X86_64, code, code.count, Self.address, &wanted, reach, &from, &found,
                                found.count)
                            fast += found[..<count].map { [UInt64($0.kind), $0.address, $0.target, UInt64($0.width)] }
                        }
                    }
                }
                expect(fast, equals: slow)
                total += slow.count
            }
        }
        #expect(total > 1000)
    }

    private static func slowly(
        _ code: [UInt8], _ start: UInt64, _ length: Int, _ entries: [UInt8], _ insides: [UInt8], _ reach: hp_reach
    ) -> [[UInt64]] {
        var found: [[UInt64]] = []
        for at in code.indices {
            let (first, second) = (code[at], at + 1 < code.count ? code[at + 1] : 0)
            let form: (kind: UInt64, field: Int, width: Int)? =
                switch (first, second) {
                case (0x70...0x7f, _), (0xe0...0xe3, _), (0xeb, _): reach == HP_REACH_SHORT ? (jump, 1, 1) : nil
                case _ where reach == HP_REACH_SHORT: nil
                case (0xe8, _): (call, 1, 4)
                case (0xe9, _): (jump, 1, 4)
                case (0x0f, 0x80...0x8f), (0xc7, 0xf8): (jump, 2, 4)
                case (0x8d, _) where second & 0xc7 == 0x05: (taken, 2, 4)
                default: nil
                }
            guard let form, at + form.field + form.width <= code.count else { continue }
            let field = code[at + form.field..<at + form.field + form.width]
            let raw = field.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let distance = form.width == 1 ? Int64(Int8(truncatingIfNeeded: raw)) : Int64(Int32(bitPattern: raw))
            let place = address &+ UInt64(at + form.field)
            let target = place &+ UInt64(form.width) &+ UInt64(bitPattern: distance)
            let bit = target &- start
            guard bit < UInt64(length) else { continue }
            let (byte, mask) = (Int(bit / 8), UInt8(1) << UInt8(bit % 8))
            guard insides[byte] & mask != 0 || form.kind == jump && entries[byte] & mask != 0 else { continue }
            found.append([form.kind, place, target, UInt64(form.width)])
        }
        return found
    }

    private static func references(
        _ code: [UInt8], arch: hp_arch, reach: hp_reach = HP_REACH_NEAR, capacity: Int = 16
    ) -> [hp_reference] {
        let (entries, insides): ([UInt8], [UInt8]) = ([0b1], [0b1_1110])
        var result: [hp_reference] = []
        entries.withUnsafeBufferPointer { entries in
            insides.withUnsafeBufferPointer { insides in
                var wanted = hp_reference_targets(
                    start: entry, length: 8, entries: entries.baseAddress, insides: insides.baseAddress)
                var from = 0
                var found = [hp_reference](repeating: hp_reference(), count: capacity)
                while from < code.count {
                    let count = hp_find_references(
                        arch, code, code.count, address, &wanted, reach, &from, &found, capacity)
                    result += found[..<count]
                }
            }
        }
        return result
    }
}
