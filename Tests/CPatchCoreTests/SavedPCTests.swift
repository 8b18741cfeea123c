import CPatchCore
import Testing

/// A word of a stack is told to be the PC of a signal frame by what stands beside it.
@Suite struct SavedPCTests {
    private func isSaved(_ arch: hp_arch, _ words: UInt64...) -> Bool { hp_is_saved_pc(arch, words) }

    @Test func x86() {
        let (pc, selectors): (UInt64, UInt64) = (0x40_1002, 0x2b_0000_0000_0033)
        #expect(isSaved(HP_ARCH_X86_64, 0x7ffc_0000_1008, pc, 0x246, selectors))
        // CF, PF, AF, ZF, SF, TF, DF, OF, AC, ID
        #expect(isSaved(HP_ARCH_X86_64, 0x7ffc_0000_1008, pc, 0x24_0fd7, selectors))
        #expect(!isSaved(HP_ARCH_X86_64, pc, pc, pc, pc))
        #expect(!isSaved(HP_ARCH_X86_64, 0, pc, 0, 0))
        #expect(!isSaved(HP_ARCH_X86_64, 0, pc, 0x246, 0x30))
        #expect(!isSaved(HP_ARCH_X86_64, 0, pc, 0x46, selectors))
        #expect(!isSaved(HP_ARCH_X86_64, 0, pc, 0x1_0000_0246, selectors))
    }

    @Test func arm64() {
        let (pc, sp): (UInt64, UInt64) = (0x40_1004, 0xffff_fc00_1010)
        #expect(isSaved(HP_ARCH_ARM64, sp, pc, 0x6000_0000, 0))
        #expect(isSaved(HP_ARCH_ARM64, sp, pc, 0x8000_1000, 0))  // SSBS
        #expect(!isSaved(HP_ARCH_ARM64, pc, pc, pc, pc))
        #expect(!isSaved(HP_ARCH_ARM64, 0, pc, 0x6000_0000, 0))
        #expect(!isSaved(HP_ARCH_ARM64, sp, pc, 0x6000_0005, 0))
        #expect(!isSaved(HP_ARCH_ARM64, sp, pc, 0xffff_ffff_ffff_ffe0, 0))
    }

    @Test func anUnknownArchitectureIsDoubt() { #expect(isSaved(hp_arch(rawValue: 9), 0, 1, 0, 0)) }
}
