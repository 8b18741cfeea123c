import Glibc
import Hotpatch

/// Two names of one function of libc, in one transaction: by one function, and by two.
func namesOfOneCode() throws {
    let (first, second) = ("getpgid", "__getpgid")
    let patches = try Patch.transaction {
        try $0.replace(symbol: first, withSymbol: "getsid")
        try $0.replace(symbol: second, withSymbol: "getsid")
    }
    try expect(patches.count == 2 && patches[0].id == patches[1].id, "one patch, two handles")
    try expect(patches[0].originalAddress == patches[1].originalAddress, "one original")
    try expect(getpgid(-1) == -1 && getsid(0) == getpgid(0), "the replacement runs")
    try patches[1].revert()
    try expect(try !patches[0].isInForce, "both are reverted")
    do {
        try Patch.transaction {
            try $0.replace(symbol: first, withSymbol: "getsid")
            try $0.replace(symbol: second, withSymbol: "getuid")
        }
        throw Unexpected(description: "one code has two replacements")
    } catch let error as PatchError where error.code == .sameCode {
        try expect(error.message.hasPrefix("cannot replace \(second) and \(first) by "), error.message)
    }
}

/// The symbols of a process are not read in a millisecond: nothing is changed, and the next operation begins anew.
func readingThatEnds() throws {
    let options = Patch.options
    func setReadingTimeout(_ time: Duration) throws {
        var options = options
        options.readingTimeout = time
        try Patch.configure(options)
        try expect(Patch.options == options, "the options are other ones")
    }
    func mustFail(_ what: String, _ body: () throws -> Void) throws {
        do { try body() } catch let error as PatchError where error.code == .readingTimeout {
            try expect("\(error)".hasPrefix("the time was over while the symbols of "), "\(what): \(error)")
            return
        }
        throw Unexpected(description: "\(what) was done")
    }
    try setReadingTimeout(.milliseconds(1))
    try mustFail("the patch") { try Patch.replace(symbol: "getppid", with: { -1 } as @convention(c) () -> pid_t) }
    try mustFail("the list") { _ = try Patch.functions(matching: "getppid") }
    try expect(getppid() > 0, "the function is as it was")
    do {
        try setReadingTimeout(.zero)
        throw Unexpected(description: "no time at all is a time")
    } catch let error as PatchError where error.code == .type {
        try expect(error.message.contains("of 0.0 seconds is out of range"), error.message)
    }

    try setReadingTimeout(options.readingTimeout)
    let patch = try Patch.replace(symbol: "getppid", with: { -1 } as @convention(c) () -> pid_t)
    try expect(getppid() == -1, "the replacement runs")
    try patch.revert()

    // What has been read stays so: the time is for reading only.
    try setReadingTimeout(.milliseconds(1))
    try Patch.replace(symbol: "getppid", with: { -2 } as @convention(c) () -> pid_t).revert()
    try setReadingTimeout(options.readingTimeout)
}
