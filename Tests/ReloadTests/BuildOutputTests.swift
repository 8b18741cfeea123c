import HotpatchExpectations
import Testing

@testable import HotpatchReload

/// What a build that has failed says of files, and says twice.
@Suite struct BuildOutputTests {
    @Test func swiftPM() {
        let error = """
            /a/Sources/App/b.swift:1:19: error: cannot convert return expression of type 'String' to return type 'Int'
            1 | func b() -> Int { "no" }
              |                   `- error: cannot convert return expression of type 'String' to return type 'Int'
            2 |

            """
        let warning = "/a/Sources/App/main.swift:1:16: warning: initialization of 'x' was never used\n1 | let x = 5\n"
        let output = BuildOutput(
            "Building for debugging...\n[3/7] Emitting module App\n" + error + "[4/8] Compiling App b.swift\n" + error
                + warning + "[5/8] Compiling App c.swift\n" + warning)
        expect(output.files, equals: ["/a/Sources/App/b.swift"])
        expect(
            output.text,
            equals: "Building for debugging...\n[3/7] Emitting module App\n" + error
                + "[4/8] Compiling App b.swift\n" + warning + "[5/8] Compiling App c.swift\n")
    }

    @Test func make() {
        let printed = """
            gcc -c a.c -o a.o
            a.c: In function 'f':
            a.c:3:5: error: 'x' undeclared (first use in this function)
            a.c:3:5: note: each undeclared identifier is reported only once
            b.c:1:10: fatal error: none.h: No such file or directory
            make: *** [Makefile:4: a.o] Error 1

            """
        let output = BuildOutput(printed)
        #expect(output.files == ["a.c", "b.c"] && output.text == printed)
    }

    /// What names no file, and what is no message at all.
    @Test func others() {
        for printed in [
            "", "\n", "ld: a.o: undefined reference to `f'\ncollect2: error: ld returned 1 exit status\n",
            "error: no such module 'X'\n", ":: error: x", "a: error: b", "a:1b: error: c", "no newline",
        ] {
            let output = BuildOutput(printed)
            #expect(output.files == [] && output.text == printed, "\(printed.debugDescription)")
        }
    }
}
