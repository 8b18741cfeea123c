import Glibc
import TestSupport
import Testing

extension CommandTests {
    /// A process maps whatever its user pleases, and its files are whatever they please to be: the patcher, which may be root, reads
    /// them all.
    @Suite struct HostileFileTests {
        private func mapper() throws -> Victim { try Victim(try Workshop.program("mapper.c")) }

        /// libdw builds the file of a deleted image from the target's memory, by its program headers, and believes them: root's heap
        /// was what they said.
        @Test(arguments: [0, 0x10, 0x100_0000, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_F000, 0xFFFF_FFFF_FFFF_F000 as UInt64])
        func deletedImagesWithMangledHeaders(_ offset: UInt64) throws {
            var bytes = try Workshop.bytes(of: Workshop.library("price.c", ["-DOTHER=1"]))
            // p_offset of the third program header.
            let place = 64 + 2 * 56 + 8
            withUnsafeBytes(of: offset.littleEndian) { bytes.replaceSubrange(place..<place + 8, with: $0) }
            let file = try Workshop.file("mangled-\(offset).so", bytes)
            let victim = try mapper()
            #expect(try victim.ask("map \(file)") == "mapped")
            unlink(file)
            try expectDone("apply", try Workshop.library("price.c", ["-DPRICE=1000"]), "--pid", victim.id)
            #expect(try victim.ask() == "price 1007")
        }
    }
}
