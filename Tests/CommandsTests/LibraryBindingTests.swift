import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// What a library takes of the process that the process does not export.
    @Suite struct LibraryBindingTests {
        @Test(arguments: [[], ["-no-pie"], ["-O2"]]) func bindsToWhatIsNotExported(options: [String]) throws {
            let victim = try Victim(try Workshop.build("hidden.c", options))
            try expect(victim.ask(), equals: "price 21 counter 101 own 3")
            let library = try Workshop.library("hidden.c", ["-DPATCH=1000"])
            let applied = try expectDone("apply", library, "--pid", victim.id)
            #expect(
                applied.output.contains(
                    "note: what the process has and does not export was bound to where it is: counter, helper\nnote: helper is static"
                ),
                "\(applied)")
            try expect(victim.ask(), equals: "price 1040 counter 111 own 3")
            #expect(try expectDone("list", "--pid", victim.id).output.contains("\n  library \(library)\n"))
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask(), equals: "price 21 counter 112 own 3")
            try expectRefused(
                ["apply", try Workshop.library("hidden.c", ["-DTHREAD_LOCAL"]), "--pid", victim.id],
                "has and does not export: of_thread. They are thread-local", "--export-dynamic", maps: victim.maps)
            expect(victim.finish(), equals: 0)
        }

        @Test func bindsToNothingOfWhichThereAreTwo() throws {
            let victim = try Victim(try Workshop.program("twin.c", [try Workshop.build("twin_other.c", ["-c"])]))
            let library = try Workshop.library("hidden.c", ["-DPATCH=1000", "-Dprice=other", "-Dcounter=environ"])
            try expectRefused(
                ["apply", library, "--pid", victim.id], "needs a symbol that process \(victim.id) does not export",
                "'helper' names 2 functions", maps: victim.maps)
        }

        /// A Swift library that imports the program's module: the types are the program's own.
        @Test func importsTheProgramsModule() throws {
            let directory = try Workshop.directory
            let module = ["-module-name", "bound", "-parse-as-library", "-enable-testing"]
            let victim = try Victim(
                try Workshop.build(
                    "bound.swift",
                    module + ["-emit-executable", "-emit-module", "-emit-module-path=\(directory)/bound.swiftmodule"]))
            try expect(victim.ask(), equals: "old, orders 1")
            let library = try Workshop.library(
                "bound.swift", ["-DPATCH", "-module-name", "bound_patch", "-I\(directory)"])
            let applied = try expectDone("apply", library, "--pid", victim.id)
            #expect(applied.output.contains("bound.Cart.__allocating_init(items: Swift.Int)"), "\(applied)")
            try expect(victim.ask(), equals: "new 2006 by ship, orders 102")
            try expect(victim.ask(), equals: "new 2006 by ship, orders 203")
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask(), equals: "old, orders 204")
            expect(victim.finish(), equals: 0)
        }
    }
}
