import Glibc
import Synchronization

/// A directory that is removed with the value, or when the test process ends.
public final class TemporaryDirectory: Sendable {
    public let path: String
    private static let left = Mutex<[String]>([])

    /// - Parameter untilExit: it stays until the test process ends, as that of a static value must.
    public init(_ name: String, untilExit: Bool = false) throws {
        var template = Array("/tmp/hotpatch-\(name)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TestFailure("mkdtemp: \(String(cString: strerror(errno)))") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // Another user must be able to read what one of the tests hands to it.
        chmod(path, 0o755)
        guard untilExit else { return }
        let isFirst = Self.left.withLock { left in
            left.append(path)
            return left.count == 1
        }
        if isFirst {
            atexit { for path in TemporaryDirectory.left.withLock({ $0 }) { TemporaryDirectory.remove(path) } }
        }
    }

    deinit {
        if !Self.left.withLock({ $0.contains(path) }) { Self.remove(path) }
    }

    private static func remove(_ path: String) { if let child = try? spawn(["rm", "-rf", path]) { reap(child) } }
}
