import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import HotpatchTestSupport
import Testing

@testable import HotpatchEngine

private let reach: UInt64 = 1 << 31
private let page = 4096
private let size = 80 << 10

private func region(_ start: UInt64, _ end: UInt64, _ path: String = "") -> Region {
    Region(range: Address(start)..<Address(end), permissions: [.read], path: path)
}

private func place(near entry: UInt64, _ regions: [Region], program: String = "/bin/app", reach: UInt64 = reach)
    -> Address?
{
    PoolPlacement.address(
        near: Address(entry), size: size, reach: reach, regions: regions, program: program, pageSize: page,
        limit: PoolPlacement.highest)
}

@Suite struct PoolPlacementTests {
    @Test func aPositionIndependentProgramGetsItBelow() throws {
        let regions = [
            region(0x5555_5555_0000, 0x5555_5556_0000, "/bin/app"), region(0x5555_5556_0000, 0x5555_5557_0000),
            region(0x5555_5600_0000, 0x5555_5610_0000, "[heap]"), region(0x7fff_0000_0000, 0x7fff_0002_0000, "[stack]"),
        ]
        let address = try #require(place(near: 0x5555_5555_1000, regions))
        #expect(address + size + page <= Address(0x5555_5555_0000))
        #expect(Address(0x5555_5555_0000) - address < size + 3 * page)
    }

    /// Debian's python3: not position-independent, at 4 MiB, with the heap somewhere above its bss.
    @Test func theHeapOfAFixedProgramCanGrow() throws {
        let regions = [
            region(0x40_0000, 0x42_1000, "/bin/app"), region(0x42_1000, 0xa0_0000, "/bin/app"),
            region(0xa0_0000, 0xab_0000),
            region(0x1e0_0000, 0x200_0000, "[heap]"), region(0x7f00_0000_0000, 0x7f00_1000_0000, "/lib/libc.so.6"),
        ]
        let address = try #require(place(near: 0x42_2000, regions))
        let heapEnd = Address(0x200_0000)
        #expect(address < Address(0x40_0000) || address >= heapEnd + PoolPlacement.heapRoom)
        #expect(!(Address(0xab_0000)..<heapEnd).contains(address))
    }

    @Test func theStackCanGrow() throws {
        let stack = Address(0x7fff_f000_0000)
        let regions = [
            region(0x7fff_c000_0000, 0x7fff_c001_0000, "/lib/libx.so"),
            region(stack.rawValue, 0x7fff_f002_0000, "[stack]"),
        ]
        let address = try #require(place(near: 0x7fff_c000_8000, regions))
        #expect(address + size <= stack - PoolPlacement.stackRoom)
    }

    @Test func nothingWithinReachIsNil() {
        let regions = [region(1 << 20, 0x9000_0000, "/bin/app")]
        expect(place(near: 0x400_0000, regions, reach: 1 << 24), equals: nil)
    }

    /// What an arm64 detour falls back on: the nearest place, however far.
    @Test func withoutALimitTheNearestIsTaken() throws {
        let full = [region(1 << 20, 0x4000_0000, "/bin/app")]
        let entry: UInt64 = 0x3000_0000
        expect(place(near: entry, full, reach: 128 << 20), equals: nil)
        let address = try #require(place(near: entry, full, reach: .max))
        #expect(address >= Address(0x4000_0000) + PoolPlacement.heapRoom)
        #expect(address < Address(0x4000_0000) + PoolPlacement.heapRoom + 4 * page)
        #expect(place(near: .max - 15, full, reach: .max) != nil)
        #expect(place(near: 0, full, reach: .max) != nil)
    }

    @Test func addressesEndWhereTheKernelSays() throws {
        let stack = region(0xffff_f000_0000, 0xffff_f002_0000, "[stack]")
        let small = region(0x7f_fff0_0000, 0x7f_fff2_0000, "[stack]")  // 39 bits
        expect(PoolPlacement.limit(.x86_64, regions: [small]), equals: Address(1 << 47))
        expect(PoolPlacement.limit(.arm64, regions: [stack]), equals: stack.range.upperBound)
        expect(PoolPlacement.limit(.arm64, regions: [small]), equals: small.range.upperBound)
        expect(PoolPlacement.limit(.arm64, regions: [region(1 << 50, 1 << 51)]), equals: Address(1 << 48))
        // Libraries of arm64 lie above what x86_64 can address.
        let library = region(0xffff_8000_0000, 0xffff_8001_0000, "/lib/libx.so")
        let address = PoolPlacement.address(
            near: Address(0xffff_8000_8000), size: size, reach: 128 << 20, regions: [library, stack],
            program: "/bin/app",
            pageSize: page, limit: PoolPlacement.limit(.arm64, regions: [library, stack]))
        #expect(try #require(address).distance(to: library.range.lowerBound) < 1 << 20)
    }

    @Test func everyByteIsWithinReachAndFree() throws {
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            var regions: [Region] = []
            var next = UInt64.random(in: 1...64, using: &random) << 20
            for _ in 0..<40 {
                let length = UInt64.random(in: 1...64, using: &random) << 16
                regions.append(region(next, next + length, Bool.random(using: &random) ? "" : "/lib/x.so"))
                next += length + UInt64.random(in: 0...40, using: &random) << 12
            }
            let entry = regions.randomElement(using: &random)!.range.lowerBound
            guard let address = place(near: entry.rawValue, regions, reach: 1 << 26) else { continue }
            #expect(
                address.distance(to: entry) <= 1 << 26 && (address + size).distance(to: entry) <= 1 << 26,
                "seed \(seed)")
            #expect(!regions.contains { $0.range.overlaps(address..<address + size) }, "seed \(seed)")
            expect(address.rawValue % UInt64(page), equals: 0)
        }
    }
}
