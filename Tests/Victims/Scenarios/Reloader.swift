import CHotpatchLinux
import CHotpatchVictims
import Glibc
import Hotpatch
import HotpatchObjects

/// The loop that lets others change this process: who may connect, what is asked, and what is no request.
func reloaderLoop() throws {
    var template = Array("/tmp/hotpatch-loop-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Unexpected(description: "no directory") }
    let runtime = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    setenv("XDG_RUNTIME_DIR", runtime, 1)
    let folder = runtime + "/hotpatch"
    defer {
        ReloaderLoop.stop()
        for name in names(in: folder) { unlink("\(folder)/\(name)") }
        for path in [folder, runtime + "/other"] { rmdir(path) }
        unlink(folder)
        rmdir(runtime)
    }
    try refusedDirectories(folder, runtime)
    try leftovers(folder)
    guard let name = ReloaderAddress.name(ofProcess: getpid()) else { throw Unexpected(description: "no name") }
    let path = "\(folder)/\(name)"
    try ReloaderLoop.start()
    try expect(ReloaderLoop.isRunning, "it runs")
    try expect(try mode(of: folder) == S_IFDIR | 0o700, "the directory is private")
    try expect(try mode(of: path) == S_IFSOCK | 0o600, "the socket is private")
    try expect(try blockedSignals() & 1 << UInt64(SIGTERM - 1) != 0, "the program's signals are left to it")
    try requests(path)
    try hostileBytes(path)
    try otherUsers(folder, path)
    try forkedChildren(folder, path)
    try endOfIt(path)
}

private func mode(of path: String) throws -> mode_t {
    var status = stat()
    try expect(lstat(path, &status) == 0, "\(path) is there")
    return status.st_mode
}

private func names(in folder: String) -> [String] {
    (try? ReloaderDirectory(folder, ofUser: geteuid()))?.names().filter { $0 != "." && $0 != ".." }.sorted() ?? []
}

/// The signals that the loop's thread blocks.
private func blockedSignals() throws -> UInt64 {
    // It names itself once it runs.
    for _ in 0..<5000 {
        for tid in try threadIDs() {
            guard let text = try? contents(of: "/proc/self/task/\(tid)/status"),
                text.hasPrefix("Name:\thotpatch-loop\n"),
                let line = text.split(separator: "\n").first(where: { $0.hasPrefix("SigBlk:") })
            else { continue }
            return UInt64(line.dropFirst(8), radix: 16) ?? 0
        }
        usleep(1000)
    }
    throw Unexpected(description: "there is no thread")
}

private func threadIDs() throws -> [String] {
    guard let directory = opendir("/proc/self/task") else { throw Unexpected(description: "no /proc") }
    defer { closedir(directory) }
    var ids: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if Int32(name) != nil { ids.append(name) }
    }
    return ids
}

private func contents(of path: String) throws -> String {
    guard let file = fopen(path, "r") else { throw Unexpected(description: "cannot read \(path)") }
    defer { fclose(file) }
    var buffer = [UInt8](repeating: 0, count: 1 << 14)
    return String(decoding: buffer[..<fread(&buffer, 1, buffer.count, file)], as: UTF8.self)
}

// MARK: Connecting

private func connect(_ path: String) -> ReloaderConnection? {
    let descriptor = linux_stream_socket(false)
    guard linux_connect(descriptor, path) == 0 else {
        close(descriptor)
        return nil
    }
    return ReloaderConnection(descriptor: descriptor, patience: 60_000, longestWait: 60_000)
}

private func connected(_ path: String) throws -> ReloaderConnection {
    guard let connection = connect(path) else { throw Unexpected(description: "cannot connect: errno \(errno)") }
    return connection
}

/// What is answered, behind `begun`.
private func reply(_ connection: ReloaderConnection) throws -> ReloaderReply? {
    while let (kind, payload) = try connection.receive(limit: ReloaderReply.limit(ofKind:)) {
        let reply = try ReloaderReply(kind: kind, payload: payload)
        if case .begun = reply { continue }
        return reply
    }
    return nil
}

private func ask(_ request: ReloaderRequest, _ connection: ReloaderConnection) throws -> ReloaderReply? {
    let (kind, payload) = request.message
    try connection.send(kind: kind, payload)
    return try reply(connection)
}

private func expectHello(_ path: String, line: Int = #line) throws {
    guard case .hello(getpid(), let images) = try ask(.hello(prepares: false), try connected(path)),
        let program = images.first(where: \.isMain)
    else { throw Unexpected(description: "line \(line): no hello") }
    try expect(program.path.hasSuffix("/HotpatchScenarios"), program.path, line: line)
}

