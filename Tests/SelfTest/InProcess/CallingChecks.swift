import HotpatchCallChecks

/// Swift functions of this process called through adapters: what SwiftCallTests runs.
let callingChecks: [Check] = [
    functionChecks, methodChecks, closureChecks, dispatchChecks, unwindChecks,
].joined().map {
    Check(name: $0.description, run: $0.run)
}

/// Checks of async functions, whose patches hold threads, for which user-mode emulation has no ptrace.
let asyncCallingChecks: [Check] = [asyncChecks, asyncSymbolChecks, asyncUnwindChecks].joined().map {
    Check(name: $0.description, run: $0.runAndWait)
}
