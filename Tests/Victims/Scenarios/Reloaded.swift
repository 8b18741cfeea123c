import CHotpatchVictims
import Glibc
import Hotpatch

/// A library that is patched, reverted, unloaded, and loaded in another build at the same address: the same first bytes, another
/// instruction behind them.
func reloaded() throws {
    var address: UnsafeMutableRawPointer?
    for (number, bytes) in ["0x41, 0x57, 0xb8, 1, 0, 0, 0, 0x41, 0x5f", "0x41, 0xb9, 7, 0, 0, 0, 0x44, 0x89, 0xc8"]
        .enumerated()
    {
        let path = "/tmp/hotpatch-reloaded-\(getpid()).so"
        let source =
            "__asm__(\".text\\n.balign 16\\n.globl reloaded\\n.type reloaded,@function\\nreloaded: "
            + ".byte 0x55, 0x48, 0x89, 0xe5, \(bytes), 0x5d, 0xc3\\n.size reloaded,.-reloaded\");"
        unlink(path)
        try expect(
            victim_system("printf '%s' '\(source)' | cc -shared -fPIC -x c - -o \(path)") == 0,
            "cannot compile build \(number)")
        let library = dlopen(path, RTLD_NOW)
        unlink(path)
        let function = dlsym(library, "reloaded")
        try expect(function != nil, "build \(number) has no function")
        if number == 1 { try expect(function == address, "the second build lies elsewhere: nothing is tested") }
        address = function
        let answer = number == 0 ? 1 : 7
        typealias Function = @convention(c) () -> Int32
        let current = unsafeBitCast(function, to: Function.self)
        let patch = try Patch.replace(symbol: "reloaded", with: { -1 } as Function)
        try expect(current() == -1, "build \(number): the replacement does not run")
        let original = try patch.original(as: Function.self)()
        try expect(original == answer, "build \(number): the original answers \(original)")
        try patch.revert()
        try expect(current() == answer, "build \(number) is not itself after the revert")
        if let library { dlclose(library) }
    }
}

/// A thread that a debugger traces cannot be traced by us: the patch is refused, and nothing has changed.
func tracedByAnother() throws {
    let tid = Counter()
    startThread {
        tid.value = Int(victim_gettid())
        while true { usleep(1000) }
    }
    while tid.value == 0 { usleep(1000) }
    let debugger = victim_trace(Int32(tid.value))
    try expect(debugger > 0, "the thread cannot be traced")
    // What is traced would not end before.
    defer { kill(debugger, SIGKILL) }
    // Until then the tracer may be another patcher, which is soon done.
    let patient = Patch.options
    var options = patient
    options.timeout = .milliseconds(500)
    try Patch.configure(options)
    do {
        try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
        throw Unexpected(description: "patched while a thread could not be held")
    } catch let error as PatchError {
        guard error.code == .system, error.systemError == EPERM, error.message.contains("thread \(tid.value)"),
            error.message.contains("process \(debugger) (HotpatchScenari)")
        else { throw error }
    }
    try Patch.configure(patient)
    try expect(victim_add(40, 2) == 42, "something changed")
    kill(debugger, SIGKILL)
    waitpid(debugger, nil, 0)
    try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
    try expect(victim_add(40, 2) == 38, "the second try does nothing")
}
