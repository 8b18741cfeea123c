#if arch(arm64)
    import CHotpatchVictims
    import HotpatchTestSupport

    /// What finds thread-locals that are linked into a process.
    let threadLocalChecks: [Check] = [
        Check(name: "a thread finds its own of what is linked later, and keeps its registers") {
            let line = victim_check_thread_locals()
            try expect(line == 0, "line \(line) of thread_locals.c")
        }
    ]
#endif
