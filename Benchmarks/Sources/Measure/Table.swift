import Foundation
import Workload

/// The table: a row for each figure.
struct Table {
    struct Row {
        var what: String
        /// Size of the target, and what is in the caches.
        var state: String
        var value: String
        var spread: String
        var ratio = ""
        var goal = ""
        var verdict = ""
    }

    private(set) var rows: [Row] = []

    /// A duration or size.
    /// - Parameter goal: an upper limit, in `unit`.
    mutating func add(_ what: String, _ state: String, _ sample: Sample, unit: String, goal: Double? = nil) {
        var row = Row(
            what: what, state: state, value: "\(Self.text(sample.median)) \(unit)", spread: Self.spread(sample))
        if let goal { (row.goal, row.verdict) = Self.judge(sample.median, goal, unit: " \(unit)") }
        rows.append(row)
    }

    /// A duration that is compared with another one of the same rounds.
    mutating func add(
        _ what: String, _ state: String, _ sample: Sample, over reference: Sample, unit: String, goal: Double? = nil
    ) {
        let ratio = sample / reference
        var row = Row(
            what: what, state: state, value: "\(Self.text(sample.median)) \(unit)", spread: Self.spread(sample),
            ratio: "\(Self.text(ratio.median)) (\(Self.spread(ratio)))")
        if let goal { (row.goal, row.verdict) = Self.judge(ratio.median, goal, unit: "") }
        rows.append(row)
    }

    /// A duration, and what it is more than another one of the same rounds.
    mutating func add(
        _ what: String, _ state: String, _ sample: Sample, minus reference: Sample, unit: String, goal: Double? = nil
    ) {
        let difference = sample - reference
        let sign = difference.median < 0 ? "" : "+"
        var row = Row(
            what: what, state: state, value: "\(Self.text(sample.median)) \(unit)", spread: Self.spread(sample),
            ratio: "\(sign)\(Self.text(difference.median)) \(unit) (\(Self.spread(difference)))")
        if let goal { (row.goal, row.verdict) = Self.judge(difference.median, goal, unit: " \(unit)") }
        rows.append(row)
    }

    mutating func note(_ what: String, _ state: String) {
        rows.append(Row(what: what, state: state, value: "", spread: ""))
    }

    private static func judge(_ value: Double, _ goal: Double, unit: String) -> (String, String) {
        let limit = "≤ \(text(goal))\(unit)"
        if value.isNaN { return (limit, "not measured") }
        if value <= goal { return (limit, "met") }
        return (limit, "missed by \(text(value - goal))\(unit) (\(Int(((value / goal - 1) * 100).rounded())) %)")
    }

    /// 10th to 90th percentile.
    private static func spread(_ sample: Sample) -> String {
        sample.values.count < 2 ? "" : "\(text(sample.percentile(10)))–\(text(sample.percentile(90)))"
    }

    static func text(_ value: Double) -> String {
        if value.isNaN { return "–" }
        let digits = abs(value) >= 100 ? 0 : abs(value) >= 10 ? 1 : 2
        return String(format: "%.\(digits)f", value)
    }

    func print() {
        let heads = ["what", "target, state", "median", "p10–p90", "ratio, or more (p10–p90)", "goal", "result"]
        let lines = rows.map { [$0.what, $0.state, $0.value, $0.spread, $0.ratio, $0.goal, $0.verdict] }
        let widths = heads.indices.map { column in ([heads] + lines).map { $0[column].count }.max() ?? 0 }
        func line(_ cells: [String]) -> String {
            "| " + zip(cells, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(separator: " | ")
                + " |"
        }
        Swift.print(line(heads))
        Swift.print("|" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "|") + "|")
        for cells in lines { Swift.print(line(cells)) }
    }
}
