import CHotpatchVictims
import Glibc
import Hotpatch

/// As `victim_passthrough` numbers them.
private let names = [
    "malloc", "free", "memcpy", "memmove", "memset", "memcmp", "strlen", "mprotect", "mmap", "munmap", "read",
    "write", "open",
    "close", "pread", "pwrite", "sigaction", "pthread_sigmask", "pthread_mutex_lock", "pthread_mutex_unlock",
    "syscall", "clone",
    "sched_yield", "nanosleep", "clock_gettime", "getpid", "tgkill",
]

/// Functions that a careless patcher calls while it patches, each replaced by one that counts and calls the original.
func patchLibc() throws {
    for name in names {
        let functions = try Patch.functions(matching: name, in: "libc.so.6").filter { $0.name == name }
        try expect(!functions.isEmpty, "libc has no \(name)")
    }
    // One after the other, so that each install runs with all those before it replaced.
    var patches: [Patch] = []
    for (index, name) in names.enumerated() {
        let result = Result {
            try Patch.replace(
                symbol: name, in: "libc.so.6", with: victim_passthrough(Int32(index))!,
                original: victim_original(Int32(index)))
        }
        if case .failure(let error) = result, isCopyOutOfReach(error) { continue }
        patches.append(try result.get())
        let counted = victim_passed(Int32(index))
        forgetStaleCode()
        useLibc()
        if ["malloc", "free", "memcpy", "read", "write", "mprotect", "getpid"].contains(name) {
            try expect(victim_passed(Int32(index)) > counted, "\(name) was called, and the replacement did not run")
        }
    }
    for patch in patches.reversed() { try patch.revert() }
    let counts = names.indices.map { victim_passed(Int32($0)) }
    useLibc()
    try expect(counts == names.indices.map { victim_passed(Int32($0)) }, "a replacement runs after its revert")
}

/// The ledger is a file in memory, and the process may not make files so long: the patch is refused, and the process is not ended by
/// SIGXFSZ. Once it may, all goes on.
func filesOfLimitedLength() throws {
    let index = Int32(names.firstIndex(of: "getpid")!)
    func patch() throws -> Patch {
        try Patch.replace(
            symbol: "getpid", in: "libc.so.6", with: victim_passthrough(index)!, original: victim_original(index))
    }
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(1), &limit)  // RLIMIT_FSIZE
    var short = rlimit(rlim_cur: 4096, rlim_max: limit.rlim_max)
    try expect(setrlimit(__rlimit_resource_t(1), &short) == 0, "setrlimit: \(errno)")
    let refused = Result { try patch() }
    try expect(setrlimit(__rlimit_resource_t(1), &limit) == 0, "setrlimit: \(errno)")
    guard case .failure(let error) = refused, "\(error)".contains("RLIMIT_FSIZE") else {
        throw Unexpected(description: "\(refused)")
    }
    try patch().revert()
}

/// arm64's copies and fills in three instructions are refused, as they should be, where nothing is free within a branch's reach.
private func isCopyOutOfReach(_ error: any Error) -> Bool {
    let text = "\(error)"
    return text.contains(": `cpy") || text.contains(": `set")
}

/// A write to a page of a file gives the process a page of its own. Where pages are larger than 4 KiB, qemu 10.0 goes on running
/// the old code from beyond the page's first 4, whatever is flushed, as long as its table of jumps knows it. Unmapping more than
/// the table spans (16 MiB) empties it.
private func forgetStaleCode() {
    guard sysconf(Int32(_SC_PAGESIZE)) > 4096 else { return }
    let size = 64 << 20
    let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
    memory.storeBytes(of: 1, as: UInt8.self)
    memory.storeBytes(of: 1, toByteOffset: size - 1, as: UInt8.self)
    munmap(memory, size)
}

private func useLibc() {
    var ends: [Int32] = [0, 0]
    pipe(&ends)
    let buffer = malloc(4096)!
    memset(buffer, 7, 4096)
    let copy = malloc(4096)!
    memcpy(copy, buffer, Int(getpid()) > 0 ? 4096 : 1)
    // It goes on in the middle of memmove, which is what memcpy is on x86_64.
    typealias Copy = @convention(c) (UnsafeMutableRawPointer?, UnsafeRawPointer?, Int) -> UnsafeMutableRawPointer?
    let copyOn = unsafeBitCast(dlsym(nil, "mempcpy"), to: Copy.self)
    precondition(copyOn(copy, buffer, 4096) == copy + 4096)
    Glibc.write(ends[1], copy, 16)
    Glibc.read(ends[0], buffer, 16)
    close(ends[0])
    close(ends[1])
    free(buffer)
    free(copy)
    let page = mmap(nil, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
    mprotect(page, 4096, PROT_READ | PROT_WRITE)
    munmap(page, 4096)
}

/// Functions that a test replaces by ones that fail: what patches and reverts does not depend on them.
func mocksThatFail() throws {
    let own = getpid()
    // Forgets the code of the call before: behind the patches there is no mmap that would do it.
    forgetStaleCode()
    let names = [
        "getpid", "getuid", "open", "openat", "close", "read", "write", "pread", "fstat", "stat", "lseek", "mmap",
        "munmap",
        "mprotect", "clock_gettime", "nanosleep", "process_vm_readv", "sigaction", "pthread_sigmask", "sched_yield",
        "tgkill", "fopen", "dl_iterate_phdr",
    ]
    try Patch.transaction { transaction in
        for name in names {
            try transaction.replace(symbol: name, in: "libc.so.6", withSymbol: "victim_failure")
        }
    }
    var problems: [String] = []
    func check(_ what: String, _ holds: Bool) { if !holds { problems.append(what) } }
    check("getpid fails", getpid() == -1)
    check("open fails", open("/dev/null", O_RDONLY) == -1)
    let replacement = try Patch.replacement(for: "open", in: "libc.so.6")
    check("open is known to be replaced", replacement?.name == "victim_failure")
    let patch = try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
    check("the replacement runs", victim_add(40, 2) == 38)
    try patch.revert()
    check("the original runs", victim_add(40, 2) == 42)
    try Patch.revertAll()
    check("getpid is back", getpid() == own)
    try expect(problems.isEmpty, problems.joined(separator: ", "))
}
