import Glibc

extension [UInt8] {
    /// All of a file: also of one whose size nobody knows before, as below /proc.
    public init(readingFile path: String) throws {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw TestFailure("cannot open \(path): \(String(cString: strerror(errno)))") }
        defer { close(file) }
        self.init()
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = read(file, &buffer, buffer.count), count > 0 { self += buffer[..<count] }
    }
}

extension String {
    public init(readingFile path: String) throws {
        self.init(decoding: try [UInt8](readingFile: path), as: UTF8.self)
    }
}
