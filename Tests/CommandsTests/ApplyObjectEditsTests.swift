import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Edits of an object that change more than code.
    @Suite struct ApplyObjectEditsTests {
        /// What a class overrides comes and goes on living objects: its own, those of subclasses in other files, and of generic ones, whose
        /// metadata the runtime makes.
        @Test func overridesComeAndGo() throws {
            var kennel = try Desk("Kennel", editing: ["Kennel"], beside: ["Others", "main"])
            let questions = ["speak", "walk", "legs", "rest"]
            let before = [
                "animal, dog, dog, cub of dog, dog, dog", "walks, walks, walks, walks, walks, walks",
                "4, 4, 4, 4, 4, 4", "rests, rests, rests, rests, rests, rests",
            ]
            try kennel.expect(before, questions)
            let applied = try kennel.apply(
                (
                    "    // Dog\n",
                    """
                        override func walk() -> String { "trots, as it \\(super.walk())" }
                        override var legs: Int { 5 }
                        override func rest() async -> String { await Task.yield(); return "sleeps" }

                    """
                ), ("    // Puppy\n", "    override func speak() -> String { \"puppy\" }\n    // Puppy\n"))
            #expect(applied.output.contains("Dog: override of method 'walk()' added"), "\(applied)")
            let trots = Array(repeating: "trots, as it walks", count: 5).joined(separator: ", ")
            try kennel.expect(
                [
                    "animal, dog, puppy, cub of dog, puppy, puppy", "walks, " + trots, "4, 5, 5, 5, 5, 5",
                    "rests, sleeps, sleeps, sleeps, sleeps, sleeps",
                ], questions)
            // What is made of a generic class only now inherits it, too.
            #expect(try kennel.victim.ask("later").hasPrefix("trots, as it walks, trots"))
            // An override that an object has brought is edited as any function, and goes as it came.
            try kennel.apply(("trots", "runs"), ("    override var legs: Int { 5 }\n", ""))
            try kennel.expect(
                [
                    "walks, " + Array(repeating: "runs, as it walks", count: 5).joined(separator: ", "),
                    "4, 4, 4, 4, 4, 4",
                ], ["walk", "legs"])
            // So does one that was there from the start.
            let removed = try kennel.apply(("    override func speak() -> String { \"dog\" }\n", ""))
            #expect(removed.output.contains("Dog: override of method 'speak()' removed"), "\(removed)")
            #expect(removed.output.contains("Cub overrides what Dog does"), "\(removed)")
            try kennel.expect(["animal, animal, puppy, cub of dog, puppy, puppy"], ["speak"])
            try expectDone("revert", "--all", "--pid", kennel.victim.id)
            try kennel.expect(before, questions)
            #expect(kennel.victim.finish() == 0)
        }
    }
}
