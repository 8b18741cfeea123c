import HotpatchCallChecks

/// Swift functions of this process called through adapters: what SwiftCallTests runs.
let callingChecks: [Check] =
    (functionChecks + methodChecks + closureChecks + dispatchChecks + unwindChecks).map {
        Check(name: $0.description, run: $0.run)
    }
    + (asyncChecks + asyncSymbolChecks + asyncUnwindChecks).map { Check(name: $0.description, run: $0.runAndWait) }
