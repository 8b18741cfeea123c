import Glibc
import Hotpatch
import HotpatchTestSupport
import Testing

#if arch(x86_64)
    /// Functions of this process whose first bytes other code leads into (Tests/Victims/commands/entered.c).
    @Suite(.serialized) final class EnteredTests {
        private let turn: PatchingTurn
        private static let directory = Result { try TemporaryDirectory("entered", untilExit: true) }

        init() async { turn = await PatchingTurn() }

        deinit { try? Patch.revertAll() }

        @Test func whatIsEnteredElsewhereIsRefusedOrOverwrittenLess() throws {
            let package = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
            let library = try Self.directory.get().path + "/libentered.so"
            try runTool(
                "gcc", "-shared", "-fPIC", "-Wl,-Bsymbolic", package + "/Tests/Victims/commands/entered.c", "-o",
                library)
            let handle = try #require(dlopen(library, RTLD_NOW | RTLD_LOCAL))
            func call(_ name: String) throws -> Int32 {
                unsafeBitCast(try #require(dlsym(handle, name)), to: Unary.self)(7)
            }
            let replacement: Unary = { $0 + 1000 }
            for (function, reason) in [
                ("short_in", "jumps into the bytes"), ("labelled", "labelled_goes_on"), ("addressed", "is taken"),
                ("pointed", "is taken"), ("looped", "jumps back to the entry"), ("unsized", "has no size"),
                ("narrow", "(to_narrow+0x2), which refers to narrow+0x2"), ("chosen_past", "`jmp rcx`"),
            ] {
                #expect {
                    try Patch.replace(symbol: function, in: library, with: replacement)
                } throws: { error in "\(error)".contains(reason) }
                #expect(try call(function) == 15)
            }
            for _ in 0..<2 {
                let patch = try Patch.replace(symbol: "roomy", in: library, with: replacement)
                #expect(try call("roomy") == 1007)
                #expect(try call("to_roomy") == 15)
                #expect(try patch.original(as: Unary.self)(7) == 15)
                try patch.revert()
                #expect(try call("roomy") == 15)
            }
            let chosen = try Patch.replace(symbol: "chosen", in: library, with: replacement)
            #expect(try call("chosen") == 1007)
            #expect(try chosen.original(as: Unary.self)(7) == 15)
            try chosen.revert()
            let tail = try Patch.replace(symbol: "tail", in: library, with: replacement)
            #expect(try call("to_tail") == 1007)
            try tail.revert()
        }
    }
#endif