// MARK: What is expected

/// Directories that are not this user's own alone.
private func refusedDirectories(_ folder: String, _ runtime: String) throws {
    func expectRefusal(_ what: String) throws {
        do {
            try ReloaderLoop.start()
            throw Unexpected(description: what)
        } catch let error as PatchError {
            try expect(error.code == .system && error.message.contains(folder), "\(what): \(error)")
            try expect(!ReloaderLoop.isRunning, what)
        }
    }
    mkdir(folder, 0o700)
    chmod(folder, 0o755)
    try expectRefusal("others may enter the directory")
    rmdir(folder)
    mkdir(runtime + "/other", 0o700)
    symlink(runtime + "/other", folder)
    try expectRefusal("the directory is a link")
    unlink(folder)
}

/// What processes that were killed have left is removed, and nothing else.
private func leftovers(_ folder: String) throws {
    mkdir(folder, 0o700)
    let child = victim_fork()
    if child == 0 { _exit(0) }
    waitpid(child, nil, 0)
    let (left, living, file) = ("\(child)-1", "1-1", "\(child)-2")
    var sockets: [Int32] = []
    for name in [left, living] {
        let socket = linux_stream_socket(true)
        try expect(linux_bind(socket, "\(folder)/\(name)", 0o600) == 0, "bind")
        sockets.append(socket)
    }
    // This one is of another pid namespace, where that process may be any.
    linux_listen(sockets[1], 1)
    close(sockets[0])
    close(creat("\(folder)/\(file)", 0o600))
    try ReloaderLoop.start()
    let found = names(in: folder)
    try expect(!found.contains(left) && found.contains(living) && found.contains(file), "\(found)")
    ReloaderLoop.stop()
    try expect(names(in: folder) == [living, file].sorted(), "\(names(in: folder))")
    close(sockets[1])
    for name in [living, file] { unlink("\(folder)/\(name)") }
}

private func requests(_ path: String) throws {
    try ReloaderLoop.start()
    try expectHello(path)
    let patch = try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
    try expect(!patch.notes.joined().contains("EINTR"), "\(patch.notes): the loop waits in a call that goes on")
    let connection = try connected(path)
    guard case .patches(let patches) = try ask(.list, connection),
        let listed = patches.first(where: { $0.id == patch.id })
    else { throw Unexpected(description: "no list") }
    try expect(listed.isInForce && listed.functions == ["victim_add"], "\(listed)")
    let limits = ReloaderLimits(timeout: .seconds(20), longestPause: nil)
    guard case .reverted(let summary) = try ask(.revert([patch.id], limits), connection) else {
        throw Unexpected(description: "not reverted")
    }
    try expect(summary.holds >= 1, "\(summary)")
    try expect(try !patch.isInForce, "the patch is in force")
    try expect(victim_add(2, 3) == 5, "the original runs")
    guard case .failed(let failure) = try ask(.revert([patch.id], limits), connection) else {
        throw Unexpected(description: "reverted twice")
    }
    try expect(failure.outcome == .refused && failure.text.contains("is not in force"), "\(failure)")
    // No objects: refused, and the process as it was.
    guard case .failed(let none) = try ask(.apply([], isDryRun: false, limits), connection) else {
        throw Unexpected(description: "nothing was applied")
    }
    try expect(none.outcome == .refused && none.text.contains("no object is given"), "\(none)")
    guard case .failed(let garbage) = try ask(.image(ofObject: [1, 2, 3], path: "x.o"), connection) else {
        throw Unexpected(description: "an image of nothing")
    }
    try expect(garbage.text.contains("x.o"), "\(garbage)")
}

