/// A source file, and two edits of it.
struct CorpusSource {
    let versions: [String]

    private init(_ text: String, _ edits: [[(String, String)]]) {
        var versions = [text]
        for edit in edits {
            var text = versions.last!
            for (old, new) in edit { text = Self.replace(old, by: new, in: text) }
            versions.append(text)
        }
        self.versions = versions
    }

    private static func replace(_ old: String, by new: String, in text: String) -> String {
        var (result, rest) = ("", text[...])
        while !rest.isEmpty {
            if rest.hasPrefix(old) {
                result += new
                rest = rest.dropFirst(old.count)
            } else {
                result.append(rest.removeFirst())
            }
        }
        return result
    }

    static let swift = CorpusSource(
        """
        protocol Shape { associatedtype Unit; func area() -> Int; var unit: Unit { get } }
        extension Shape { func double() -> Int { area() * 2 } }
        struct Square: Shape, Hashable { var side: Int; func area() -> Int { side * side }; var unit: String { "m" } }
        class Counter { var n = 0; func next() -> Int { n += 1; return n }; init() {}; deinit { total += n } }
        final class Loud: Counter { override func next() -> Int { super.next() + 1 } }
        enum State { case idle, busy(Int), done(String); indirect case nested(State) }
        private protocol Label { func text() -> String }
        private struct Plain: Label { func text() -> String { "plain" } }
        actor Bank { var sum = 0; func add(_ n: Int) -> Int { sum += n; return sum } }
        nonisolated(unsafe) var total = 0
        nonisolated(unsafe) var hooks: [(Int) -> Int] = [{ $0 + 1 }, { $0 * 2 }]
        let limit = 20
        struct Box<T> { var value: T; func map<U>(_ f: (T) -> U) -> Box<U> { Box<U>(value: f(value)) } }
        func describe(_ state: State) -> Int {
            switch state {
            case .idle: return 1
            case .busy(let n): return n > limit ? n : -n
            case .done(let text): return text.count
            case .nested(let inner): return describe(inner) + 1
            }
        }
        func number(_ n: Int) -> Int {
            switch n { case 0: 10; case 1: 33; case 2: 2; case 3: 77; case 4: 5; case 5: 9; default: 0 }
        }
        func shape() -> some Hashable { Square(side: 3) }
        func check(_ n: Int) throws(Wrong) -> Int { if n > 10 { throw Wrong(n: n) }; return n }
        struct Wrong: Error { var n: Int }
        func work(_ bank: Bank) async -> Int { let first = await bank.add(1); return await bank.add(first) }
        func adders(_ k: Int) -> [(Int) -> Int] { [{ $0 + k }, { n in { m in m * k }(n) }] }
        func use() -> Int {
            let values = [1, 2, 3].map { $0 + limit }
            let path = \\Square.side
            let plain: Any = Plain()
            let label = (plain as? any Label)?.text() ?? ""
            return values.reduce(0, +) + Square(side: 2)[keyPath: path] + Box(value: 1).map { "\\($0)" }.value.count
                + label.count + (try! check(3))
        }
        """,
        [
            [
                ("side * side", "side * side + 1"), ("{ $0 * 2 }", "{ $0 - 7 }, { $0 * 2 }"),
                ("limit = 20", "limit = 50"), ("case 3: 77", "case 3: 78"), ("add(first) }", "add(helper(first)) }"),
                ("func adders", "func helper(_ n: Int) -> Int { n * 3 }\nfunc adders"),
                (
                    "\"plain\" } }",
                    """
                    "plain!" } }
                    private struct Bold: Label, Codable { var a = 1; func text() -> String { "bold\\(a)" } }
                    """
                ),
                ("label.count + (", "label.count + ((Bold() as Any as? any Label)?.text().count ?? 0) + ("),
            ],
            [
                ("n * 3 }", "n * 4 }"), ("\"bold\\(a)\"", "\"bolder\\(a)\""), ("{ $0 + k }", "{ $0 - k }"),
                ("super.next() + 1", "super.next() + 2"),
            ],
        ])

    static let c = CorpusSource(
        """
        struct pair { int a; long b; };
        enum kind { none, some = 7 };
        static int hits;
        int shared = 3;
        static const int sizes[] = {1, 2, 3, 4};
        static __thread int mine;
        extern int printf(const char *, ...);
        static int add(int a, int b) { return a + b; }
        static int sub(int a, int b) { static int calls; return a - b + calls++; }
        static int (*table[])(int, int) = {add, sub};
        const char *name(int n) {
            switch (n) { case 0: return "zero"; case 1: return "one"; case 2: return "two"; case 3: return "three"; case 4: return "four"; default: return "many"; }
        }
        int sum(struct pair *p, enum kind k) { return p->a + (int)p->b + (k == some) + sizes[p->a & 3]; }
        int work(int x) { hits++; printf("%d\\n", x); return table[hits & 1](x, shared) + name(x)[0]; }
        int touch(void) { return ++mine; }
        """,
        [
            [
                ("a + b", "a * b"), ("\"three\"", "\"THREE\""), ("hits++;", "hits += more(x);"),
                ("return ++mine", "static __thread int other = 5; return ++mine + other++"),
                ("int work(int x)", "int more(int n) { return n * 2; }\nint work(int x)"), ("3, 4}", "3, 9}"),
            ], [("n * 2", "n * 5"), ("a * b", "a * b + 1"), ("k == some", "k != some")],
        ])

    static let cxx = CorpusSource(
        """
        extern "C" int printf(const char *, ...);
        struct Shape { virtual ~Shape(); virtual int area() const; virtual const char *name() const { return "shape"; } int id = 1; };
        struct Square : Shape { int side; Square(int s) : side(s) {} int area() const override { return side * side; } };
        Shape::~Shape() {}
        int Shape::area() const { return id; }
        struct Wrong { int n; };
        template <class T> static T twice(T x) { return x + x; }
        static int check(int x) { if (x > 100) throw Wrong{x}; return x; }
        inline int counter() { static int n = 0; return ++n; }
        struct Guard { int *p; ~Guard() { ++*p; } };
        int report(Shape *shape, int x) {
            int done = 0;
            Guard guard{&done};
            try { return check(twice(x)) + shape->area() + counter(); } catch (const Wrong &e) { return -e.n; }
        }
        int make(int n) { Square square(n); auto f = [n](int m) { return n * m; }; return report(&square, f(2)); }
        """,
        [
            [
                ("side * side", "side * side + 3"), ("x > 100", "x > 150"), ("n * m", "n * m - 1"),
                (
                    "int make(",
                    """
                    struct Odd : Shape { int area() const override { return 77; } };
                    int odd() { Odd o; return report(&o, 1); }
                    int make(
                    """
                ),
            ], [("return 77", "return 78"), ("x + x", "x * 3")],
        ])
}
