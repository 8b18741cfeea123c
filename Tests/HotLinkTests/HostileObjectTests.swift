import HotpatchELF
import HotpatchHotLink
import HotpatchTestSupport
import Testing

/// What `make fuzz` has found.
@Suite struct HostileObjectTests {
    private func object(_ source: String) throws -> ObjectFile {
        let directory = try TemporaryDirectory("hostile")
        try write(source, to: "\(directory.path)/source")
        try runTool(
            "clang", "-x", "assembler", "-c", "-o", "\(directory.path)/object.o", "\(directory.path)/source")
        return try ObjectFile(ElfImage(path: "\(directory.path)/object.o"))
    }

    /// It would be linked where nothing can run, and the process would be led there.
    @Test func aFunctionIsCode() throws {
        let error = #expect(throws: LinkError.self) {
            try object(".data\n.globl price\n.type price,@function\nprice: ret\n.size price, 1\n")
        }
        #expect("\(try #require(error))".contains("price, is a function and lies in section .data, which is no code."))
    }
}
