import CHotpatchLinux
import Glibc
import HotpatchMemory

/// Why two processes do not understand each other.
package enum ReloaderError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The other one has ended the connection, or itself.
    case closed
    /// For so many milliseconds nothing came, or was taken.
    case silent(milliseconds: Int)
    /// What came is no message.
    case malformed(String)
    /// The other one is of another version.
    case version(UInt16)
    case system(code: Int32)

    package var description: String {
        switch self {
        case .closed: "the connection was closed"
        case .silent(let milliseconds): "nothing came, or was taken, for \(milliseconds) ms"
        case .malformed(let what): "what came is no message: \(what)"
        case .version(let version):
            "the other side speaks version \(version) of the protocol, and this one \(ReloaderConnection.version)"
        case .system(let code): errorText(code)
        }
    }
}

/// One end of a connection between a process and whoever wants its code changed. Each wait has an end.
///
/// A message is a header of 16 bytes — `HPRL`, u16 version, u16 kind, u64 length — and as many bytes. The header is the same in all versions.
package final class ReloaderConnection: Sendable {
    package static let version: UInt16 = 1
    private static let magic: UInt32 = 0x4C52_5048
    private static let headerSize = 16
    /// In bytes, of a message without files, and of one with them.
    package static let shortest: UInt64 = 1 << 20
    package static let longest: UInt64 = 1 << 30

    package let descriptor: Int32
    /// In milliseconds, for each piece, however small: who is there takes and sends something.
    private let patience: Int
    /// In milliseconds, for a message.
    private let longestWait: Int

    /// - Parameter descriptor: of a socket whose calls never wait; closed with the value.
    package init(descriptor: Int32, patience: Int = 10_000, longestWait: Int = 120_000) {
        self.descriptor = descriptor
        self.patience = patience
        self.longestWait = longestWait
    }

    deinit { _ = linux_close(descriptor) }

    /// Whether the other side has ended the connection.
    package var hasHungUp: Bool { linux_has_hung_up(descriptor) }

    package func send(kind: UInt16, _ payload: [UInt8]) throws(ReloaderError) {
        var header = ReloaderWriter()
        header.put(Self.magic)
        header.put(Self.version)
        header.put(kind)
        header.put(UInt64(payload.count))
        let end = Self.now + UInt64(longestWait)
        try send(header.bytes, until: end)
        try send(payload, until: end)
    }

    private func send(_ bytes: [UInt8], until end: UInt64) throws(ReloaderError) {
        var done = 0
        while done < bytes.count {
            let sent = bytes.withUnsafeBytes { linux_send(descriptor, $0.baseAddress! + done, $0.count - done) }
            if sent > 0 {
                done += sent
            } else {
                try wait(for: POLLOUT, until: end)
            }
        }
    }

    /// - Parameters:
    ///   - limit: for a kind, how long a message of it may be, in bytes; nil where there is none of that kind.
    ///   - patience: in milliseconds, until it begins; nil for that of the connection.
    /// - Returns: nil where the connection has ended instead.
    package func receive(
        patience: Int? = nil, limit: (UInt16) -> UInt64?
    ) throws(ReloaderError) -> (kind: UInt16, payload: [UInt8])? {
        let begin = Self.now + UInt64(patience ?? self.patience)
        guard let first = try receive(1, until: begin, patience: patience ?? self.patience) else { return nil }
        let end = Self.now + UInt64(longestWait)
        guard let rest = try receive(Self.headerSize - 1, until: end, patience: self.patience) else {
            throw .closed
        }
        var header = ReloaderReader(first + rest)
        guard try header.number(UInt32.self) == Self.magic else { throw .malformed("it does not begin as one") }
        let (version, kind) = (try header.number(UInt16.self), try header.number(UInt16.self))
        let length = try header.number(UInt64.self)
        guard version == Self.version else { throw .version(version) }
        guard let limit = limit(kind) else { throw .malformed("its kind is \(kind)") }
        guard length <= limit else { throw .malformed("it is \(length) bytes long, and at most \(limit) are read") }
        guard let payload = try receive(Int(length), until: end, patience: self.patience) else { throw .closed }
        return (kind, payload)
    }

    /// - Returns: so many bytes; nil where the connection ends before the first. Memory is taken for what has come only.
    private func receive(_ count: Int, until end: UInt64, patience: Int) throws(ReloaderError) -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let wanted = min(count - bytes.count, 1 << 18)
            var received = 0
            let piece = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
                received = linux_receive(descriptor, buffer.baseAddress, wanted)
                filled = max(0, received)
            }
            if received > 0 {
                bytes.append(contentsOf: piece)
            } else if received == 0 {
                if bytes.isEmpty { return nil }
                throw .closed
            } else {
                try wait(for: POLLIN, until: end, patience: patience)
            }
        }
        return bytes
    }

    /// Behind a call that has failed: whether it may be repeated, and when.
    private func wait(for events: Int32, until end: UInt64, patience: Int? = nil) throws(ReloaderError) {
        let code = errno
        if code == EINTR { return }
        guard code == EAGAIN else { throw code == EPIPE || code == ECONNRESET ? .closed : .system(code: code) }
        let patience = patience ?? self.patience
        let pieceEnd = min(end, Self.now + UInt64(patience))
        while true {
            let now = Self.now
            guard now < pieceEnd else { throw .silent(milliseconds: patience) }
            let found = linux_wait_for(descriptor, Int16(events), (pieceEnd - now) * 1_000_000)
            if found > 0 { return }
            if found < 0, errno != EINTR { throw .system(code: errno) }
        }
    }

    /// In milliseconds.
    private static var now: UInt64 { linux_monotonic_time() / 1_000_000 }
}
