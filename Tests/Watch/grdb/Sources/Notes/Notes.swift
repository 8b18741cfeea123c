import Foundation
import GRDB

/// Answers lines of one connection after another, from a database that it reads through a pool of connections.
@main
struct Notes {
    static func main() throws {
        let port = CommandLine.arguments.dropFirst().first.flatMap(UInt16.init) ?? 8080
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("notes-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let pool = try DatabasePool(path: folder.appendingPathComponent("notes.sqlite").path)
        try pool.write { try $0.execute(sql: "CREATE TABLE note (text TEXT)") }

        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var on: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        let isBound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isBound, listen(listener, 16) == 0 else { return }
        while true {
            let connection = accept(listener, nil, nil)
            guard let stream = fdopen(connection, "r") else { continue }
            while let line = readLine(from: stream) {
                let answer = try answer(to: line, pool) + "\n"
                _ = answer.withCString { write(connection, $0, strlen($0)) }
            }
            fclose(stream)
        }
    }

    static func readLine(from stream: UnsafeMutablePointer<FILE>) -> String? {
        var room = [CChar](repeating: 0, count: 256)
        guard fgets(&room, 256, stream) != nil else { return nil }
        return String(decoding: room.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            .trimmingCharacters(in: .newlines)
    }

    static func answer(to line: String, _ pool: DatabasePool) throws -> String {
        switch line {
        case "count":
            try pool.write { try $0.execute(sql: "INSERT INTO note VALUES ('one')") }
            return "count \(try pool.read { try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM note") } ?? -1)"
        case "pool":
            // GRDB's Pool is asked for a connection; what an edit lets it do besides can be seen here.
            _ = try pool.read { try Int.fetchOne($0, sql: "SELECT 1") }
            return "pool \(getenv("GRDB_POOL").map { String(cString: $0) } ?? "0")"
        case "hello": return "hello 0"
        default: return line
        }
    }
}
