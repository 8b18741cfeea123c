import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Virtual functions of C++, and coroutines: what objects that live hold of them, and who else has to know.
    @Suite struct ApplyObjectVtableTests {
        private static let compilers = [
            ["g++", "-std=c++20"], ["clang++", "-std=c++20"], ["g++", "-std=c++20", "-fno-pic", "-no-pie"],
        ]
        private static let classes = """
            struct Base { virtual int f(); virtual int g(); virtual ~Base() {} };
            struct Derived : Base {
                int g() override;
                /* Derived */
            };

            """

        /// Three files, as if a header had the classes.
        private func animals(_ compiler: [String], several: Bool = false) throws -> EditedFiles {
            try EditedFiles(
                [
                    (
                        "base.cpp",
                        Self.classes + """
                            int Base::f() { return 1; }
                            int Base::g() { return 2; }
                            int Derived::g() { return 20; }
                            // Here

                            """
                    ),
                    (
                        "more.cpp",
                        Self.classes + """
                            struct Other { virtual int h() { return 0; } };
                            struct Leaf : Derived\(several ? ", Other" : "") { int leaves = 3; };
                            Base *leaf() { return new Leaf; }
                            int byName() { Derived derived; return derived.f(); }

                            """
                    ),
                    (
                        "answer.cpp",
                        Self.classes + """
                            #include <cstdio>
                            Base *leaf();
                            int byName();
                            static Base *const all[] = {new Base, new Derived, leaf()};
                            static char text[64];
                            extern "C" const char *answer(const char *) {
                                std::sprintf(text, "%d %d %d, %d %d %d, %d", all[0]->f(), all[1]->f(), all[2]->f(), all[0]->g(),
                                             all[1]->g(), all[2]->g(), byName());
                                return text;
                            }

                            """
                    ),
                ], compiler)
        }

        @Test(arguments: compilers) func overridesComeAndGo(compiler: [String]) throws {
            var animals = try animals(compiler)
            let before = "1 1 1, 2 20 20, 1"
            #expect(try animals.victim.ask("") == before)
            // A class of another file, which is not compiled again, has it from there.
            let added = try animals.apply(
                ("base.cpp", "/* Derived */", "int f() override;"),
                ("base.cpp", "// Here", "int Derived::f() { return 10; }"))
            expect(added.status, equals: 0, "\(added)")
            #expect(
                added.output.contains(
                    "Derived: virtual function 'Derived::f()' takes the slot of 'Base::f()' in the vtable")
                    && added.output.contains("byName() calls Base::f() by its name"), "\(added)")
            #expect(try animals.victim.ask("") == "1 10 10, 2 20 20, 1")
            // It is edited as any function.
            let edited = try animals.apply(("base.cpp", "return 10", "return 11"))
            expect(edited.status, equals: 0, "\(edited)")
            #expect(try animals.victim.ask("") == "1 11 11, 2 20 20, 1")
            // Whoever compiles it finds it by its name.
            let known = try animals.apply(
                ("more.cpp", "/* Derived */", "int f() override;"), ("answer.cpp", "/* Derived */", "int f() override;")
            )
            expect(known.status, equals: 0, "\(known)")
            #expect(try animals.victim.ask("") == "1 11 11, 2 20 20, 11")
            let gone = try animals.apply(
                ("base.cpp", "int f() override;", "/* Derived */"), ("base.cpp", "int Derived::f() { return 11; }", ""))
            expect(gone.status, equals: 0, "\(gone)")
            #expect(try animals.victim.ask("") == "1 1 1, 2 20 20, 11")
            // Without a function that is defined in the file, the vtable is that of each file which needs it.
            let last = try animals.apply(
                ("base.cpp", "    int g() override;\n", ""), ("base.cpp", "int Derived::g() { return 20; }\n", ""))
            expect(last.status, equals: 0, "\(last)")
            // Code that is linked where it is to run has the address itself, which is not looked for.
            let isFound = "\(last)".contains("vtable for Derived: it is gone from the file, and Derived::Derived()")
            #expect(isFound || compiler.contains("-no-pie"), "\(last)")
            try expectDone("revert", "--all", "--pid", animals.victim.id)
            #expect(try animals.victim.ask("") == before)
            expect(animals.victim.finish(), equals: 0)
        }

        @Test(arguments: [["g++"], ["clang++"]]) func filesThatKnowTheClass(compiler: [String]) throws {
            var animals = try animals(compiler, several: true)
            let one = try animals.apply(
                ("base.cpp", "/* Derived */", "int f() override;"),
                ("base.cpp", "// Here", "int Derived::f() { return 10; }"))
            expect(one.status, equals: 2, "\(one)")
            #expect(
                one.errors.contains(
                    "vtable for Leaf is not in the object, and has it from there: apply the object of its"),
                "\(one)")
            let all = try animals.apply(
                ("base.cpp", "/* Derived */", "int f() override;"), ("more.cpp", "/* Derived */", "int f() override;"),
                ("answer.cpp", "/* Derived */", "int f() override;"),
                ("base.cpp", "// Here", "int Derived::f() { return 10; }"))
            expect(all.status, equals: 0, "\(all)")
            #expect(try animals.victim.ask("") == "1 10 10, 2 20 20, 10")
            // Another function in a slot that its callers know.
            let renamed = try animals.apply(
                ("base.cpp", "virtual int g()", "virtual int k()"), ("base.cpp", "int Base::g()", "int Base::k()"),
                ("base.cpp", "    int g() override;\n", ""), ("base.cpp", "int Derived::g() { return 20; }\n", ""))
            expect(renamed.status, equals: 2, "\(renamed)")
            #expect(
                renamed.errors.contains("takes the slot of 'Base::g()' in the vtable: restart needed"), "\(renamed)")
            expect(animals.victim.finish(), equals: 0)
        }

        private static let numbers = """
            #include <coroutine>
            #include <string>
            struct Numbers {
                struct promise_type {
                    int value;
                    Numbers get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
                    std::suspend_always initial_suspend() { return {}; }
                    std::suspend_always final_suspend() noexcept { return {}; }
                    std::suspend_always yield_value(int next) { value = next; return {}; }
                    void return_void() {}
                    void unhandled_exception() {}
                };
                std::coroutine_handle<promise_type> handle;
                int next() { handle.resume(); return handle.promise().value; }
            };
            static Numbers count(int start) {
                for (int n = start;; n++) {
                    co_yield n;
                    co_yield -n;
                }
            }
            static Numbers held = count(1);
            static std::string text;
            extern "C" const char *answer(const char *) {
                Numbers fresh = count(100);
                text = std::to_string(held.next());
                for (int n = 0; n < 3; n++) text += " " + std::to_string(fresh.next());
                fresh.handle.destroy();
                return text.c_str();
            }

            """

        /// What is suspended keeps its frame, and what reads it.
        @Test(arguments: compilers) func framesOfCoroutines(compiler: [String]) throws {
            var numbers = try EditedFiles([("numbers.cpp", Self.numbers)], compiler)
            #expect(try numbers.victim.ask("") == "1 100 -100 101")
            let longer = try numbers.apply(
                ("numbers.cpp", "co_yield -n;", "std::string s = \"abc\"; co_yield -n; co_yield (int)s.size();"))
            expect(longer.status, equals: 0, "\(longer)")
            #expect(
                longer.output.contains("the coroutine count(int) keeps something else while it is suspended"),
                "\(longer)")
            #expect(try numbers.victim.ask("") == "-1 100 -100 3")
            #expect(try numbers.victim.ask("") == "2 100 -100 3")
            let edited = try numbers.apply(("numbers.cpp", "\"abc\"", "\"abcdef\""))
            expect(edited.status, equals: 0, "\(edited)")
            #expect(try numbers.victim.ask("") == "-2 100 -100 6")
            let shorter = try numbers.apply(
                ("numbers.cpp", "std::string s = \"abcdef\"; ", "int s = 8; "), ("numbers.cpp", "(int)s.size()", "s"))
            expect(shorter.status, equals: 0, "\(shorter)")
            #expect(try numbers.victim.ask("") == "3 100 -100 8")
            try expectDone("revert", "--all", "--pid", numbers.victim.id)
            #expect(try numbers.victim.ask("") == "-3 100 -100 101")
            expect(numbers.victim.finish(), equals: 0)
        }
    }
}
