import Glibc
import HotpatchExpectations
import Testing

@testable import HotpatchCommands
import HotpatchObjects

@Suite struct JSONTests {
    /// What every report begins with, and every error.
    @Test func documents() {
        expect(Report(text: "", json: ["pid": .number(1)]).json.description, equals: #"{"schema":1,"pid":1}"#)
        expect(CommandError("none").json.description, equals: #"{"schema":1,"error":"none","exit_code":2}"#)
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00Z"), (1_769_860_800_999_999_999, "2026-01-31T12:00:00Z"),
        (UInt64.max, "2554-07-21T23:34:33Z"),
    ])
    func times(_ nanoseconds: UInt64, _ text: String) { expect(timestamp(nanoseconds), equals: text) }

    @Test func paths() throws {
        let folder = try #require(getcwd(nil, 0))
        defer { free(folder) }
        expect(fullPath("."), equals: fullPath(String(cString: folder)))
        expect(fullPath("nowhere.so"), equals: String(cString: folder) + "/nowhere.so")
        expect(fullPath("/proc/../nowhere.so"), equals: "/proc/../nowhere.so")
    }
}
