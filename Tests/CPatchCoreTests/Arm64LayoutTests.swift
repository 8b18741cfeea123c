import CPatchCore
import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// Where things lie in arm64 stubs: detour, island, PC map; and that nothing lies anywhere else.
@Suite struct Arm64LayoutTests {
    /// stp x29, x30, [sp, #-16]!; mov x29, sp; nop; nop; ret
    static let ordinary = words("a9bf7bfd 910003fd d503201f d503201f d65f03c0")

    @Test func aWordIsEnough() {
        let relocation = Relocation(arm64: Self.ordinary)
        #expect(relocation.raw.patch_offset == 0 && relocation.raw.prologue_length == 4)
        expect(relocation.expectedBytes, equals: words("a9bf7bfd"))
        expect(relocation.detourBytes, equals: words("1403fc00"))  // b 0x500000
        expect(relocation.island, equals: words("58080010 d61f0200"))  // ldr x16, 0x510000; br x16
        expect(relocation.pairs, equals: [[0, 8], [4, 12]])
        #expect(!relocation.raw.moves_call)
    }

    @Test func theIslandReachesFar() {
        let relocation = Relocation(Self.ordinary, arch: HP_ARCH_ARM64, slot: 0x8000_0ff8)
        expect(relocation.island, equals: words("903fd810 f947fe10 d61f0200"))
        expect(
            disassemble(relocation.island, at: Relocation.stub, arch: HP_ARCH_ARM64),
            equals: "adrp x16, #0x80000000; ldr x16, [x16, #0xff8]; br x16")
        expect(relocation.pairs, equals: [[0, 12], [4, 16]])
    }

    /// A landing pad must be found by indirect calls on a guarded page.
    @Test(arguments: ["d503241f", "d503245f", "d503249f", "d50324df"]) func btiStays(_ bti: String) {
        let relocation = Relocation(arm64: words(bti) + Self.ordinary)
        #expect(relocation.raw.patch_offset == 4 && relocation.raw.prologue_length == 4)
        expect(relocation.detourBytes, equals: words("1403fbff"))  // b 0x500000
        expect(relocation.pairs, equals: [[4, 12], [8, 16]])
        expect(relocation.moved.prefix(4), equals: words(bti)[...])
    }

    /// Who comes to the detour has signed the return address; the replacement gets it as the caller left it.
    @Test(arguments: [("d503233f", "d50323bf"), ("d503237f", "d50323ff")])  // paciasp, autiasp; pacibsp, autibsp
    func theIslandPairsTheSignature(_ signs: String, _ authenticates: String) {
        let relocation = Relocation(arm64: words(signs) + Self.ordinary)
        #expect(relocation.raw.patch_offset == 4 && relocation.raw.original_offset == 12)
        expect(relocation.island, equals: words(authenticates + " 5807fff0 d61f0200"))  // …; ldr x16, 0x510000; br x16
        expect(relocation.moved.prefix(8), equals: words(signs + " a9bf7bfd")[...])
        // A thread at the patch address has signed, and does not sign again.
        expect(relocation.pairs, equals: [[4, 16], [8, 20]])
    }

    @Test func behindBtiTheSignatureIsMoved() {
        let relocation = Relocation(arm64: words("d503245f d503233f") + Self.ordinary)  // bti c; paciasp
        expect(relocation.raw.patch_offset, equals: 4)
        expect(relocation.island, equals: words("58080010 d61f0200"))
        expect(relocation.pairs, equals: [[4, 12], [8, 16]])
    }

    @Test func theShortestDetourThatReaches() {
        let entry: UInt64 = 0x10_0000_1000
        func detour(_ stub: UInt64) -> String {
            let relocation = Relocation(
                Self.ordinary, arch: HP_ARCH_ARM64, entry: entry, stub: stub, slot: stub + 0x1_0000)
            expect(relocation.raw.prologue_length, equals: relocation.raw.detour_length)
            return disassemble(relocation.detourBytes, at: entry, arch: HP_ARCH_ARM64)
        }
        expect(detour(entry + (128 << 20) - 16), equals: "b #0x1008000ff0")
        expect(detour(entry - (128 << 20)), equals: "b #0xff8001000")
        expect(detour(entry + (128 << 20)), equals: "adrp x16, #0x1008001000; br x16")
        expect(detour(entry + (128 << 20) + 0x40), equals: "adrp x16, #0x1008001000; add x16, x16, #0x40; br x16")
        expect(detour(entry - (128 << 20) - 16), equals: "adrp x16, #0xff8000000; add x16, x16, #0xff0; br x16")
        expect(detour(entry - (4 << 30)), equals: "adrp x16, #0xf00001000; br x16")
        expect(detour(entry + (4 << 30) - 0x1000), equals: "adrp x16, #0x1100000000; br x16")
        let literal = "ldr x16, #0x1000001008; br x16; "
        expect(detour(entry + (4 << 30)), equals: literal + ".word 0x00001000; .word 0x00000011")
        expect(detour(0xffff_0000_0010), equals: literal + ".word 0x00000010; .word 0x0000ffff")
    }

    @Test func aPatchAcrossTwoPages() {
        let relocation = Relocation(
            Self.ordinary, arch: HP_ARCH_ARM64, entry: 0x40_1ff8, stub: 0x4_0040_1040, slot: 0x4_0041_1040)
        #expect(relocation.succeeded && relocation.raw.detour_length == 16)
        expect(relocation.pairs, equals: [[0, 8], [4, 12], [8, 16], [12, 20], [16, 24]])
        // An adrp in it refers to the page its own word lies on.
        let second = Relocation(
            words("d503201f d503201f 90000000 d503201f d65f03c0"), arch: HP_ARCH_ARM64, entry: 0x40_1ff8,
            stub: 0x4_0040_1040, slot: 0x4_0041_1040)
        #expect(second.succeeded)
        // mov x0, #0x2000; movk x0, #0x40, lsl #16
        expect(second.moved[8..<16], equals: words("d2840000 f2a00800")[...])
    }

