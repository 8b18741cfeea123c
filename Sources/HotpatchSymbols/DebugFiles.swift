import Glibc
import HotpatchELF
import HotpatchMemory
import HotpatchProcFS

/// Finds separate debug files in the places that gdb and libdwfl look in: by build-id under the debug directories, and by
/// `.gnu_debuglink` beside the file, in `.debug` beside it and under the debug directories (GDB manual, "Separate Debug Files").
///
/// libdwfl's own search asks debuginfod servers when the environment names some; changing the environment of a patched
/// process is a race with its threads, and waiting for a server there is worse.
struct DebugFiles: Sendable {
    var files: TargetFiles
    var directories: [String]
    var time: ReadingTime

    func debugFile(of elf: ElfImage, imagePath: String) -> ElfImage? {
        if elf.buildID.count >= 2 {
            let digits = elf.buildID.hexadecimal(separator: "")
            for directory in directories {
                let path = "\(directory)/.build-id/\(digits.prefix(2))/\(digits.dropFirst(2)).debug"
                if let found = try? files.image(path), found.buildID == elf.buildID { return found }
            }
        }
        guard let (name, checksum) = link(of: elf), !name.isEmpty, !name.contains("/") else { return nil }
        let folder = String(imagePath[..<(imagePath.lastIndex(of: "/") ?? imagePath.startIndex)])
        let places = ["\(folder)/\(name)", "\(folder)/.debug/\(name)"] + directories.map { "\($0)\(folder)/\(name)" }
        for place in places {
            guard let found = try? files.image(place), found.machine == elf.machine else { continue }
            if found.identity == elf.identity { continue }
            if !elf.buildID.isEmpty, !found.buildID.isEmpty {
                if elf.buildID == found.buildID { return found }
            } else if let bytes = found.bytes.whole(), self.checksum(bytes, of: place) == checksum {
                return found
            }
        }
        return nil
    }

    /// The file name, NUL, padding to 4 bytes, CRC-32 of the debug file.
    private func link(of elf: ElfImage) -> (name: String, checksum: UInt32)? {
        guard let section = elf.section(named: ".gnu_debuglink"),
            let bytes = elf.bytes.slice(at: section.fileOffset, count: section.size),
            let name = bytes.terminated(at: 0),
            let checksum = bytes.value(UInt32.self, at: UInt64(name.count + 4) & ~3)
        else { return nil }
        return (String(decoding: name, as: UTF8.self), checksum)
    }

    /// CRC-32 as in IEEE 802.3; where the time is over, that of a part.
    private func checksum(_ bytes: UnsafeRawBufferPointer, of path: String) -> UInt32 {
        let table: [UInt32] = (0..<256).map { (index: UInt32) -> UInt32 in
            var value = index
            for _ in 0..<8 { value = value & 1 != 0 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
            return value
        }
        return ~table.withUnsafeBufferPointer { table in
            var value = ~UInt32(0)
            for (row, byte) in bytes.enumerated() {
                if row & 0xF_FFFF == 0, time.isOver("the bytes of \(path)") { break }
                value = table[Int(UInt8(truncatingIfNeeded: value) ^ byte)] ^ (value &>> 8)
            }
            return value
        }
    }
}
