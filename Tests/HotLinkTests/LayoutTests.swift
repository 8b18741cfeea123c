import HotpatchExpectations
import HotpatchHotLink
import HotpatchTestSupport
import Testing

/// What an edit may not do, in words.
@Suite struct RestartReasonTests {
    private static let old = """
        class Counter { var n = 0; func next() -> Int { n += 1; return n } }
        struct Point { var x = 1; var y = 2; var old = true }
        struct Swapped { var a: Int, b: String }
        struct Typed { var value: Int }
        struct Named { var first: Int }
        enum State { case idle, busy(Int), done }
        enum Payload { case one(Int), two }
        enum Tree { case leaf; indirect case node(Tree) }
        class Animal { func speak() {}; func walk() {}; func swim() {} }
        class Plant { func grow() {} }
        class Dog: Animal { override func speak() {} }
        class Cat: Animal {}
        class Bird { private func fly() {}; private func land() {}; func go() { fly(); land() } }
        class Fish { func up() {}; func down() {} }
        class Machine { func run() {} }
        private struct Hidden { var a: Int }
        private class Secret { var hidden = Hidden(a: 1); func tell() -> Int { hidden.a } }
        func secret() -> Int { Secret().tell() }
        protocol Shape { func area() -> Int; func name() -> String }
        struct Square: Shape { var side: Int; func area() -> Int { side }; func name() -> String { "square" } }
        protocol Unused { func one() }
        protocol Holder { associatedtype Item; var item: Item { get } }
        struct Box: Holder { var item: Int { 1 } }
        protocol Base {}
        protocol Ordered { func a(); func b() }
        struct Order: Ordered { func a() {}; func b() {} }
        protocol Child {}
        struct Pair<A> { var a: Int }
        struct Constrained<A: Equatable> {}
        func shape() -> some Shape { Square(side: 1) }
        extension Square { func list() -> some Collection<Int> { [1] } }
        func equal() -> some Equatable { 1 }
        struct Outer { var inner: Point }
        class Lazy { lazy var cache = 1 }
        struct Gone { var x: Int }
        actor Teller { var n = 0; func tell() -> Int { n } }
        class Generic<T> { var t: T; init(t: T) { self.t = t }; func get() -> T { t } }
        """

    private static let new = """
        class Counter { var n = 0; var step: Int = 1; func next() -> Int { n += step; return n }; func reset() { n = 0 } }
        struct Point { var x = 1; var y = 2 }
        struct Swapped { var b: String, a: Int }
        struct Typed { var value: String }
        struct Named { var initial: Int }
        enum State { case idle, busy(Int), failed(String), done }
        enum Payload { case one(String), two }
        enum Tree { case leaf; case node([Tree]) }
        class Animal { func speak() {}; func walk() {}; func swim() {} }
        class Plant { func grow() {} }
        class Dog: Animal { override func speak() {}; override func walk() {} }
        class Cat: Plant {}
        class Bird { private func fly() {}; private func glide() {}; private func land() {}; func go() { fly(); land(); glide() } }
        class Fish { func down() {}; func up() {} }
        class Machine { }
        private struct Hidden { var a: Int, b: Int }
        private class Secret { var hidden = Hidden(a: 1, b: 2); func tell() -> Int { hidden.a } }
        func secret() -> Int { Secret().tell() }
        protocol Shape { func area() -> Int; func sides() -> Int; func name() -> String }
        struct Square: Shape { var side: Int; func area() -> Int { side }; func sides() -> Int { 4 }; func name() -> String { "square" } }
        protocol Unused { func one(); func two() }
        protocol Holder { associatedtype Item; var item: Item { get } }
        struct Box: Holder { var item: String { "" } }
        protocol Base {}
        protocol Ordered { func b(); func a() }
        struct Order: Ordered { func a() {}; func b() {} }
        protocol Child: Base {}
        struct Pair<A, B> { var a: Int }
        struct Constrained<A: Hashable> {}
        func shape() -> some Shape { Other() }
        struct Other: Shape { func area() -> Int { 1 }; func sides() -> Int { 4 }; func name() -> String { "" } }
        extension Square { func list() -> some Collection<Int> { Set([1]) } }
        func equal() -> some Equatable { "1" }
        struct Outer { var inner: Point }
        class Lazy { lazy var cache = 1; lazy var more = "x" }
        actor Teller { var n = 0; var m = 0; func tell() -> Int { n } }
        class Generic<T> { var t: T; init(t: T) { self.t = t }; func get() -> T { t }; func set(_ new: T) { t = new } }
        """

    static let edited = Result { try EditedSource(old, new) }

