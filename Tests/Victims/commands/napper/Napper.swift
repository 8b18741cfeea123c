// Edited while it runs: a task waits in the middle of it.

func nap(_ n: Int) async -> String {
    let text = await Gate.shared.wait()
    return "nap v1 \(text) \(n)"
}

func other() -> String { "other v1" }
