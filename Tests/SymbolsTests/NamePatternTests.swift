import HotpatchExpectations
import HotpatchSymbols
import Testing

@Suite struct NamePatternTests {
    @Test(arguments: [
        ("price", "price", true), ("price", "pri*", true), ("price", "*ice", true), ("price", "p?ice", true),
        ("price", "p?ce", false), ("price", "", false), ("", "*", true), ("aXbXc", "a*b*c", true),
        ("aXbX", "a*b*c", false),
        ("mississippi", "m*iss*ip?i", true), ("price", "rice", false),
    ])
    func wholeNames(name: String, pattern: String, expected: Bool) {
        expect(NamePattern(pattern, findsParts: false).matches(name), equals: expected)
    }

    @Test func aPlainPatternFindsParts() {
        #expect(NamePattern("rice").matches("price()"))
        #expect(!NamePattern("r?ce").matches("price()"))
    }
}
