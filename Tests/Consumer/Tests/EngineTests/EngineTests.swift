import Calls
import Engine
import HotpatchTesting
import Memory
import Symbols
import Testing

@Test(.mock(symbol: "Calls.horn(_:)", with: { (_: Int) -> String in "quiet" }))
func mocked() { #expect(horn(3) == "quiet") }

@Test func recorded() throws {
    let engine = Engine(tank: Tank(content: 1))
    let calls = CallRecorder(((Engine, Int) -> Symbol?).self)
    try withMock(
        symbol: "Engine.Engine.warning(at:)", with: { (_: Engine, _: Int) -> Symbol? in .battery }, recorder: calls
    ) {
        #expect(engine.warning(at: 5) == .battery)
    }
    #expect(engine.warning(at: 5) == .oil)
    #expect(calls.all.map(\.arguments.1) == [5])
}
