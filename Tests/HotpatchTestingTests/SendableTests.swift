import Foundation
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension HotpatchTestingTests {
    /// What crosses tasks must be fit for it: the compiler says so.
    @Suite struct SendableTests {
        /// The errors of a test that uses the library.
        private func errors(_ body: String) throws -> String {
            let directory = try TemporaryDirectory("sendable")
            let file = directory.path + "/Test.swift"
            try ("import HotpatchTesting\nfinal class Cart { var count = 0 }\n" + body)
                .write(toFile: file, atomically: true, encoding: .utf8)
            let package = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
            let c = [("CPatchCall", "Call"), ("CPatch", "Commit"), ("CPatchCore", "Core")].flatMap { module, folder in
                [
                    "-Xcc", "-fmodule-map-file=\(products)/\(module).build/module.modulemap",
                    "-Xcc", "-I\(package)/CPatch/\(folder)/include",
                ]
            }
            let libraries = [
                "Sources/CHotpatchLinux", "Sources/CHotpatchElf", "Sources/CHotpatchDw", "Sources/CHotpatchCapstone",
                "CPatch/Machine/include",
            ].flatMap { ["-I", "\(package)/\($0)"] }
            return try run(
                ["swiftc", "-swift-version", "6", "-emit-sil", "-o", "/dev/null", "-I", "\(products)/Modules"] + c
                    + libraries + [file]
            ).errors
        }

        @Test func accepts() throws {
            let errors = try errors(
                """
                @MainActor final class Shop {
                    var orders = 0
                    func test() async throws {
                        let price = 42
                        try withMock(symbol: "x", with: { (_: String) -> Int in price }) { orders += 1 }
                        try withMock(symbol: "x", wrapping: { (f: @escaping (String) -> Int) in { f($0) + price } }) {}
                        try await withMock(symbol: "x", with: { (_: String) -> Int in 1 }) { orders += 1; await Task.yield() }
                        try await withPatch(symbol: "x", with: { (_: String) -> Int in 1 }) { orders += 1; await Task.yield() }
                        _ = CallRecorder(((String, Int) async throws -> Int).self)
                        _ = CallRecorder(unchecked: ((Cart) -> Int).self)
                    }
                }
                """)
            expect(errors, equals: "")
        }

        /// What a mock captures is its own, or fit for all tasks: found where types are checked, and where regions are.
        @Test(arguments: [
            [
                (
                    "let c = Cart(); try withMock(symbol: \"x\", wrapping: { (f: @escaping () -> Int) in { c.count += f(); return 1 } }) {}",
                    "'@Sendable' closure"
                ), ("_ = CallRecorder(((Cart) -> Int).self)", "'Sendable' protocol"),
            ],
            [
                (
                    "let c = Cart(); try withMock(symbol: \"x\", with: { () -> Int in c.count += 1; return 1 }) {}; print(c)",
                    "SendingRisksDataRace"
                ),
                (
                    "var n = 0; try withPatch(symbol: \"x\", with: { () -> Int in n += 1; return 1 }) {}; print(n)",
                    "SendingRisksDataRace"
                ),
            ],
        ])
        func refuses(_ bodies: [(body: String, reason: String)]) throws {
            let lines = bodies.enumerated().map { "func test\($0.offset)() throws { \($0.element.body) }\n" }
            let errors = try errors(lines.joined()).split(separator: "\n")
            for (number, line) in bodies.enumerated() {
                #expect(
                    errors.contains { $0.contains("Test.swift:\(number + 3):") && $0.contains(line.reason) },
                    "\(errors)")
            }
        }
    }
}
