// The compiler makes a helper for each child task, all of one name.

// Above

func tally(_ n: Int) async -> Int {
    async let a = 1
    async let b = 5
    async let c = n
    async let d = n
    async let e = n
    return await a + b + c + d + e
}

func label() async -> String { "sum" }
