import HotpatchELF
import HotpatchHotLink
import HotpatchSymbols
import HotpatchTestSupport
import Testing

/// What `make fuzz` has found.
@Suite struct HostileObjectTests {
    private func object(_ source: String) throws -> ObjectFile { try ObjectFile(file(source)) }

    private func file(_ source: String) throws -> ElfImage {
        let directory = try TemporaryDirectory("hostile")
        try write(source, to: "\(directory.path)/source")
        try runTool(
            "clang", "-x", "assembler", "-c", "-o", "\(directory.path)/object.o", "\(directory.path)/source")
        return try ElfImage(path: "\(directory.path)/object.o")
    }

    /// A structure without a name has a thousand members that are structures like it: a thousand million at the fourth level.
    @Test func aTypeThatHoldsItself() throws {
        let source = """
            .section .debug_abbrev
            .byte 1, 0x11, 1, 0x13, 0x05, 0, 0
            .byte 2, 0x13, 1, 0x0b, 0x0b, 0, 0
            .byte 3, 0x0d, 0, 0x49, 0x13, 0, 0
            .byte 4, 0x34, 0, 0x03, 0x08, 0x49, 0x13, 0, 0
            .byte 0
            .section .debug_info
            start:
            .long end - begin
            begin:
            .short 4
            .long 0
            .byte 8
            .byte 1
            .short 12
            type:
            .byte 2, 8
            .rept 1000
            .byte 3
            .long type - start
            .endr
            .byte 0
            .byte 4
            .asciz "endless"
            .long type - start
            .byte 0
            end:
            """
        let found = try #require(ObjectDescriptions(of: try file(source)))
        let type = try #require(found.variables["endless"]).type
        #expect(type.hasPrefix("{ ") && type.utf8.count < 1 << 20)
    }

    /// It would be linked where nothing can run, and the process would be led there.
    @Test func aFunctionIsCode() throws {
        let error = #expect(throws: LinkError.self) {
            try object(".data\n.globl price\n.type price,@function\nprice: ret\n.size price, 1\n")
        }
        #expect("\(try #require(error))".contains("price, is a function and lies in section .data, which is no code."))
    }
}
