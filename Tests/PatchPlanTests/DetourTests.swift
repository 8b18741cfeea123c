import CPatchCore
import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import Testing

@Suite struct DetourTests {
    @Test func values() throws {
        let detour = try Detour()
        expect(detour.patchAddress, equals: Address(0x401000))
        expect(detour.expected, equals: hex("55 48 89 e5 41"))
        expect(detour.bytes, equals: hex("e9 fb ef 0f 00"))
        expect(detour.stub.originalAddress, equals: Address(0x500008))
        expect(detour.stub.slot, equals: Address(0x600000))
        expect(detour.stub.range, equals: Address(0x500000)..<Address(0x500013))
        expect(detour.pcMap.map(\.entryOffset), equals: [0, 1, 4, 6])
        expect(detour.pcMap.map(\.stubOffset), equals: [8, 9, 12, 14])
        expect(hazards(detour), equals: [Address(0x401001)..<Address(0x401005)])
        #expect(!detour.movesCall && !detour.hasUncheckedIndirectJump)
    }

    @Test func aSingleInstructionHasNoHazard() throws {
        #expect(hazards(try Detour(code: hex("b8 01 00 00 00 c3"))).isEmpty)
        #expect(hazards(try Detour(code: hex("f3 0f 1e fa 48 81 ec 00 10 00 00 c3"))).isEmpty)
    }

    /// What no thread may come back to while the jump is written.
    private func hazards(_ detour: Detour) -> [Range<Address>] {
        var plan = PatchPlan(architecture: detour.architecture)
        plan.append(detour, leadingTo: Address(0x7f00_0000_0000))
        return plan.hazards
    }

    /// stp x29, x30, [sp, #-16]!; mov x29, sp; ret
    static let arm64 = hex("fd 7b bf a9 fd 03 00 91 c0 03 5f d6")

    @Test func arm64Values() throws {
        let detour = try Detour(code: Self.arm64, architecture: .arm64)
        expect(detour.patchAddress, equals: Address(0x401000))
        #expect(detour.expected == hex("fd 7b bf a9") && detour.bytes == hex("00 fc 03 14"))
        expect(detour.pcMap.map(\.entryOffset), equals: [0, 4])
        #expect(hazards(detour).isEmpty && !detour.movesCall)
        // A thread behind paciasp goes on behind the stub's own.
        let signed = try Detour(code: hex("3f 23 03 d5") + Self.arm64, architecture: .arm64)
        expect(signed.patchAddress, equals: Address(0x401004))
        expect(
            signed.pcMap.first?.move(entry: signed.entry, stub: signed.stub.address),
            equals: PCMove(from: Address(0x401004), to: signed.stub.originalAddress + 4))
    }

    @Test func aFarArm64DetourHasAHazard() throws {
        let detour = try Detour(code: Self.arm64, architecture: .arm64, stub: Address(0x1040_1040))
        expect(detour.bytes.count, equals: 12)
        expect(hazards(detour), equals: [Address(0x401001)..<Address(0x40100c)])
        expect(detour.pcMap.map(\.entryOffset), equals: [0, 4, 8])
    }

    /// A jump of several instructions changes nothing but a register that is dead: who is inside starts over.
    @Test func whoIsInsideALongJumpStartsOver() throws {
        let address = Address(0x401000)
        let far = try Detour(code: Self.arm64, architecture: .arm64, stub: Address(0x1040_1040))
        expect(
            Architecture.arm64.restarts(of: far.bytes, at: address),
            equals: [4, 8].map { PCMove(from: address + $0, to: address) })
        let near = try Detour(code: Self.arm64, architecture: .arm64)
        #expect(Architecture.arm64.restarts(of: near.bytes, at: address).isEmpty)
        #expect(try Architecture.x86_64.restarts(of: Detour().bytes, at: address).isEmpty)
        #expect(Architecture.x86_64.restarts(of: [], at: address).isEmpty)
    }

    @Test func onArm64AnEntryLeadsToItsIslandOnly() {
        // Past it, a replacement would be given a signed return address.
        expect(Architecture.arm64.jump(from: Address(0x401000), to: Address(0x402000)), equals: nil)
        expect(Architecture.x86_64.jump(from: Address(0x401000), to: Address(0x402000)), equals: hex("e9 fb 0f 00 00"))
    }

