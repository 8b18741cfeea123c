import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// What of a C++ library replaces what of a process.
    @Suite struct CxxLibraryTests {
        private func store() throws -> Victim { try Victim(try Workshop.program("store.cpp", with: "g++")) }
        private let asBuilt = " total 25 shop 70 price 17 twice 24 fee 17"

        @Test func aCFunctionIsNotTheCxxOneOfItsName() throws {
            let store = try store()
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            try expectRefused(["apply", library, "--pid", store.id], "replaces nothing", maps: store.maps)
            try expect(store.ask("1"), equals: "outer 12" + asBuilt)
        }

        @Test func mapsDemangledNames() throws {
            let store = try store()
            let library = try Workshop.library("price.c", ["-DOTHER=1000"])
            try expectDone(
                "apply", library, "--pid", store.id, "--map", "Shop::price(int)=other", "--map", "twice<int>(int)=other"
            )
            try expect(store.ask("1"), equals: "outer 12 total 25 shop 1007 price 17 twice 1007 fee 17")
            try expectDone("revert", "--all", "--pid", store.id)
            try expect(store.ask("1"), equals: "outer 12" + asBuilt)
        }

        @Test func templatesAndInlineFunctionsOnlyWhenNamed() throws {
            let store = try store()
            let weak = try Workshop.library("generic.cpp", with: "g++")
            try expectRefused(["apply", weak, "--pid", store.id], "replaces nothing", maps: store.maps)
            let strong = try Workshop.library("generic.cpp", ["-DSTRONG"], with: "g++")
            try expectDone("apply", strong, "--pid", store.id)
            try expect(store.ask("1"), equals: "outer 12 total 25 shop 70 price 2800 twice 24 fee 17")
            try expectDone("revert", "--all", "--pid", store.id)
            try expectDone("apply", weak, "--pid", store.id, "--only", "*twice<int>(int)", "--only", "fee(int)")
            try expect(store.ask("1"), equals: "outer 12 total 25 shop 70 price 17 twice 1400 fee 2100")
            try expectDone("revert", "--all", "--pid", store.id)
            expect(store.finish(), equals: 0)
        }

        /// Through a replacement, and through an original whose moved first bytes hold the call.
        @Test(arguments: [["-O1"], ["-O2", "-fcf-protection=none"]], ["g++", "clang++"])
        func exceptionsPass(options: [String], compiler: String) throws {
            let store = try Victim(try Workshop.program("store.cpp", options, with: compiler))
            func answer(_ line: String) throws -> String { String(try store.ask(line).dropLast(asBuilt.count)) }
            try expect(answer("-1"), equals: "caught negative")
            try expectDone("apply", try Workshop.library("throwing.cpp", with: compiler), "--pid", store.id)
            try expect(answer("1"), equals: "outer 6012")
            try expect(answer("-1"), equals: "caught negative")
            try expect(answer("99"), equals: "caught replacement")
            try expectDone("revert", "--all", "--pid", store.id)
            try expect(answer("-1"), equals: "caught negative")
            try expect(answer("99"), equals: "outer 110")
            expect(store.finish(), equals: 0)
        }

        /// Compilers give the constructors of complete and of base objects one code, or two.
        @Test(arguments: [
            ["g++", "g++"], ["clang++", "g++"], ["g++", "clang++", "-Xclang", "-mno-constructor-aliases"],
        ])
        func constructors(compilers: [String]) throws {
            let victim = try Victim(try Workshop.build("cart.cpp", with: compilers[0]))
            try expect(victim.ask(), equals: "items 219 gone 2")
            let library = try Workshop.library(
                "cart.cpp", ["-DPATCH", "-Wno-unused"] + compilers.dropFirst(2), with: compilers[1])
            try expectDone("apply", library, "--pid", victim.id)
            try expect(victim.ask(), equals: "items 1007 gone 2")
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask(), equals: "items 219 gone 4")
            expect(victim.finish(), equals: 0)
        }
    }
}
