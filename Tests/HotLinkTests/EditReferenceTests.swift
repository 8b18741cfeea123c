import HotpatchELF
import HotpatchExpectations
import HotpatchHotLink
import HotpatchTestSupport
import Testing

/// References inside a section, of which assemblers leave no relocation: each is found in the instructions, and nothing else is.
@Suite struct EditReferenceTests {
    private func references(of function: String, _ source: String, _ target: String) throws -> [String] {
        let directory = try TemporaryDirectory("references")
        try write(source, to: "\(directory.path)/source")
        let object = "\(directory.path)/object.o"
        try runTool(
            "clang", "--target=\(target)", "-x", "assembler", "-c", "-o", object, "\(directory.path)/source")
        let graph = try ObjectGraph(ObjectFile(ElfImage(path: object)))
        let piece = try #require(graph.pieces.first { $0.name == function })
        return piece.references.map { reference in
            let name =
                switch reference.target {
                case .piece(let piece, let offset): graph.pieces[piece].name + (offset == 0 ? "" : "+\(offset)")
                case .symbol(let symbol): graph.object.symbols[symbol].name
                }
            return "\(reference.offset) \(reference.row) \(name)"
        }
    }

    /// What is added to an address is none: the page of a symbol is never known to the assembler.
    @Test func onlyInstructionsThatHoldADistanceRefer() throws {
        let found = try references(
            of: "maker",
            """
            .text
            .type helper,@function
            helper: ret
            nop; nop; nop; nop; nop; nop; nop
            .size helper, .-helper
            .type maker,@function
            maker:
            adrp x8, datum
            add x8, x8, :lo12:datum
            add x0, x8, #4
            bl helper
            adr x1, helper
            cbz x0, helper
            tbz x0, #3, helper
            b.eq helper
            adrp x9, datum
            ldr x9, [x9, :lo12:datum]
            add x0, x9, #8
            b helper
            .size maker, .-maker
            .data
            .globl datum
            datum: .quad 0
            """, "aarch64-linux-gnu")
        expect(
            found,
            equals: [
                "0 R_AARCH64_ADR_PREL_PG_HI21 datum", "4 R_AARCH64_ADD_ABS_LO12_NC datum", "12 R_AARCH64_CALL26 helper",
                "16 R_AARCH64_ADR_PREL_LO21 helper", "20 R_AARCH64_CONDBR19 helper", "24 R_AARCH64_TSTBR14 helper",
                "28 R_AARCH64_CONDBR19 helper", "32 R_AARCH64_ADR_PREL_PG_HI21 datum",
                "36 R_AARCH64_LDST64_ABS_LO12_NC datum", "44 R_AARCH64_JUMP26 helper",
            ])
    }

    /// The compiler gives no symbol to what destroys a closure's context: it lies behind a function that it has nothing to do with.
    @Test func functionsWithoutANameArePieces() throws {
        let directory = try TemporaryDirectory("references")
        try write(
            """
            .text
            .type outlined,@function
            outlined: ret
            .size outlined, .-outlined
            .balign 16
            .Ldestroy: .cfi_startproc
            call outlined
            ret
            .cfi_endproc
            .balign 16
            .type switcher,@function
            switcher: nop
            .Lcase: ret
            .size switcher, .-switcher
            .type unsized,@function
            unsized: nop
            .Lother: ret
            .section .data.rel.ro,"aw"
            .quad .Ldestroy
            .section .rodata
            .long .Lcase - .
            .long .Lother - .
            """, to: "\(directory.path)/source")
        let object = "\(directory.path)/object.o"
        try runTool("clang", "-x", "assembler", "-c", "-o", object, "\(directory.path)/source")
        let graph = try ObjectGraph(ObjectFile(ElfImage(path: object)))
        let text = try #require(graph.object.sections.firstIndex { $0.name == ".text" })
        let pieces = graph.pieces.filter { $0.section == text }
        expect(pieces.map(\.name), equals: ["outlined", "", "switcher", "unsized"])
        expect(pieces.filter(\.isFunction).count, equals: 4)
        let nameless = try #require(graph.pieces.firstIndex { $0.section == text && $0.name.isEmpty })
        let places = graph.pieces.filter { graph.object.sections[$0.section].name == ".data.rel.ro" }
        expect(places.flatMap(\.references).map(\.target), equals: [.piece(nameless, offset: 0)])
        expect(graph.pieces[nameless].references.map(\.offset), equals: [1])
    }
}
