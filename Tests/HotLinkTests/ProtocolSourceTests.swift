import HotpatchExpectations
import Testing

@testable import HotpatchHotLink

@Suite struct ProtocolSourceTests {
    private func requirements(_ source: String) -> [String]? {
        ProtocolSource(named: "Shape", in: Array(source.utf8))?.requirements
    }

    @Test func requirementsInOrder() {
        let source = #"""
            // protocol Shape { func comment() }
            /* protocol Shape { /* nested */ func comment() } */
            let text = "protocol Shape { func text() }", long = """
                protocol Shape { func text() }
                """
            struct Shapes {}
            @objc public protocol Shape<Part>: Other where Part: Sendable {
                associatedtype Part = [Int]
                init?(of part: Part)
                @available(*, deprecated, message: "func old()") func sides(_ count: (_ var: Int) -> Int) -> Int
                static func < (left: Self, right: Self) -> Bool
                static var size: Int { get set }
                subscript(index: Int) -> Part { get async throws } // func comment()
                mutating func `repeat`<T>(_ times: T) async throws where T: P
            }
            extension Shape { func other() {} }
            """#
        expect(requirements(source), equals: ["init", "sides", "<", "size", "subscript", "repeat"])
    }

    @Test(arguments: [
        "protocol Shapes { func a() }", "protocol Shape", "protocol Shape { func a()", "protocol Shape { func",
        "protocol Shape {\n#if DEBUG\nfunc a()\n#endif\n}",
        "enum A { protocol Shape {} }\nenum B { protocol Shape {} }",
        "\"", "/*", "",
    ]) func whatDoesNotTell(source: String) {
        expect(requirements(source), equals: nil)
    }
}
