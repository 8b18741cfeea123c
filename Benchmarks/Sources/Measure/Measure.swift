import Foundation
import Workload

/// Measures what needs rounds interleaved in one process, memory, and the command; prints one table of that and of what the
/// harness measured. Never judges by exit code: machines differ.
@main
struct Measure {
    static func main() throws {
        var arguments = CommandLine.arguments.dropFirst()
        if arguments.first == "install" { return try Install.printSample() }
        if arguments.first == "footprint" { return try Footprint.printSample() }
        if arguments.first == "rounds" { return try Rounds.printSample(Array(arguments.dropFirst())) }
        if arguments.first == "hold" { return try Hold.printSample(Array(arguments.dropFirst())) }
        if arguments.first == "calls" {
            var table = Table()
            try Calls.measure(&table)
            return table.print()
        }
        if arguments.first == "closures" {
            var table = Table()
            try Closures.measure(&table)
            return table.print()
        }
        var options: [String: String] = [:]
        while let name = arguments.popFirst() { options[name] = arguments.popFirst() }

        var table = Table()
        try Calls.measure(&table)
        try Closures.measure(&table)
        try Install.measure(&table)
        try Rounds.measure(&table)
        try Footprint.measure(&table)
        try Hold.measure(&table)
        try Names.measure(&table, harness: options["--harness"])
        if let command = options["--command"], let targets = options["--targets"] {
            try Apply.measure(&table, command: command, targets: targets, python: options["--python"])
            try Hold.measure(&table, command: command, targets: targets)
        }
        table.print()
    }
}