    @Test func notes() throws {
        #expect(try Detour(code: hex("e8 00 10 00 00 c3")).movesCall)
        #expect(try Detour(code: prologue + hex("ff e0")).hasUncheckedIndirectJump)
    }

    @Test func refusalsSayWhatWhereAndWhy() {
        #expect {
            try Detour(code: hex("55 48 89 e5 41 57 75 fa c3"))
        } throws: { error in
            "\(error)"
                == "`jne 0x401002` (75 fa) at 0x401006: a jump leads into the bytes that would be "
                + "overwritten; build it with -fpatchable-function-entry=5, or patch its callers"
        }
        #expect {
            try Detour(code: hex("8b 05 fb ff ff ff c3"))
        } throws: { error in
            "\(error)".hasPrefix(
                "`mov eax, dword ptr [rip - 5]` (8b 05 fb ff ff ff) at 0x401000, which refers to 0x401001: the "
            )
        }
        #expect {
            try Detour(code: hex("c3"))
        } throws: { error in
            "\(error)".hasPrefix("the function is shorter than the jump")
        }
        #expect {
            try Detour(code: hex("06 90 90 90 90 90"))
        } throws: { error in
            "\(error)".hasPrefix("the bytes 06 90 90 90 90 90 at 0x401000: the decoder does not know")
        }
        #expect {
            // str wzr, [x0]; b .-4: a loop at the entry
            try Detour(code: hex("1f 00 00 b9 ff ff ff 17"), architecture: .arm64)
        } throws: { error in
            "\(error)".hasPrefix("`b #0x401000` (ff ff ff 17) at 0x401004: a jump leads back")
        }
        #expect {
            try Detour(code: hex("07 00 00 00"), architecture: .arm64)
        } throws: { error in
            "\(error)".contains("(07 00 00 00) at 0x401000: the decoder does not know")
        }
    }

    @Test func aForeignJumpIsCalledOne() {
        #expect {
            try Detour(code: hex("e9 00 10 00 00 48 89 e5 c3"), functionLength: 9)
        } throws: { error in
            "\(error)".hasSuffix(
                ": another patcher's jump, or a breakpoint, stands at the entry; revert the other patch, or remove the breakpoint, first"
            )
        }
    }

    @Test func everyReasonHasAName() {
        // One for each of the core's, under the same number.
        expect(Refusal.Reason.allCases.map(\.rawValue), equals: Array(1...HP_NO_SIZE.rawValue))
        expect(Set(Refusal.Reason.allCases.map(\.text)).count, equals: 19)
        #expect(Refusal.Reason.branchToEntry.text.contains("back to the entry"))
        #expect(Refusal.Reason.alreadyPatched.text.hasPrefix("another patcher's jump"))
    }

    /// Addresses come from files.
    @Test(arguments: [0, 1, 0xffff_ffff_ffff_fff0, 0xffff_ffff_ffff_ffff, 0x8000_0000_0000_0000] as [UInt64])
    func addressesAtTheEndsOfTheWorldDoNotTrap(raw: UInt64) {
        for stub in [0, 16, raw, raw & ~15, ~15] {
            let detour = try? Detour(entry: Address(raw), stub: Address(stub))
            if let detour { expect(detour.expected.count, equals: 5) }
            let other = try? Detour(code: Self.arm64, architecture: .arm64, entry: Address(raw), stub: Address(stub))
            if let other { #expect((4...16).contains(other.expected.count)) }
        }
        #expect(throws: Refusal.self) { try Detour(code: []) }
        #expect(throws: Refusal.self) { try Detour(code: [0x55], functionLength: -5) }
    }

    @Test func architectures() {
        #expect(Architecture(elfMachine: 62) == .x86_64 && Architecture(elfMachine: 183) == .arm64)
        expect(Architecture(elfMachine: 3), equals: nil)
        for architecture in Architecture.allCases {
            expect(Architecture(elfMachine: architecture.elfMachine), equals: architecture)
        }
        #expect(Architecture.arm64.detourReach == 128 << 20 && Architecture.arm64.farDetourReach == .max)
        expect(Architecture.x86_64.farDetourReach, equals: Architecture.x86_64.detourReach)
        #expect(Architecture.x86_64.detourReach > 0x7fff_0000 && Architecture.x86_64.detourReach < 0x8000_0000)
    }
}
