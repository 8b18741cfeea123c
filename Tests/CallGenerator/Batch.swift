/// Some signatures and the types they share: two modules of source.
struct Batch {
    let target: String
    let test: String
    let count: Int

    /// - Parameters:
    ///   - only: one signature of the batch, for a short program that does what the long one does.
    ///   - asyncPercent: how many of those functions are async that can be.
    init(seed: UInt64, count: Int, only: Int? = nil, asyncPercent: Int, machine: Machine) {
        let table = TypeTable(isNewest: machine.isNewest)
        var dice = Dice(seed: seed)
        for index in 0..<min(24, 8 + count / 6) {
            table.share(table.nominal(&dice, named: "N\(index)"))
        }
        var signatures: [Signature] = []
        for index in 0..<count where only == nil || only == index {
            signatures.append(Signature(index: index, seed: seed, table: table, asyncPercent: asyncPercent))
        }
        for signature in signatures { signature.placeInHost() }
        target = table.source(of: signatures.flatMap(\.usedTypes)) + signatures.map(\.targetSource).joined()
        let checks = signatures.map { "check\($0.index)" }.joined(separator: ", ")
        test = """
            import Hotpatch
            import Target

            \(signatures.map(\.testSource).joined())
            @main struct Main {
                static func main() async throws {
                    try useOneThread()
                    try await runAll([\(checks)])
                }
            }

            """
        self.count = signatures.count
    }
}