    private static let expected: Set = [
        "Hidden: stored property 'b: Int' added",
        "Secret: size of its instances changed from 24 to 32 bytes",
        "Pair: generic parameters changed",
        "Constrained: generic parameters changed",
        "Generic: method 'set(A)' added to the vtable; mark it final or put it into an extension",
        "Teller: stored property 'm: Int' added",
        "Counter: stored property 'step: Int' added",
        "Counter: method 'reset()' added to the vtable; mark it final or put it into an extension",
        "Lazy: stored property 'more: Optional<String>' added",
        "Point: stored property 'old: Bool' removed",
        "Swapped: stored properties reordered: now 'b', 'a'",
        "Typed: stored property 'value' changed its type from 'Int' to 'String'",
        "Named: stored property 'first' renamed to 'initial'",
        "State: case 'failed(String)' added",
        "Payload: case 'one' has other associated values: from 'Int' to 'String'",
        "Tree: case 'node' has other associated values: from 'Tree' to 'Array<Tree>'",
        "Dog: override of method 'walk()' added",
        "Cat: superclass changed from 'Animal' to 'Plant'",
        "Bird: method 'glide()' added to the vtable; mark it final or put it into an extension",
        "Fish: methods reordered in the vtable",
        "Machine: method 'run()' removed from the vtable",
        "Outer: size changed from 17 to 16 bytes",
        "Child: inherited protocols changed",
        "Shape: requirement method 'sides()' added",
        "Unused: requirements changed from 1 to 2",
        "Ordered: requirements reordered",
        "Box: associated type 'Item' of its conformance to Holder changed from 'Int' to 'String'",
        "equal(): underlying type of its opaque result changed from 'Int' to 'String'",
        "shape(): underlying type of its opaque result changed from 'Square' to 'Other'",
        "Square.list(): underlying type of its opaque result changed from 'Array<Int>' to 'Set<Int>'",
    ]

    @Test func whatChangesALayoutIsNamed() throws { try check(Self.edited.get()) }