    @Test func nothingFollowsAReturnAJumpOrACall() {
        expect(Relocation(arm64: words("d65f03c0")).pairs, equals: [[0, 8]])
        expect(Relocation(arm64: words("14000010")).pairs, equals: [[0, 8]])
        let call = Relocation(arm64: words("94000010 d65f03c0"))
        expect(call.pairs, equals: [[0, 8]])
        #expect(call.raw.moves_call)
    }

    /// A return that is none: a guarded control stack objects, as it does to a moved call.
    @Test func farJumpsAreTold() {
        #expect(Relocation(arm64: Self.ordinary, stub: Arm64MovedTests.far).raw.moves_call)
        #expect(!Relocation(arm64: words("d503201f d503201f d65f03c0"), stub: Arm64MovedTests.far).raw.moves_call)
    }

    @Test func aVeneerIsAFunctionLikeAnother() {
        // ldr x16, .+8; br x16; .quad: what a linker puts between; nothing follows it
        #expect(Relocation(arm64: words("58000050 d61f0200 00500000 00000000")).succeeded)
        #expect(Relocation(arm64: words("90000051 91004231 d61f0220")).succeeded)  // adrp x17; add; br x17
        #expect(Relocation(arm64: words("14000400")).succeeded)  // b, in tail position
        #expect(Relocation(arm64: words("14000400 d503201f")).succeeded)
    }

    @Test func theWorstThatCanBeFits() {
        // bti c; then in a far prologue: cbgt, whose far jump takes the most words; a call at the end takes nine.
        let high: UInt64 = 0x1234_5678_9abc_def0 & ~15
        for last in ["74020201", "94000010"] {
            let code = words("d503233f 74020201 74020201 74020201 \(last) d65f03c0")
            let relocation = Relocation(
                code, arch: HP_ARCH_ARM64, entry: 0x7654_3210_1234_5670, stub: high, slot: high + 0x800_0000)
            #expect(relocation.succeeded && relocation.raw.stub_length <= 176)
        }
        expect(Relocation(arm64: Self.ordinary).raw.stub_length, equals: 16)
    }

    @Test func writesNothingBeyondTheOutput() {
        for row in Arm64MovedTests.rows {
            let relocation = row.relocation
            withUnsafeBytes(of: relocation.raw.stub) { stub in
                #expect(stub.dropFirst(Int(relocation.raw.stub_length)).allSatisfy { $0 == 0 }, "\(row.assembly)")
            }
            withUnsafeBytes(of: relocation.raw.detour) { detour in
                #expect(detour.dropFirst(Int(relocation.raw.detour_length)).allSatisfy { $0 == 0 })
            }
        }
    }

    /// Words of any kind, at every distance, cut at every length: a refusal or a stub, never a read beyond the bytes given (the
    /// page behind them cannot be read) and never a stub that reads differently from what was meant.
    @Test func randomWords() {
        var generator = SeededGenerator(seed: testSeed())
        let guarded = GuardedBytes()
        let stubs = [
            Arm64MovedTests.near, Arm64MovedTests.middle, Arm64MovedTests.page, Arm64MovedTests.far,
            Arm64MovedTests.anywhere,
        ]
        // So that what refers to its own address is as frequent as all else.
        let relative: [UInt32] = [
            0x1000_0000, 0x9000_0000, 0x1800_0000, 0x5800_0000, 0x9800_0000, 0xd800_0000, 0x1c00_0000, 0x9c00_0000,
            0x1400_0000,
            0x9400_0000, 0x5400_0000, 0x3400_0000, 0x3600_0000, 0x7400_0000, 0x7500_0000,
        ]
        var moved = 0
        for _ in 0..<200_000 {
            let count = Int.random(in: 0...40, using: &generator)
            var pending: [UInt8] = []
            let code = guarded.fill(count) {
                if pending.isEmpty {
                    var word = UInt32.random(in: 0...UInt32.max, using: &generator)
                    if Bool.random(using: &generator) {
                        word = word & 0x00ff_ffff | relative.randomElement(using: &generator)!
                    }
                    pending = withUnsafeBytes(of: word.littleEndian) { $0.reversed() }
                }
                return pending.removeLast()
            }
            let stub = stubs.randomElement(using: &generator)!
            var out = hp_relocation()
            var refusal = hp_refusal()
            var request = hp_relocation_request(
                code: code, code_length: count, function_length: Bool.random(using: &generator) ? 0 : count,
                entry: Relocation.entry, stub: stub, slot: stub + 0x1_0000)
            if hp_relocate(HP_ARCH_ARM64, &request, 0, &out, &refusal) {
                moved += 1
                #expect(out.prologue_length == out.detour_length && out.pc_count > 0)
            } else {
                #expect(refusal.reason != HP_OK)
                // Without an instruction to blame, this would be the check of what was written.
                #expect(refusal.reason != HP_UNMOVABLE || refusal.length > 0)
            }
        }
        #expect(moved > 50_000)
    }

    @Test func threadsDoNotDisturbEachOther() async {
        let rows = Arm64MovedTests.rows
        let agreed = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<100 {
                        for row in rows where row.relocation.arm64Text(as: row.moved) != row.moved { return false }
                    }
                    return true
                }
            }
            return await group.allSatisfy { $0 }
        }
        #expect(agreed)
    }
}
