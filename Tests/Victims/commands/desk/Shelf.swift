// Edited together with Desk.swift.

nonisolated(unsafe) private var taken = 0

func shelf() -> String {
    taken += 1
    return "shelf v1 \(taken)"
}
