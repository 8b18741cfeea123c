#if arch(x86_64)
    import CPatchCore
    import Glibc
    import HotpatchExpectations
    import HotpatchTestSupport
    import Testing

    /// Random prologues, run as they are and run moved, with the detour in place: every register and the flags must agree.
    ///
    /// A wrong stub most likely crashes the test process; the seed is printed before.
    @Suite(.serialized) struct DifferentialTests {
        @Test func movedPrologueDoesWhatTheOriginalDoes() throws {
            var generator = SeededGenerator(seed: testSeed())
            let machine = try Machine()
            var moved = 0
            var refused: [UInt32: Int] = [:]
            for _ in 0..<20_000 {
                let program = Program(using: &generator)
                machine.load(program)
                let registers = (0..<14).map { _ in UInt64.random(in: 0...UInt64.max, using: &generator) }
                let original = machine.run(at: Machine.entry, registers)
                guard let relocation = machine.patch(program) else {
                    refused[machine.refusal.reason.rawValue, default: 0] += 1
                    continue
                }
                let copy = machine.run(at: Machine.stub + Int(relocation.original_offset), registers)
                expect(original, equals: copy, "\(hex(program.code)) with \(registers)")
                moved += 1
            }
            print("moved \(moved), refused by reason \(refused)")
            #expect(moved > 19_000)
        }

        /// A loop that starts at the entry stays in the copy, and never meets the detour.
        @Test func loopAtTheEntry() throws {
            let machine = try Machine()
            // dec ecx; jne entry; inc rax; ret
            let program = Program(code: hex("ff c9 75 fc 48 ff c0 c3"))
            machine.load(program)
            var registers = [UInt64](repeating: 0, count: 14)
            registers[1] = 1000
            let original = machine.run(at: Machine.entry, registers)
            let relocation = try #require(machine.patch(program))
            expect(machine.run(at: Machine.stub + Int(relocation.original_offset), registers), equals: original)
            expect(original[1], equals: 0)
        }
    }

    /// A random function. Its first instructions are drawn from `items`; it ends in one of two ways.
    private struct Program {
        var code: [UInt8]

        /// Reach a place in the machine's memory, relative to where they end.
        private enum Item {
            case plain(String)
            case branch([UInt8], short: Bool)  // to the other end of the function
            case over([UInt8])  // over the next item, if it is one byte long
            case memory([UInt8], Int)  // a RIP-relative operand
            case call([UInt8], Int)
        }

        private static let items: [Item] = [
            .plain("55"), .plain("5a"),  // push rbp … pop rdx, paired below
            .plain("48 89 d8"), .plain("89 c1"), .plain("48 01 f7"), .plain("29 d0"), .plain("48 8d 44 0b 10"),
            .plain("4d 31 c8"), .plain("41 83 c1 05"), .plain("48 c1 e0 03"), .plain("48 0f af c1"), .plain("90"),
            .plain("b8 01 02 03 04"), .plain("49 ba 01 02 03 04 05 06 07 08"), .plain("48 85 ff"), .plain("0f 44 c1"),
            .plain("f9"), .plain("f8"), .plain("83 d0 00"), .plain("0f 94 c2"), .plain("48 98"), .plain("99"),
            .plain("50 59"), .plain("48 87 d1"), .plain("48 8b 44 24 00"),
            .branch([0x74], short: true), .branch([0x75], short: true), .branch([0x0f, 0x82], short: false),
            .branch([0x78], short: true), .branch([0xe3], short: true), .branch([0x67, 0xe3], short: true),
            .branch([0xe2], short: true), .branch([0xe1], short: true), .branch([0xeb], short: true),
            .branch([0xe9], short: false), .over([0x72]), .over([0x7f]), .over([0xeb]), .over([0xe3]),
            .memory([0x48, 0x8b, 0x05], Machine.data), .memory([0x48, 0x8d, 0x35], Machine.data + 3),
            .memory([0x4c, 0x03, 0x1d], Machine.data + 8), .memory([0x48, 0x39, 0x3d], Machine.data),
            .memory([0xf3, 0x0f, 0x7e, 0x05], Machine.data), .memory([0x48, 0x8d, 0x05], Machine.entry),
            .call([0xe8], Machine.helper), .call([0xff, 0x15], Machine.helperSlot),
            .call([0x67, 0xe8], Machine.helper),
        ]

        init(code: [UInt8]) { self.code = code }

        init(using generator: inout some RandomNumberGenerator) {
            code = Bool.random(using: &generator) ? hex("f3 0f 1e fa") : []
            var branches: [(at: Int, short: Bool)] = []
            while code.count < 12 {
                switch Self.items.randomElement(using: &generator)! {
                case .plain("55"):
                    code += hex("55")  // push rbp
                    code += hex(["5a", "41 58 90", "5d"].randomElement(using: &generator)!)  // pop
                case .plain("5a"): code += hex("4c 8b 04 24")  // mov r8, [rsp]: the return address of the harness
                case .plain(let text): code += hex(text)
                case .branch(let opcode, let short):
                    code += opcode + [UInt8](repeating: 0, count: short ? 1 : 4)
                    branches.append((code.count, short))
                case .over(let opcode): code += opcode + [1] + hex("f5")  // cmc
                case .memory(let opcode, let target):
                    code += opcode + Self.displacement(to: target, after: code.count + opcode.count)
                case .call(let opcode, let target):
                    code += opcode + Self.displacement(to: target, after: code.count + opcode.count)
                }
            }
            code += hex("48 ff c0 c3")  // inc rax; ret
            let other = code.count
            code += hex("48 83 c1 07 c3")  // add rcx, 7; ret
            for branch in branches {
                let distance = other - branch.at
                if branch.short {
                    code[branch.at - 1] = UInt8(distance)
                } else {
                    code.replaceSubrange(branch.at - 4..<branch.at, with: Self.bytes(Int32(distance)))
                }
            }
        }

        private static func displacement(to target: Int, after offset: Int) -> [UInt8] {
            bytes(Int32(target - (Machine.entry + offset + 4)))
        }

        private static func bytes(_ value: Int32) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    }

    /// Memory to run programs in. Places are offsets from its start.
    private final class Machine {
        static let harness = 0
        static let helper = 0x100
        static let trap = 0x140
        static let data = 0x200
        static let helperSlot = 0x240
        static let slot = 0x248
        static let entry = 0x1000
        static let stub = 0x2000

        private let memory: UnsafeMutableRawPointer
        private(set) var refusal = hp_refusal()

        init() throws {
            memory = mmap(nil, 0x4000, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            try #require(memory != MAP_FAILED)
            put(Self.harnessCode, at: Self.harness)
            put(hex("4c 8b 1c 24 48 83 c6 01 c3"), at: Self.helper)  // mov r11, [rsp]; add rsi, 1; ret
            put(hex("0f 0b"), at: Self.trap)  // ud2: where the detour leads
            put((0..<64).map { UInt8(truncatingIfNeeded: $0 * 7 + 1) }, at: Self.data)
            (memory + Self.helperSlot).storeBytes(of: UInt(bitPattern: memory + Self.helper), as: UInt.self)
            (memory + Self.slot).storeBytes(of: UInt(bitPattern: memory + Self.trap), as: UInt.self)
        }

        deinit { munmap(memory, 0x4000) }

        private func put(_ code: [UInt8], at offset: Int) {
            (memory + offset).copyMemory(from: code, byteCount: code.count)
        }

        func load(_ program: Program) {
            put([UInt8](repeating: 0xcc, count: 128), at: Self.entry)
            put(program.code, at: Self.entry)
        }

        /// Moves the program's prologue and writes its detour, whole.
        func patch(_ program: Program) -> hp_relocation? {
            var out = hp_relocation()
            var request = hp_relocation_request(
                code: (memory + Self.entry).assumingMemoryBound(to: UInt8.self), code_length: program.code.count,
                function_length: program.code.count, entry: UInt64(UInt(bitPattern: memory + Self.entry)),
                stub: UInt64(UInt(bitPattern: memory + Self.stub)), slot: UInt64(UInt(bitPattern: memory + Self.slot)))
            guard hp_relocate(HP_ARCH_X86_64, &request, 0, &out, &refusal) else { return nil }
            put([UInt8](repeating: 0xcc, count: 256), at: Self.stub)
            put(withUnsafeBytes(of: out.stub) { Array($0.prefix(Int(out.stub_length))) }, at: Self.stub)
            let detour = withUnsafeBytes(of: out.detour) { Array($0.prefix(Int(out.detour_length))) }
            put(detour, at: Self.entry + Int(out.patch_offset))
            return out
        }

        /// Runs the code at `offset`: 14 registers in (rax rcx rdx rbx rbp rsi r8–r14 rdi), the same and the flags out.
        func run(at offset: Int, _ registers: [UInt64]) -> [UInt64] {
            var state = registers + [UInt64(UInt(bitPattern: memory + offset)), 0]
            typealias Harness = @convention(c) (UnsafeMutablePointer<UInt64>) -> Void
            unsafeBitCast(memory + Self.harness, to: Harness.self)(&state)
            return Array(state[..<14]) + [state[15]]
        }

        private static let harnessCode = hex(
            "53 55 41 54 41 55 41 56 41 57 57 "  // push rbx, rbp, r12 … r15, rdi
                + "48 8b 07 48 8b 4f 08 48 8b 57 10 48 8b 5f 18 48 8b 6f 20 48 8b 77 28 "  // mov rax … rsi, [rdi + …]
                + "4c 8b 47 30 4c 8b 4f 38 4c 8b 57 40 4c 8b 5f 48 4c 8b 67 50 4c 8b 6f 58 "  // mov r8 … r13, [rdi + …]
                + "4c 8b 77 60 4c 8b 7f 70 48 8b 7f 68 "  // mov r14; r15 is what to call; rdi last
                + "41 ff d7 4c 8b 3c 24 "  // call r15; mov r15, [rsp]
                + "49 89 07 49 89 4f 08 49 89 57 10 49 89 5f 18 49 89 6f 20 49 89 77 28 "  // mov [r15 + …], rax … rsi
                + "4d 89 47 30 4d 89 4f 38 4d 89 57 40 4d 89 5f 48 4d 89 67 50 4d 89 6f 58 "  // mov [r15 + …], r8 … r13
                + "4d 89 77 60 49 89 7f 68 9c 41 58 4d 89 47 78 "  // mov [r15 + …], r14, rdi, flags
                + "5f 41 5f 41 5e 41 5d 41 5c 5d 5b c3")  // pop all; ret
    }
#endif
