import CHotpatchLinux
import Glibc
import HotpatchMemory
import HotpatchSymbols

/// A library loaded into the target.
package struct RemoteLibrary: Hashable, Sendable {
    /// What dlopen(3) returned.
    package var handle: Address
    /// Added to link-time addresses of the library.
    package var bias: LoadBias
    /// As glibc knows it (`l_name`).
    package var name: String
    /// As the process's map names it.
    package var mappedPath: String
}

extension Agent {
    /// Hands an open file of this process over to the target.
    ///
    /// The target makes a socket pair; this process takes one end of it (pidfd_getfd(2)) and sends the descriptor through
    /// (SCM_RIGHTS, unix(7)). So the target needs no path to the file, and no right to open it.
    ///
    /// - Returns: the descriptor in the target, close-on-exec, until `closeReceived`.
    func receiveDescriptor(of descriptor: Int32, deadline: Deadline) throws(AgentError) -> Int32 {
        let place = try scratch([UInt8](repeating: 0, count: 8))
        let pair = KeptDescriptors.pair(at: place)
        try systemCall(
            "socketpair", SystemCall.socketpair, UInt64(AF_UNIX), UInt64(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue),
            0, place.rawValue, keeping: pair, deadline: deadline)
        let ends: (Int32, Int32)
        do { ends = try (memory.value(Int32.self, at: place), memory.value(Int32.self, at: place + 4)) } catch {
            throw .memory(error)
        }
        let result: Result<Int32, AgentError>
        do throws(AgentError) {
            try send(descriptor, through: ends.0)
            result = .success(try receive(from: ends.1, deadline: deadline))
        } catch { result = .failure(error) }
        // An agent that does not answer any more closes them when it leaves.
        try? closeKept(pair, deadline: deadline)
        return try result.get()
    }

    /// Closes the descriptor that was handed over.
    func closeReceived(deadline: Deadline) throws(AgentError) { try closeKept(.received(at: nil), deadline: deadline) }

    private func send(_ descriptor: Int32, through end: Int32) throws(AgentError) {
        let pidDescriptor = process.pidDescriptor
        guard pidDescriptor >= 0 else { throw .systemCallFailedHere(name: "pidfd_open", code: ENOSYS) }
        let socket = linux_pidfd_getfd(pidDescriptor, end)
        guard socket >= 0 else { throw .systemCallFailedHere(name: "pidfd_getfd", code: errno) }
        defer { close(socket) }
        guard linux_send_descriptor(socket, descriptor) == 0 else {
            throw .systemCallFailedHere(name: "sendmsg", code: errno)
        }
    }

    private func receive(from end: Int32, deadline: Deadline) throws(AgentError) -> Int32 {
        // SO_RCVTIMEO, so that the agent comes back even if nothing was sent: struct timeval of one second.
        let timeout = try scratch([1, 0].withUnsafeBytes { Array($0) }, offset: 64)
        try systemCall(
            "setsockopt", SystemCall.setsockopt, UInt64(end), UInt64(SOL_SOCKET), UInt64(SO_RCVTIMEO), timeout.rawValue,
            16,
            deadline: deadline)
        // struct msghdr: name, its length, iov, iov count, control, control length, flags. One byte of data.
        let base = area.scratch + 128
        let iov = base + 64
        let control = base + 128
        let byte = base + 192
        let message: [UInt64] = [0, 0, iov.rawValue, 1, control.rawValue, 24, 0, 0]
        let vector: [UInt64] = [byte.rawValue, 1]
        try write((message + vector).withUnsafeBytes { Array($0) }, at: base)
        try write([UInt8](repeating: 0, count: 16) + [UInt8](repeating: 0xff, count: 16), at: control)
        try systemCall(
            "recvmsg", SystemCall.recvmsg, UInt64(end), base.rawValue, UInt64(MSG_CMSG_CLOEXEC),
            keeping: .received(at: control + 16), deadline: deadline)
        // struct cmsghdr: length, level, type; the descriptor at 16 (CMSG_DATA).
        let header: (level: Int32, type: Int32, descriptor: Int32)
        do {
            header = try (
                memory.value(Int32.self, at: control + 8), memory.value(Int32.self, at: control + 12),
                memory.value(Int32.self, at: control + 16)
            )
        } catch { throw .memory(error) }
        // Nothing comes through where the target has no descriptor left (MSG_CTRUNC).
        guard header.level == SOL_SOCKET, header.type == Int32(SCM_RIGHTS) else {
            throw .systemCallFailed(pid: process.pid, name: "receiving a descriptor", code: EMFILE)
        }
        return header.descriptor
    }

