/// Another process, stopped and changed from outside: Sources/RemoteTarget on a real kernel.
let remoteChecks: [Check] = stopChecks + holdChecks + commitChecks + agentChecks + deathChecks
