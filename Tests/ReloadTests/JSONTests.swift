import HotpatchExpectations
import HotpatchReload
import Testing

@Suite struct JSONTests {
    @Test func values() {
        let value = JSON.object([
            "name": .string("a\"b\\c\n\u{1}é"), "count": .number(-3), "yes": .bool(true), "none": .null,
            "list": .array([.number(1), .string("")]),
        ])
        expect(
            value.description, equals: #"{"name":"a\"b\\c\n\u0001é","count":-3,"yes":true,"none":null,"list":[1,""]}"#)
    }

    @Test(
        arguments: [
            (#"{"name":"a\"b\\c\n\u0001é","count":-3,"yes":true,"none":null,"list":[1,""]}"#, nil),
            ("[]", nil), ("{}", nil), ("0", nil), (" [ 1 , {\"a\" : [ ] } ]\n", #"[1,{"a":[]}]"#),
            ("-1.5e3", "-1500.0"), ("9223372036854775807", nil), ("9223372036854775808", "9.223372036854776e+18"),
            (#""\u00e9\ud83d\ude00\ud83d\/\b\f""#, "\"é😀\u{fffd}/\\u0008\\u000c\""),
        ] as [(String, String?)])
    func reading(_ text: String, _ printed: String?) throws {
        #expect(try JSON(reading: text).description == printed ?? text)
    }

    @Test(arguments: [
        ("", 0), (" ", 1), ("[", 1), ("[1", 2), ("[1,]", 3), ("{\"a\"}", 4), ("{\"a\":}", 5), ("{a:1}", 1), ("tru", 3),
        ("truth", 3),
        ("01", 1), ("1.", 2), ("-", 1), ("1e", 2), ("+1", 0), ("\"", 1), ("\"\\x\"", 2), ("\"\\u12\"", 5),
        ("\"\n\"", 1), ("1 2", 2),
        ("1e999", 0), ("nul", 3), ("[1}", 2), ("\u{feff}1", 0),
    ])
    func malformed(_ text: String, _ offset: Int) {
        #expect { try JSON(reading: text) } throws: { ($0 as? JSONError)?.offset == offset }
    }

    @Test func depth() throws {
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: JSONError.self) { try JSON(reading: deep) }
        try expect(
            JSON(reading: String(repeating: "[", count: 128) + String(repeating: "]", count: 128)).array?.count,
            equals: 1
        )
    }

    /// Bytes of a document, cut and changed anywhere, are refused or read, and never trap.
    @Test func changedBytes() throws {
        let text = Array(#"{"a":["\u00e9\ud83d\ude00",-1.5e+3,true,false,null,{"b":{}}],"c":"d\n"}"#.utf8)
        for length in 0...text.count { _ = try? JSON(reading: Array(text[..<length])) }
        for place in text.indices {
            for byte in UInt8.min...UInt8.max {
                var changed = text
                changed[place] = byte
                _ = try? JSON(reading: changed)
            }
        }
    }
}