/// What is no request is answered by an error, and ends the connection. Nothing else comes of it.
private func hostileBytes(_ path: String) throws {
    let seed = getenv("SEED").flatMap { UInt64(String(cString: $0)) } ?? UInt64.random(in: 0...UInt64(UInt32.max))
    var generator = Dice(state: seed)
    for _ in 0..<200 {
        let connection = try connected(path)
        var writer = ReloaderWriter()
        // Mostly well-formed, so that what is behind is reached.
        writer.put(generator.roll(8) == 0 ? UInt32(generator.roll(1 << 32)) : 0x4C52_5048)
        writer.put(generator.roll(8) == 0 ? UInt16(generator.roll(1 << 16)) : ReloaderConnection.version)
        writer.put(UInt16(generator.roll(10)))
        let count = Int(generator.roll(200))
        writer.put(generator.roll(4) == 0 ? generator.next() >> generator.roll(64) : UInt64(count))
        var bytes = writer.bytes
        for _ in 0..<count {
            bytes.append(generator.roll(3) == 0 ? UInt8(generator.roll(256)) : UInt8(generator.roll(2)))
        }
        bytes.removeLast(generator.roll(8) == 0 ? Int(generator.roll(UInt64(bytes.count))) : 0)
        bytes.withUnsafeBytes { _ = linux_send(connection.descriptor, $0.baseAddress, $0.count) }
        linux_shut_down(connection.descriptor, Int32(SHUT_WR))
        // Whatever it answers, it does, and ends.
        do {
            var replies = 0
            while try reply(connection) != nil { replies += 1 }
            try expect(replies <= 16, "seed \(seed): \(replies) replies")
        } catch ReloaderError.closed {}
    }
    let connection = try connected(path)
    let noise = Array("GET / HTTP/1.1\r\n\r\n".utf8)
    noise.withUnsafeBytes { _ = linux_send(connection.descriptor, $0.baseAddress, $0.count) }
    guard case .failed(let failure) = try reply(connection) else { throw Unexpected(description: "no error") }
    try expect(failure.outcome == .refused && failure.text.contains("no message"), "\(failure)")
    try expectHello(path)
    try expect(victim_add(2, 3) == 5, "the program is as it was")
}

private struct Dice: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 29
    }

    mutating func roll(_ sides: UInt64) -> UInt64 { UInt64.random(in: 0..<sides, using: &self) }
}

/// Where the directory does not keep others out, the kernel tells who they are.
private func otherUsers(_ folder: String, _ path: String) throws {
    guard geteuid() == 0 else { return }
    let runtime = String(folder.dropLast("/hotpatch".count))
    for place in [path, folder, runtime] { chmod(place, 0o777) }
    let child = victim_fork()
    if child == 0 {
        guard setuid(65534) == 0, let connection = connect(path) else { _exit(2) }
        // An end, or that of a connection that was closed with what it was sent.
        do { _exit(try ask(.hello(prepares: false), connection) == nil ? 0 : 1) } catch ReloaderError.closed {
            _exit(0)
        } catch { _exit(3) }
    }
    var status: Int32 = 0
    waitpid(child, &status, 0)
    for place in [folder, runtime] { chmod(place, 0o700) }
    try expect(status == 0, "another user: status \(status)")
    try expectHello(path)
}

/// A child has no loop, keeps nobody from noticing the end of its parent's, and may have its own.
private func forkedChildren(_ folder: String, _ path: String) throws {
    let child = victim_fork()
    if child == 0 {
        guard !ReloaderLoop.isRunning else { _exit(2) }
        guard (try? ReloaderLoop.start()) != nil, names(in: folder).count == 2 else { _exit(3) }
        guard let name = ReloaderAddress.name(ofProcess: getpid()), connect("\(folder)/\(name)") != nil else {
            _exit(4)
        }
        // With its handlers.
        exit(0)
    }
    var status: Int32 = 0
    waitpid(child, &status, 0)
    try expect(status == 0, "the child: status \(status)")
    try expect(names(in: folder).count == 1, "the child's socket is gone: \(names(in: folder))")
    try expectHello(path)
}

private func endOfIt(_ path: String) throws {
    // Whoever only waits is let go.
    let silent = try connected(path)
    // A child that lives longer than the loop.
    let child = victim_fork()
    if child == 0 {
        pause()
        _exit(0)
    }
    defer {
        kill(child, SIGKILL)
        waitpid(child, nil, 0)
    }
    let socket = path + "."
    try expect(link(path, socket) == 0, "link")
    defer { unlink(socket) }
    ReloaderLoop.stop()
    try expect(!ReloaderLoop.isRunning, "it runs no more")
    try expect(access(path, F_OK) != 0, "the socket is gone")
    try expect(connect(socket) == nil && errno == ECONNREFUSED, "nobody listens, \(errno)")
    try expect(try silent.receive { _ in nil } == nil, "the connection is closed")
    ReloaderLoop.stop()
    // The standard input stays the program's, also where it has none.
    close(0)
    try ReloaderLoop.start()
    try expectHello(path)
    var status = stat()
    try expect(fstat(0, &status) != 0, "the loop has taken the standard input")
}
