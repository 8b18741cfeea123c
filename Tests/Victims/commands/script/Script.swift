func named(_ number: Int) -> String { "script \(number)" }
