import CVictims
import Glibc
import Hotpatch

/// Functions that a careless patcher calls while it patches, each replaced by one that counts and calls the original.
func patchLibc() throws {
    let names = [
        "malloc", "free", "memcpy", "memmove", "memset", "memcmp", "strlen", "mprotect", "mmap", "munmap", "read",
        "write", "open",
        "close", "pread", "pwrite", "sigaction", "pthread_sigmask", "pthread_mutex_lock", "pthread_mutex_unlock",
        "syscall", "clone",
        "sched_yield", "nanosleep", "clock_gettime", "getpid", "tgkill",
    ]
    for name in names {
        let functions = try Patch.functions(matching: name, in: "libc.so.6").filter { $0.name == name }
        try expect(!functions.isEmpty, "libc has no \(name)")
    }
    // One after the other, so that each install runs with all those before it replaced.
    var patches: [Patch] = []
    for (index, name) in names.enumerated() {
        let patch = try Patch.replace(
            symbol: name, in: "libc.so.6", with: victim_passthrough(Int32(index))!,
            original: victim_original(Int32(index)))
        patches.append(patch)
        let counted = victim_passed(Int32(index))
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

private func useLibc() {
    var ends: [Int32] = [0, 0]
    pipe(&ends)
    let buffer = malloc(4096)!
    memset(buffer, 7, 4096)
    let copy = malloc(4096)!
    memcpy(copy, buffer, Int(getpid()) > 0 ? 4096 : 1)
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