    /// Loads a library into the target: dlopen(3) of an open file of this process, with RTLD_NOW and RTLD_LOCAL.
    ///
    /// The name by which it is opened, `/proc/self/fd/…`, is unique each time: glibc takes two libraries of one name for the
    /// same. A consequence: `$ORIGIN` in the library's run path does not work.
    ///
    /// - Throws: `AgentError.libraryNotLoaded` with what dlerror(3) said in the target.
    package func load(
        libraryDescriptor: Int32, dlopen: Address, dlerror: Address, deadline: Deadline
    ) throws(AgentError) -> RemoteLibrary {
        let received = try receiveDescriptor(of: libraryDescriptor, deadline: deadline)
        let result: Result<RemoteLibrary, AgentError>
        do throws(AgentError) {
            result = .success(
                try load(
                    received: received, ours: libraryDescriptor, dlopen: dlopen, dlerror: dlerror, deadline: deadline))
        } catch { result = .failure(error) }
        try? closeReceived(deadline: deadline)
        return try result.get()
    }

    private func load(
        received: Int32, ours: Int32, dlopen: Address, dlerror: Address, deadline: Deadline
    ) throws(AgentError) -> RemoteLibrary {
        let name = Self.uniquePath(descriptor: received, number: UInt64.random(in: 0...UInt64.max))
        let path = try scratch(name)
        let handle = Address(
            try call(dlopen, path.rawValue, UInt64(RTLD_NOW | RTLD_LOCAL), deadline: deadline))
        if handle == .null {
            let text = Address(try call(dlerror, deadline: deadline))
            var reason = text == .null ? "nothing" : string(at: text)
            // The name is ours, and 150 bytes of dots and slashes.
            if reason.hasPrefix(name + ": ") { reason.removeFirst(name.count + 2) }
            throw .libraryNotLoaded(pid: process.pid, reason: reason)
        }
        // struct link_map (link.h): l_addr, l_name, l_ld.
        let bias: UInt64
        let dynamic: Address
        do {
            bias = try memory.value(UInt64.self, at: handle)
            dynamic = Address(try memory.value(UInt64.self, at: handle + 16))
        } catch { throw .memory(error) }
        let mappedPath = try mappedPath(of: ours, at: dynamic)
        return RemoteLibrary(handle: handle, bias: LoadBias(rawValue: bias), name: name, mappedPath: mappedPath)
    }

    /// The path of what the loader mapped at an address.
    /// - Throws: where it is not the file that was handed over.
    private func mappedPath(of descriptor: Int32, at address: Address) throws(AgentError) -> String {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .systemCallFailedHere(name: "fstat", code: errno) }
        let region: Region?
        do { region = try process.map().region(containing: address) } catch { throw .refused(error) }
        let device = UInt64(status.st_dev)
        let major = UInt32(truncatingIfNeeded: (device >> 8) & 0xfff)
        let minor = UInt32(truncatingIfNeeded: (device & 0xff) | ((device >> 12) & 0xfff00))
        // File systems without a device of their own (overlay, btrfs) show one number in stat and another in maps.
        let isSameDevice =
            major == 0 || region?.deviceMajor == 0 || (region?.deviceMajor == major && region?.deviceMinor == minor)
        guard let region, region.inode == UInt64(status.st_ino), isSameDevice else {
            throw .otherLibraryLoaded(pid: process.pid, path: region?.path ?? "\(address)")
        }
        return region.path
    }

    /// `/proc/self/fd/N` with `number` in it: each bit is a redundant `./` or `.//`. By its prefix the library is known for a
    /// patch later.
    static func uniquePath(descriptor: Int32, number: UInt64) -> String {
        var path = PatchLibraryName.directory
        for bit in 0..<64 { path += number >> bit & 1 == 0 ? "./" : ".//" }
        return path + "\(descriptor)"
    }

    /// A string of the target, at most 4096 bytes of it.
    func string(at address: Address) -> String {
        var bytes: [UInt8] = []
        while bytes.count < 4096, let byte = try? memory.value(UInt8.self, at: address + bytes.count), byte != 0 {
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
