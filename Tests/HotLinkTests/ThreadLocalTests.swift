import CHotpatchVictims
import CPatchCore
import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import Testing

/// Variables of which each thread has its own, linked into a process whose threads are there.
@Suite struct ThreadLocalTests {
    /// On this machine; SelfTest runs it on arm64.
    @Test func routines() { expect(victim_check_thread_locals(), equals: 0) }

    private func text(_ architecture: hp_arch, _ routine: hp_thread_local_routine) -> [String] {
        var code: UnsafeRawPointer?
        let count = hp_thread_local_code(architecture, routine, &code)
        let bytes = [UInt8](UnsafeRawBufferPointer(start: code, count: count))
        let instructions = (architecture == HP_ARCH_ARM64 ? Architecture.arm64 : .x86_64)
            .disassemble(bytes, at: Address(0x1000))
        expect(instructions.reduce(0) { $0 + $1.bytes.count }, equals: count)
        return instructions.map(\.text)
    }

    /// Whatever code may expect to find again is stored, and loaded from where it was.
    @Test func aDescriptorKeepsRegisters() {
        let lines = text(HP_ARCH_ARM64, HP_THREAD_LOCAL_DESCRIPTOR)
        let stored = lines.filter { $0.hasPrefix("stp") }.map { $0.dropFirst(4) }
        let loaded = lines.filter { $0.hasPrefix("ldp") && !$0.hasPrefix("ldp x0, x1, [x0") }.map { $0.dropFirst(4) }
        expect(stored.count, equals: 1 + 9 + 16)
        expect(Set(stored), equals: Set(loaded))
        for register in (1...18).map({ "x\($0)" }) + (0...31).map({ "q\($0)" }) + ["x29", "x30"] {
            #expect(
                stored.contains { $0.split(separator: ",").contains { $0.drop { $0 == " " } == register } },
                "\(register)")
        }
        #expect(lines.first == "bti c" || lines.first == "hint #0x22")
        expect(lines.last, equals: "ret")
    }

    @Test func whatEachArchitectureHas() {
        expect(text(HP_ARCH_X86_64, HP_THREAD_LOCAL_FIXED), equals: ["endbr64", "mov rax, qword ptr [rax + 8]", "ret"])
        expect(text(HP_ARCH_ARM64, HP_THREAD_LOCAL_FIXED).dropFirst(), equals: ["ldr x0, [x0, #8]", "ret"])
        #expect(text(HP_ARCH_X86_64, HP_THREAD_LOCAL_DESCRIPTOR).isEmpty)
        for architecture in [HP_ARCH_X86_64, HP_ARCH_ARM64] {
            #expect(!text(architecture, HP_THREAD_LOCAL_ADDRESS).isEmpty)
            #expect(!text(architecture, HP_THREAD_LOCAL_FORGET).isEmpty)
        }
    }
}
