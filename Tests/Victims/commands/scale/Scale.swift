// Edited while it runs: how its functions are called.
#if canImport(Glibc)
    import Glibc
#endif

struct Scale {
    var level = 1
    func step() -> Int { level }
    fileprivate func hidden() -> Int { level * 10 }
}

private func shape() -> some CustomStringConvertible { 42 }
private func later() async -> some CustomStringConvertible { 5 }
/// Called by another file, too.
func label() -> some CustomStringConvertible { 1 }
func size() -> some CustomStringConvertible { 100 }

func report() async -> String {
    var scale = Scale()
    scale.level += 1
    return "\(scale.step()) \(scale.hidden()) \(scale.level) \(shape()) \(await later()) \(label())"
}

/// Never returns: it goes on with what it calls.
func run(_ tick: (Int) -> Void) {
    var scale = Scale()
    while true {
        scale.level = 3
        tick(scale.step())
        usleep(1000)
    }
}
