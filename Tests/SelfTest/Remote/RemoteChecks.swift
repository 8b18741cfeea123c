/// Another process, stopped and changed from outside: Sources/HotpatchRemoteTarget on a real kernel.
let remoteChecks: [Check] = stopChecks + holdChecks + commitChecks + agentChecks + deathChecks
