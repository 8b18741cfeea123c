import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Functions whose first bytes other code leads into: refused, and the process goes on.
    @Suite struct EnteredTests {
        struct Row {
            var function: String
            /// What the message must say; none for a function that can be patched.
            var reasons: [String]
            var inStripped = true
        }

        static let into = "code outside the function jumps into the bytes that would be overwritten"
        static let back = "a part of the function that lies elsewhere jumps back to the entry"

        static var rows: [Row] {
            [
                Row(
                    function: "short_in",
                    reasons: ["`jmp 0x", "(to_short_in+0x2), which refers to short_in+0x2: \(into)"]),
                Row(function: "near_in", reasons: ["(to_near_in+0x2), which refers to near_in+0x2: \(into)"]),
                Row(function: "called_in", reasons: ["`call 0x", "which refers to called_in+0x2: \(into)"]),
                Row(
                    function: "nameless_in",
                    reasons: ["`jns 0x", "(code that no symbol names), which refers to nameless_in+0x2: \(into)"]),
                Row(
                    function: "labelled", reasons: ["labelled_goes_on at 0x", "a symbol names a byte"],
                    inStripped: false),
                Row(
                    function: "addressed",
                    reasons: ["`lea rax, ", "which refers to addressed+0x2: the address of a byte"]),
                Row(function: "pointed", reasons: ["(data), which refers to pointed+0x2: the address of a byte"]),
                Row(function: "looped", reasons: ["which refers to looped: \(back)"]),
                Row(function: "looped_nameless", reasons: ["(code that no symbol names)", "looped_nameless: \(back)"]),
                Row(function: "tail", reasons: []),
                // Through padding near by, so that the third byte stays as it is.
                Row(function: "roomy", reasons: []),
                Row(function: "narrow", reasons: ["(to_narrow+0x2), which refers to narrow+0x2: \(Self.into)"]),
                Row(function: "crowded", reasons: ["(to_crowded+0x2), which refers to crowded+0x2: \(Self.into)"]),
                Row(function: "lookalike", reasons: []),
                Row(function: "chosen", reasons: []),
                Row(
                    function: "chosen_past",
                    reasons: [
                        "`jmp rcx`", "which refers to 0x", "a jump leads into the bytes that would be overwritten",
                    ]),
                Row(
                    function: "unsized", reasons: ["the function has no size", "give it a size (`.size` in assembly)"]),
                Row(function: "unsized_padded", reasons: []),
                Row(
                    function: "unsized_reached", reasons: ["(to_reached), which refers to unsized_reached+0x"],
                    inStripped: false),
            ]
        }

        @Test(arguments: [[], ["-s"], ["-no-pie"]])
        func entered(built: [String]) throws {
            let victim = try Victim(try Workshop.program("entered.c", built))
            let library = try Workshop.library("entered_patch.c")
            let before = try victim.ask()
            for row in Self.rows where row.inStripped || built != ["-s"] {
                let result = try hotpatch("apply", library, "--only", row.function, "--pid", victim.id)
                let after = try victim.ask()
                guard row.reasons.isEmpty else {
                    expect(result.status, equals: 2, "\(row.function): \(result)")
                    for reason in row.reasons { #expect(result.errors.contains(reason), "\(result)") }
                    expect(after, equals: before, "\(row.function): whoever leads there still runs")
                    continue
                }
                expect(result.status, equals: 0, "\(row.function): \(result)")
                #expect(after.contains(" \(row.function) 1007"), "\(after)")
                if row.function == "roomy" { #expect(after.contains(" to_roomy 15"), "\(after)") }
                if row.function == "tail" { #expect(after.contains(" to_tail 1007"), "a call in tail position") }
                try expectDone("revert", "--all", "--pid", victim.id)
                try expect(victim.ask(), equals: before)
            }
        }
    }
}
