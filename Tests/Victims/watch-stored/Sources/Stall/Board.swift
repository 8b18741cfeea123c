import StallCore

func board(_ till: Till) -> String { "empty" }

func desks(_ desk: Desk, _ big: BigDesk) -> String { "none" }
