import CPatchCore
import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// What the body of an arm64 function may do without keeping the entry from being patched, and what is said about it.
@Suite struct Arm64BodyTests {
    static let filler = "d503201f"

    @Test func callsOfTheEntryAreRecursion() {
        #expect(Relocation(arm64: words("d503201f d503201f 97fffffe d65f03c0")).succeeded)  // bl 0x401000
        #expect(Relocation(arm64: words("d503201f 10ffffe0 d65f03c0")).succeeded)  // adr x0, 0x401000
        // bl 0x401000, behind paciasp
        #expect(Relocation(arm64: words("d503233f d503201f 97fffffe d65f03c0")).succeeded)
    }

    @Test func whatIsBehindTheDetourMayBeUsed() {
        // nop; nop; b .-4; ldr w0, .-4
        #expect(Relocation(arm64: words("d503201f d503201f 17ffffff 18ffffe0")).succeeded)
    }

    @Test func aComputedJumpMayHitALongDetour() {
        let code = words("d503201f d503201f d503201f d503201f d61f0040")  // …; br x2
        #expect(!Relocation(arm64: code).raw.unchecked_indirect_jump)
        #expect(Relocation(arm64: code, stub: Arm64MovedTests.page).raw.unchecked_indirect_jump)
        let authenticated = words("d503201f d503201f d503201f d503201f d71f0822")  // …; braa x1, x2
        #expect(Relocation(arm64: authenticated, stub: Arm64MovedTests.page).raw.unchecked_indirect_jump)
        let call = words("d503201f d503201f d503201f d503201f d63f0040")  // …; blr x2
        #expect(!Relocation(arm64: call, stub: Arm64MovedTests.page).raw.unchecked_indirect_jump)
    }

    /// Branches of every form, at many distances, to each of the first words, of entries with every landing pad.
    @Test func noBranchIsMissed() {
        var generator = SeededGenerator(seed: testSeed())
        // The opcode, and the lowest and the number of the bits of its displacement.
        let forms: [(UInt32, UInt32, UInt32)] = [
            (0x1400_0000, 0, 26), (0x5400_0001, 5, 19), (0x5400_0010, 5, 19), (0xb400_0000, 5, 19),
            (0x3500_0003, 5, 19),
            (0x3600_0000, 5, 14), (0xb708_0001, 5, 14), (0x7402_0001, 5, 9), (0xf5c2_8001, 5, 9),
        ]
        for _ in 0..<4000 {
            let (opcode, shift, bits) = forms.randomElement(using: &generator)!
            let bti = Bool.random(using: &generator)
            let (stub, detour) = [(Arm64MovedTests.near, 1), (Arm64MovedTests.far, 3)].randomElement(using: &generator)!
            let start = 6 + Int.random(in: 0..<200, using: &generator)
            let target = Int.random(in: -2..<6, using: &generator)
            let displacement = UInt32(truncatingIfNeeded: target - start) & ((1 << bits) - 1)
            let word = opcode | displacement << shift
            var code = [UInt32](repeating: 0xd503_201f, count: start) + [word, 0xd65f_03c0]
            if bti { code[0] = 0xd503_245f }
            let bytes = code.flatMap { word in withUnsafeBytes(of: word.littleEndian) { Array($0) } }
            let overwritten = 0..<(bti ? 1 : 0) + detour
            let relocation = Relocation(arm64: bytes, stub: stub)
            expect(
                relocation.succeeded, equals: !overwritten.contains(target),
                "\(target) from \(start), \(String(word, radix: 16))")
        }
    }
}
