@testable import HotpatchHotLink
import HotpatchExpectations
import HotpatchPlan
import Testing

/// What of a function's code is only the number of a line.
@Suite struct LineShiftTests {
    private typealias Lines = (old: [String: Int], new: [String: Int])

    /// `mov $number, %edi; ret`, or `mov w0, #number; ret`.
    private func code(_ number: Int, _ architecture: Architecture, end: UInt8 = 0xC3) -> [UInt8] {
        let word = architecture == .x86_64 ? number : 0x5280_0000 | number << 5
        let bytes = [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: word >> $0) }
        return (architecture == .x86_64 ? [0xBF] : []) + bytes + [end, 3, 0x5F, 0xD6]
    }

    @Test(arguments: [Architecture.x86_64, .arm64])
    func numbersThatMoveWithTheirLines(architecture: Architecture) {
        let above: Lines = (["f": 10, "fU_": 12, "g": 20], ["f": 12, "fU_": 14, "g": 22])
        let inside: Lines = (["f": 10, "fU_": 12, "g": 20], ["f": 10, "fU_": 12, "g": 22])
        let nowhere: Lines = (["f": 10, "g": 20], ["f": 10, "g": 20])
        let removed: Lines = (["f": 10, "g": 20], ["f": 7, "g": 17])
        let table: [(lines: Lines, function: String, old: Int, new: Int, isMoved: Bool)] = [
            (above, "f", 11, 13, true), (above, "f", 11, 12, false), (above, "f", 11, 14, false),
            (above, "f", 11, 11, true),
            (above, "f", 5, 7, false), (above, "f", 25, 27, false), (above, "g", 300, 302, true),
            (above, "fU_", 12, 14, true),
            (above, "h", 11, 13, false), (inside, "f", 15, 17, true), (inside, "f", 15, 16, true),
            (inside, "f", 15, 18, false), (inside, "f", 15, 14, false), (nowhere, "f", 15, 16, false),
            (nowhere, "g", 25, 26, false), (removed, "f", 15, 12, true), (removed, "g", 270, 267, true),
            (removed, "f", 15, 18, false),
        ]
        for row in table {
            let shift = LineShift(row.lines, architecture) { $0 }
            let (old, new) = (code(row.old, architecture), code(row.new, architecture))
            expect(shift.explains(old, new, of: row.function), equals: row.isMoved, "\(row)")
            #expect(!shift.explains(old, code(row.new, architecture, end: 0xC2), of: row.function), "\(row)")
            #expect(!shift.explains(old, new + [0], of: row.function))
        }
    }
}
