import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// The answers of Tests/Victims/commands/shop.c, line by line as it counts them.
struct Shop {
    let victim: Victim
    private var orders = 0

    init(threads: Int = 2, _ options: String..., built: [String] = []) throws {
        victim = try Victim(try Workshop.program("shop.c", built), "\(threads)", options.first ?? "")
    }

    var id: String { victim.id }

    /// What it answers where all is as it was compiled, but for what is named here. The count of orders is its state.
    mutating func expect(
        price: Int = 70, tax: Int = 7, discount: Int = 5, margin: Int = 17, rebate: Int = 60, countdown: Int = 13,
        noted: String = "nothing", sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        orders += 1
        let answer = try victim.ask()
        #expect(
            answer
                == "price \(price) tax \(tax) discount \(discount) margin \(margin) rebate \(rebate) countdown \(countdown) "
                + "noted \(noted) orders \(orders)", sourceLocation: sourceLocation)
    }
}

/// Runs a command that must be refused: exit code 2, the reason on the standard error, as JSON where asked, and nothing done.
/// - Parameters:
///   - reasons: what the message must contain.
///   - maps: what must be the same before and after; nil for a process without any.
@discardableResult
func expectRefused(
    _ arguments: [String], _ reasons: String..., asUser user: Int? = nil, maps: (() throws -> String)?,
    sourceLocation: SourceLocation = #_sourceLocation
) throws -> RunResult {
    let before = try maps?()
    let result = try hotpatch(arguments, asUser: user)
    expect(result.status, equals: 2, "\(result)", sourceLocation: sourceLocation)
    expect(result.output, equals: "", sourceLocation: sourceLocation)
    #expect(result.errors.hasPrefix("error: "), "\(result)", sourceLocation: sourceLocation)
    let lines = result.errors.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(
        lines.last == "" && !lines.dropLast().contains("") && !lines.dropFirst().contains { $0.hasPrefix("error") },
        "one error, of a line and what it lists", sourceLocation: sourceLocation)
    for reason in reasons {
        #expect(result.errors.contains(reason), "\(result)", sourceLocation: sourceLocation)
    }
    let json = try hotpatch(arguments + ["--json"], asUser: user)
    expect(json.status, equals: 2, sourceLocation: sourceLocation)
    #expect(
        json.json["schema"] == .number(1) && json.json["exit_code"] == .number(2), "\(json)",
        sourceLocation: sourceLocation)
    for reason in reasons {
        expect(json.json["error"].string?.contains(reason), equals: true, "\(json)", sourceLocation: sourceLocation)
    }
    try expect(maps?(), equals: before, "nothing is mapped", sourceLocation: sourceLocation)
    return result
}

/// Runs a command that must succeed.
@discardableResult
func expectDone(
    _ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation
) throws -> RunResult {
    let result = try hotpatch(arguments)
    expect(result.status, equals: 0, "\(arguments): \(result)", sourceLocation: sourceLocation)
    expect(result.errors, equals: "", sourceLocation: sourceLocation)
    if arguments.contains("--json") {
        expect(result.json["schema"], equals: .number(1), "\(result)", sourceLocation: sourceLocation)
    }
    return result
}
