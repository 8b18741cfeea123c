import HotpatchTestSupport
import Testing

@testable import HotpatchHotLink

/// Data with a name that one function has for itself: a table of labels leads into its code, and each copy of that needs its own.
@Suite struct OwnConstantTests {
    private static let source = """
        static int counter;
        static int first() { return 1; }
        static int (*const functions[])() = {first};
        extern "C" int jump(int n) {
            static void *labels[] = {&&one, &&two};
            static int calls;
            calls++;
            goto *labels[n];
        one:
            return counter + functions[0]();
        two:
            return calls;
        }
        """

    @Test(arguments: [[], ["--target=aarch64-linux-gnu"]])
    func tablesOfLabelsCountByTheirContents(_ options: [String]) throws {
        let graph = try EditedSource(Self.source, Self.source, language: .cxx, options: options).new
        func isAnonymous(_ part: String) throws -> Bool {
            try #require(graph.pieces.first { $0.name.contains(part) }, "\(part)").kind.isAnonymous
        }
        #expect(try isAnonymous("labels"))
        for name in ["functions", "counter", "calls", "first"] { #expect(try !isAnonymous(name), "\(name)") }
    }
}
