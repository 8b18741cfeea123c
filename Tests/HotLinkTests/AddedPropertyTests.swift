import HotpatchExpectations
import HotpatchHotLink
import Testing

@Suite struct AddedPropertyTests {
    private static func all(_ old: String, _ new: String) throws -> [String] {
        let edited = try EditedSource(old, new)
        return try AddedProperty.all(old: edited.old.object, new: edited.new.object).map {
            "\($0.type) \($0.typeText).\($0.name)"
        }
    }

    @Test func classes() throws {
        let added = try Self.all(
            """
            class Till { var total = 0 }
            actor Clerk { var served = 0 }
            enum Outer { final class Inner { var one = 1 } }
            class Same { var one = 1 }
            struct Point { var x = 1 }
            """,
            """
            class Till { var first = 1; var total = 0; lazy var last = 2 }
            actor Clerk { var served = 0; let name = "" }
            enum Outer { final class Inner { var one = 1; var two: Int? } }
            class Same { var one = 2; func more() -> Int { one } }
            struct Point { var x = 1; var y = 2 }
            class New { var one = 1 }
            """)
        expect(
            added,
            equals: [
                "$s4Shop4TillC Till.first", "$s4Shop4TillC Till.last", "$s4Shop5ClerkC Clerk.name",
                "$s4Shop5OuterO5InnerC Outer.Inner.two",
            ])
    }

    @Test(arguments: [
        ("$sSiD", "Int"), ("$sSaySiGD", "Array<Int>"), ("$s4Shop4TillC5InnerVD", "Till.Inner"),
        ("$sSSSgD", "Optional<String>"),
    ])
    func types(_ mangled: String, _ text: String) {
        expect(AddedProperty.text(ofType: mangled), equals: text)
    }
}
