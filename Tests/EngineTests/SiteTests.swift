import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import Testing

@testable import HotpatchEngine

@Suite struct SiteTests {
    private let near = Address(0x40_2000)
    private let far = Address(0x7f00_0000_0000)

    private var site: SiteRecord {
        SiteRecord(
            id: 1, machine: 62, entry: Address(0x401000), patchAddress: Address(0x401000),
            original: [0x55, 0x48, 0x89, 0xe5, 0x90], detour: [0xe9, 0xfb, 0xef, 0xff, 0x4f],
            stub: Address(0x5040_0000)..<Address(0x5040_0020), originalAddress: Address(0x5040_0006),
            slot: Address(0x5041_0000),
            moved: [
                .init(entryOffset: 0, stubOffset: 6), .init(entryOffset: 1, stubOffset: 7),
                .init(entryOffset: 5, stubOffset: 11),
            ],
            name: "f", imagePath: "/f")
    }

    @Test func aNearReplacementIsJumpedToStraightAFarOneThroughTheIsland() {
        expect(site.entry(for: near), equals: [0xe9, 0xfb, 0x0f, 0x00, 0x00])  // jmp 0x402000
        expect(site.entry(for: far), equals: site.detour)
    }

    @Test func threadsMoveOnlyFromTheFunctionsOwnBytes() {
        var plan = PatchPlan(architecture: .x86_64)
        plan.redirect(site, to: far, from: site.original)
        expect(
            plan.writes,
            equals: [Write(address: site.patchAddress, kind: .text, expected: site.original, bytes: site.detour)]
        )
        expect(plan.moves, equals: [PCMove(from: Address(0x401001), to: Address(0x5040_0007))])
        expect(plan.hazards, equals: [Address(0x401001)..<Address(0x401005)])

        var next = PatchPlan(architecture: .x86_64)
        next.redirect(site, to: near, from: site.detour)
        expect(next.writes.map(\.bytes), equals: [site.entry(for: near)])
        #expect(next.moves.isEmpty && next.hazards.isEmpty)

        var same = PatchPlan(architecture: .x86_64)
        same.redirect(site, to: far, from: site.detour)
        #expect(same.isEmpty)
    }

    /// A branch is one instruction, which nothing can point into. A stub farther away takes three, and a thread between them
    /// starts anew.
    @Test(arguments: [
        (hexadecimal: "ff0f0014", hazards: []), ("f08f00901042009100021fd6", [Address(0x401005)..<Address(0x401010)]),
    ])
    func anArm64EntryIsLedThroughItsIslandAndPutBack(detour: String, hazards: [Range<Address>]) {
        let digits = Array(detour.utf8)
        let bytes = stride(from: 0, to: digits.count, by: 2).map {
            UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)!
        }
        var site = site
        (site.machine, site.patchAddress) = (183, Address(0x401004))
        (site.detour, site.original) = (bytes, [UInt8](repeating: 0x1f, count: bytes.count))
        expect(site.entry(for: near), equals: site.detour, "the slot leads on, wherever the replacement is")

        var made = PatchPlan(architecture: .arm64)
        made.append(
            Write(address: site.patchAddress, kind: .text, expected: site.original, bytes: site.detour), to: .entries)
        let back = made.reversed()
        expect(back.writes.map(\.bytes), equals: [site.original])
        #expect(back.moves.allSatisfy { $0.to == site.patchAddress })
        expect(back.moves.map(\.from), equals: (hazards.isEmpty ? [] : [Address(0x401008), Address(0x40100c)]))
        expect(back.hazards, equals: hazards)
    }
}
