import Glibc
import HotpatchSwiftCall

/// Where the kernel gives no memory for code, a replacement is an error; what there was stays, and when there is memory again, all
/// goes on.
@Sendable func thunksWithoutMemory() throws {
    let adapter = try Adapter<(Int) -> Int>()
    func make() throws -> UnsafeRawPointer { try adapter.replacement { $0 + 1 } }
    let first = try make()

    // Boxes come from the heap, which must not need the kernel meanwhile: the last block keeps it from giving memory back.
    let blocks = (0..<4000).map { _ in malloc(256) }
    for block in blocks.dropLast() { free(block) }

    var limit = rlimit()
    getrlimit(__rlimit_resource_t(9), &limit)  // RLIMIT_AS
    var none = rlimit(rlim_cur: 0, rlim_max: limit.rlim_max)
    try expect(setrlimit(__rlimit_resource_t(9), &none) == 0, "setrlimit: \(errno)")
    // A page has a few hundred.
    var made = 0
    var refusal: CallRefusal?
    while refusal == nil, made < 10_000 {
        do {
            _ = try make()
            made += 1
        } catch { refusal = error as? CallRefusal }
    }
    try expect(setrlimit(__rlimit_resource_t(9), &limit) == 0, "setrlimit: \(errno)")

    try expect(refusal == .noMemory(ENOMEM), "\(String(describing: refusal)) after \(made)")
    try expect(refusal?.description.contains("no memory") == true, "\(String(describing: refusal))")
    let next = try make()
    try expect(next != first, "the same thunk twice")
    // It calls what it was made for.
    let again = try adapter.original(at: next)
    try expect(again(41) == 42, "\(again(41))")
}
