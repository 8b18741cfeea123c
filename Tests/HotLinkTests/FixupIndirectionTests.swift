import HotpatchHotLink
import Testing

@Suite struct FixupIndirectionTests {
    @Test func slots() {
        #expect(GotSlot.bytes(0x1122_3344_5566_7788) == [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11])
        #expect(GotSlot.bytes(0).count == GotSlot.size)
    }
}
