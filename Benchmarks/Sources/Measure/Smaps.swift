import Glibc

/// `/proc/self/smaps`.
func smaps() throws -> String {
    guard let file = fopen("/proc/self/smaps", "r") else {
        throw Failure("cannot open /proc/self/smaps: errno \(errno)")
    }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
    return String(decoding: bytes, as: UTF8.self)
}
