import HotpatchReload
import Testing

@Suite struct JSONTests {
    @Test func values() {
        let value = JSON.object([
            "name": .string("a\"b\\c\n\u{1}é"), "count": .number(-3), "yes": .bool(true), "none": .null,
            "list": .array([.number(1), .string("")]),
        ])
        #expect(value.description == #"{"name":"a\"b\\c\n\u0001é","count":-3,"yes":true,"none":null,"list":[1,""]}"#)
    }
}
