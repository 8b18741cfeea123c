import StallCore

func board(_ till: Till) -> String { "empty" }
