/// The pure core, executed: what it writes for arm64, run by an arm64 machine.
var coreChecks: [Check] {
    #if arch(arm64)
        differentialChecks + flushChecks + ownPagesChecks + threadLocalChecks
    #else
        []
    #endif
}
