extension CallPlan: CustomStringConvertible {
    /// A line for each parameter and one for the result, with the registers that the function's symbol uses:
    ///
    ///     0 String: rdi i64, rsi i64@8
    ///     1 Bool, owned: rdx i1
    ///     result Int: rax i64, throws
    public var description: String {
        var lines = arguments.enumerated().map { index, argument in
            let parts = argument.leaves.map { text($0.passing, at: $0.offset) }
            return "\(index) \(argument.type)\(argument.isOwned ? ", owned" : ""): \(joined(parts))"
        }
        var last = "result \(result.type): \(resultText)"
        if isThrowing { last += ", throws" }
        if isAsync { last += ", async" }
        lines.append(last)
        return lines.joined(separator: "\n")
    }

    private var resultText: String {
        let pointers = result.leaves.compactMap { leaf -> String? in
            guard case .pointer(let place) = leaf.passing else { return nil }
            return "\(name(place)) pointer to @\(leaf.offset)"
        }
        switch result.form {
        case .registers(let components): return joined(components.map { resultText($0) } + pointers)
        case .memory(let place): return joined(["\(name(place)) pointer"] + pointers)
        case .indirect(let place): return "\(name(place)) pointer"
        }
    }

    private func joined(_ parts: [String]) -> String {
        parts.isEmpty ? "nothing" : parts.joined(separator: ", ")
    }

    private func text(_ passing: Passing, at offset: Int) -> String {
        let suffix = offset == 0 ? "" : "@\(offset)"
        switch passing {
        case .nothing, .thinMetatype: return "nothing"
        case .direct(let components):
            return joined(components.map { "\(name($0.place)) \(text($0.range, at: offset))" })
        case .pointer(let place): return "\(name(place)) pointer\(suffix)"
        case .inout(let place): return "\(name(place)) inout"
        case .opened(let type, let witnesses, let isObject):
            return "\(architecture.context) \(isObject ? "object" : "pointer"), \(name(type)) type, "
                + "\(name(witnesses)) witnesses"
        case .closure(let code, let context, let isEscaping, _):
            return "\(name(code)) \(name(context)) \(isEscaping ? "closure" : "borrowed closure")\(suffix)"
        }
    }

    private func resultText(_ component: Component) -> String {
        let text = text(component.range, at: 0)
        guard case .general(let index) = component.place, !isAsync else { return "\(name(component.place)) \(text)" }
        return "\(architecture.resultGenerals[index]) \(text)"
    }

    private func text(_ range: Lowering.Range, at offset: Int) -> String {
        let begin = range.begin + offset
        let suffix = begin == 0 ? "" : "@\(begin)"
        switch range.kind {
        case .opaque, .integer: return "i\(8 * range.count)\(suffix)"
        case .bit: return "i1\(suffix)"
        case .float: return "f\(8 * range.count)\(suffix)"
        case .vector, .shortVector: return "v\(8 * range.count)\(suffix)"
        }
    }

    private func name(_ place: Place) -> String {
        switch place {
        case .general(let index): architecture.generals[index]
        case .vector(let index): "\(architecture.vector)\(index)"
        case .stack(let offset): "[\(offset)]"
        case .context: architecture.context
        case .indirectResult: architecture.indirectResult
        }
    }
}