    /// Both compilers write the same records.
    @Test(.enabled(if: Arm64SDK.options != nil)) func whatChangesALayoutIsNamedForArm64() throws {
        try check(EditedSource(Self.old, Self.new, options: try #require(Arm64SDK.options)))
    }

    private func check(_ edited: EditedSource) throws {
        let reasons = edited.reasons
        expect(Set(reasons).subtracting(Self.expected), equals: [])
        expect(Self.expected.subtracting(reasons), equals: [])
        expect(Set(reasons).count, equals: reasons.count)
    }

    /// Where a class overrides what it inherited before, a word of its metadata has to hold the new function: stores can do that.
    @Test func anOverrideIsASlot() throws {
        let edited = try Self.edited.get()
        let kinds = RestartReason.all(old: edited.old, new: edited.new).filter { $0.subject == "Dog" }.map(\.kind)
        guard kinds.count == 1, case .override(let slots) = kinds[0], slots.count == 1 else {
            Issue.record("\(kinds)")
            return
        }
        expect(slots[0].metadata, equals: "$s4Shop3DogCN")
        expect(slots[0].offset, equals: 56 + 8)
        expect(slots[0].old, equals: "$s4Shop6AnimalC4walkyyF")
        expect(slots[0].new, equals: "$s4Shop3DogC4walkyyF")
    }

    /// A class that inherits the function from there has the slot, too; and what is made of an override can be a thunk of another name.
    @Test func slotsAreInherited() throws {
        func source(_ body: String) -> String {
            """
            class A { func f() -> A { self }; func g() {} }
            class B: A { \(body) }
            class C: B {}
            class D: C { override func g() {} }
            """
        }
        let edited = try EditedSource(source(""), source("override func f() -> B { self }; override func g() {}"))
        let reasons = RestartReason.all(old: edited.old, new: edited.new)
        expect(
            Set(reasons.map(\.description)),
            equals: [
                "B: override of method 'f()' added", "B: override of method 'g()' added",
                "C: inherited methods changed", "D: inherited methods changed",
            ])
        let slots = reasons.flatMap { reason -> [RestartReason.Slot] in
            guard case .override(let slots) = reason.kind else { return [] }
            return slots
        }
        let places = slots.map { "\($0.metadata) \($0.offset)" }.sorted()
        expect(
            places, equals: ["$s4Shop1BCN 56", "$s4Shop1BCN 64", "$s4Shop1CCN 56", "$s4Shop1CCN 64", "$s4Shop1DCN 56"])
        expect(Set(slots.map(\.old)), equals: ["$s4Shop1AC1fACyF", "$s4Shop1AC1gyyF"])
    }

    /// The slot of an async function holds its record, which nobody who reads of it asked for.
    @Test func anAsyncOverrideIsNamedAsAny() throws {
        func source(_ body: String) -> String {
            "class A { func f(_ n: Int) async -> Int { n } }\nclass B: A { \(body) }"
        }
        let edited = try EditedSource(source(""), source("override func f(_ n: Int) async -> Int { n + 1 }"))
        expect(edited.reasons, equals: ["B: override of method 'f(Int)' added"])
    }

    @Test func opaqueResultsNameTheirFunction() throws {
        let edited = try Self.edited.get()
        let functions = RestartReason.all(old: edited.old, new: edited.new).compactMap { reason in
            if case .opaqueResult(let function) = reason.kind { function } else { nil }
        }
        expect(Set(functions), equals: ["$s4Shop5equalQryF", "$s4Shop5shapeQryF", "$s4Shop6SquareV4listQryF"])
    }

    @Test func anObjectIsLikeItself() throws {
        let edited = try Self.edited.get()
        expect(RestartReason.all(old: edited.new, new: edited.new), equals: [])
    }

    /// A function takes the slot of the one that it overrides: of no other, and only where the table is the same otherwise.
    @Test func overridesTakeSlots() throws {
        func source(_ base: String, _ derived: String) -> String {
            """
            namespace zoo { template <class T> struct Base { virtual T one(T); virtual T operator()(T, int) const; virtual int two(); }; }
            template <class T> T zoo::Base<T>::one(T x) { return x; }
            template <class T> T zoo::Base<T>::operator()(T x, int) const { return x; }
            template <class T> int zoo::Base<T>::two() { return 2; }
            struct Other { virtual int other(); virtual int more(); };
            int Other::other() { return 3; }
            int Other::more() { return 3; }
            struct Plain { \(base) };
            namespace { struct Derived : zoo::Base<int>, Other { \(derived) }; }
            zoo::Base<int> *made() { return new Derived; }
            Plain *plain() { return new Plain; }
            """
        }
        func slots(_ old: (String, String), _ new: (String, String)) throws -> [String]? {
            let edited = try EditedSource(source(old.0, old.1), source(new.0, new.1), language: .cxx)
            var found: [String] = []
            for reason in RestartReason.all(old: edited.old, new: edited.new) {
                guard case .cxxOverride(let slots) = reason.kind else { return nil }
                found += slots.map { "\($0.metadata)+\($0.offset): \($0.old) \($0.new)" }
            }
            return found
        }
        let base = "virtual int a() { return 1; } virtual int b() { return 2; }"
        let table = "_ZTVN12_GLOBAL__N_17DerivedE"
        expect(
            try slots((base, ""), (base, "int one(int x) override { return x + 1; }")),
            equals: ["\(table)+16: _ZN3zoo4BaseIiE3oneEi _ZN12_GLOBAL__N_17Derived3oneEi"])
        expect(
            try slots((base, "int operator()(int, int) const override { return 4; }"), (base, "")),
            equals: ["\(table)+24: _ZNK12_GLOBAL__N_17DerivedclEii _ZNK3zoo4BaseIiEclEii"])
        // One of a further base has a slot of its own, and a thunk.
        expect(try slots((base, ""), (base, "int other() override { return 4; }")), equals: nil)
        // Callers know slots by their functions.
        expect(try slots((base, ""), ("virtual int a() { return 1; } virtual int c() { return 2; }", "")), equals: nil)
        expect(try slots((base, ""), ("virtual int b() { return 1; } virtual int a() { return 2; }", "")), equals: nil)
    }

    @Test func virtualFunctionsAreSlots() throws {
        let edited = try EditedSource(
            """
            struct Base { virtual int one(); virtual int two(); };
            struct Other { virtual int other(); };
            struct Derived : Base { int two() override; };
            struct Same : Base { int one() override; };
            int Base::one() { return 1; }
            int Base::two() { return 2; }
            int Other::other() { return 3; }
            int Derived::two() { return 4; }
            int Same::one() { return 5; }
            """,
            """
            struct Base { virtual int one(); virtual int two(); virtual int three(); };
            struct Other { virtual int other(); };
            struct Derived : Base, Other { int two() override; };
            struct Same : Other { virtual int one(); };
            int Base::one() { return 1; }
            int Base::two() { return 2; }
            int Base::three() { return 2; }
            int Other::other() { return 7; }
            int Derived::two() { return 4; }
            int Same::one() { return 5; }
            """, language: .cxx)
        expect(
            Set(edited.reasons),
            equals: [
                "Base: virtual function 'Base::three()' added to the vtable",
                "Derived: base classes changed",
                "Same: base classes changed",
            ])
    }
}
