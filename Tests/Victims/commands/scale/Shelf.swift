// Edited, too: it begins to call what another file has.
func weigh() -> Int { 0 }
