// Edited, too: it begins to call what another file has.
func weigh() -> Int { "\(size())".utf8.count - 3 }
