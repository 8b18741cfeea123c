import HotpatchSymbols
import Testing

@Suite struct AsyncNamesTests {
    /// A property whose type is an async function is none; its closure is one.
    @Test(arguments: [
        ("$s7Subject4workyS2iYaF", true), ("$s7Subject4BankC7deposityS2iYaF", true),
        ("$s7Subject6arouteySSSiYaYbcvpfiSSSiYaYbcfU_", true), ("$s7Subject6arouteySSSiYaYbcvau", false),
        ("$s7Subject6arouteySSSiYaYbcvg", false), ("$s7Subject12makeHandlersSDyS2SSiYaYbcGyF", false),
    ])
    func saysAsync(name: String, expected: Bool) { #expect(Demangling.saysAsync(name) == expected, "\(name)") }
}
