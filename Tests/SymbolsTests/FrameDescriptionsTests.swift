import Glibc
import HotpatchExpectations
import HotpatchProcFS
import HotpatchTestSupport
import Testing

@testable import HotpatchELF

/// The ranges of frame description entries: as binutils reads them, with code of its own, and where a file lies.
@Suite struct FrameDescriptionsTests {
    /// In `path`, each entry that describes any code.
    private func expectEntries(of path: String, atLeast count: Int) throws {
        let table = try #require(ElfImage(path: path).frameTable)
        let output = try run(["readelf", "-wF", path]).output
        var ranges: [Range<UInt64>] = []
        for line in output.split(separator: "\n") {
            guard let word = line.split(separator: " ").last, word.hasPrefix("pc=") else { continue }
            let ends = word.dropFirst(3).split(separator: ".").compactMap { UInt64($0, radix: 16) }
            if ends.count == 2, ends[0] < ends[1] { ranges.append(ends[0]..<ends[1]) }
        }
        ranges.sort { $0.lowerBound < $1.lowerBound }
        #expect(ranges.count >= count, "\(path): \(ranges.count) entries")
        let wrong = ranges.enumerated().filter { index, range in
            let next = index + 1 < ranges.count ? ranges[index + 1].lowerBound : .max
            return table.range(containing: range.lowerBound) != range
                || table.range(containing: range.upperBound - 1) != range
                || next > range.upperBound && table.range(containing: range.upperBound) != nil
        }
        #expect(wrong.isEmpty, "\(path): \(wrong.count) entries, first \(String(describing: wrong.first))")
        expect(ranges.first.map { table.range(containing: $0.lowerBound - 1) }, equals: .some(nil))
    }

    @Test(arguments: ["libc.so.6", "libstdc++.so.6", "libswiftCore.so"]) func libraries(name: String) throws {
        let paths = try ProcessMap(pid: getpid()).regions.map(\.path)
        let path = try #require(paths.first { $0.hasSuffix("/\(name)") || $0.contains("/\(name).") })
        try expectEntries(of: path, atLeast: 1000)
    }

    /// The linker is asked for no table.
    @Test func withoutTable() throws {
        let workshop = try Workshop()
        let path = try workshop.library("frames.so", ["symbols_scopes.c"], ["-Wl,--no-eh-frame-hdr"])
        try expectEntries(of: path, atLeast: 1)
    }

    /// One of two linkers puts the table behind what it leads into.
    @Test(arguments: ["bfd", "gold"]) func tableOfLinker(name: String) throws {
        let workshop = try Workshop()
        let path = try workshop.library("frames-\(name).so", ["symbols_scopes.c"], ["-fuse-ld=\(name)"])
        try expectEntries(of: path, atLeast: 1)
        try expect(ElfImage(path: path).frameTable?.hasSearchTable, equals: true)
    }

    /// One entry, with 0x40 bytes of code at 0x5000, behind what entries share: version 1, "zPLR", addresses relative to themselves. The
    /// distance is from the entry's third word to the code.
    private static func frames(distance: Int) -> [UInt8] {
        [0x18, 0, 0, 0, 0, 0, 0, 0, 1] + Array("zPLR".utf8)
            + [0, 1, 0x78, 16, 7, 0x1B, 9, 9, 9, 9, 0x1B, 0x1B, 0, 0, 0]
            + [
                0x10, 0, 0, 0, 0x20, 0, 0, 0, UInt8(distance & 0xFF), UInt8(distance >> 8), 0, 0, 0x40, 0, 0, 0, 0, 0,
                0, 0,
            ]
    }
    /// From 0x1000, with a table of the entry, and without.
    private static let files: [(bytes: [UInt8], headerSize: Int)] = [
        (
            [1, 0x1B, 3, 0x3B, 0x10, 0, 0, 0, 1, 0, 0, 0] + [0x00, 0x40, 0, 0, 0x30, 0, 0, 0]
                + frames(distance: 0x5000 - 0x1038), 20
        ), ([1, 0x1B, 0xFF, 0xFF, 4, 0, 0, 0] + frames(distance: 0x5000 - 0x102C), 8),
    ]

    private func range(_ file: [UInt8], headerSize: Int, at address: UInt64) -> Range<UInt64>? {
        // It has exactly this size, so that what reads beyond it is found out.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: file.count, alignment: 1)
        defer { buffer.deallocate() }
        buffer.copyBytes(from: file)
        return FrameDescriptions(UnsafeRawBufferPointer(buffer), at: 0x1000, headerSize: headerSize)
            .range(containing: address)
    }

    @Test func synthetic() {
        for (file, headerSize) in Self.files {
            for address in [0x5000, 0x503F] as [UInt64] {
                expect(range(file, headerSize: headerSize, at: address), equals: 0x5000..<0x5040)
            }
            for address in [0, 0x4FFF, 0x5040, .max] as [UInt64] {
                expect(range(file, headerSize: headerSize, at: address), equals: nil)
            }
        }
    }

    /// Whatever one byte is, and wherever the file ends: nothing is read that is not there.
    @Test func damaged() {
        for (original, headerSize) in Self.files {
            for place in original.indices {
                for byte in [0, 1, 0x7F, 0x80, 0xFF] as [UInt8] {
                    var file = original
                    file[place] = byte
                    for address in [0, 0x1000, 0x5000, .max] as [UInt64] {
                        _ = range(file, headerSize: headerSize, at: address)
                    }
                }
            }
            for count in headerSize..<original.count {
                expect(range(Array(original[..<count]), headerSize: headerSize, at: 0x5000), equals: nil)
            }
        }
    }
}
