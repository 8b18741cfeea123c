import CPatchCall

// From natural to abstract: registers become values in memory. Where the saved registers have a value's bytes in its own order,
// they are that value.

extension CallProgram {
    /// Where an argument's value is.
    private enum Image {
        case at(Int)
        /// The caller passed a pointer, which lies here.
        case behind(Int)
    }

    mutating func buildReplacement(_ plan: CallPlan) {
        let layout = makeLayout(of: plan, stackIn: plan.naturalStackSize)
        if plan.usesVectorArguments { flags.insert(.vectorsIn) }
        if plan.usesVectorResults { flags.insert(.vectorsResult) }

        var images: [Image] = []
        for argument in plan.arguments { images.append(makeImage(of: argument, layout)) }
        let resultImage = resultImage(of: plan, layout)
        let repacked = resultImage.map { _ in reserve(plan.result.imageSize) } ?? 0
        reserve(forStack: plan.abstractStackSize, of: plan)

        for (argument, image) in zip(plan.arguments, images) {
            let to = layout.outgoing(argument.abstract, scratch: scratch)
            switch image {
            case .at(let offset): prepare.append(.address(of: offset, to: to))
            case .behind(let pointer): prepare.append(.copy(from: pointer, to: to, count: 8))
            }
            finish(argument, image, layout)
        }
        prepareResult(plan, image: resultImage, layout)
        if let resultImage { returnResult(plan, image: resultImage, repacked: repacked, layout) }
    }

    // MARK: Arguments

    private mutating func makeImage(of argument: CallPlan.Argument, _ layout: FrameLayout) -> Image {
        if argument.leaves.count == 1 {
            switch argument.leaves[0].passing {
            case .pointer(let place), .inout(let place): return .behind(layout.incoming(place))
            default: break
            }
        }
        if let offset = inPlace(argument, layout) {
            for (component, _) in argument.directComponents where component.range.kind == .bit {
                let register = layout.incoming(component.place)
                prepare.append(.copyBit(from: register, to: register))
            }
            return .at(offset)
        }
        let image = reserve(argument.type.size)
        for leaf in argument.leaves { prepare(leaf, of: argument, at: image + leaf.offset, layout) }
        return .at(image)
    }

    /// The offset that all components of an argument lie at as they must, for nothing to be moved.
    private func inPlace(_ argument: CallPlan.Argument, _ layout: FrameLayout) -> Int? {
        var start: Int?
        for leaf in argument.leaves {
            switch leaf.passing {
            case .nothing, .direct: break
            default: return nil
            }
        }
        for (component, offset) in argument.directComponents {
            // What is on the caller's stack is not written to.
            if case .stack = component.place, component.range.kind == .bit { return nil }
            let needed = layout.incoming(component.place) - component.range.begin - offset
            guard start == nil || start == needed else { return nil }
            start = needed
        }
        guard let start else { return 0 }
        return start % argument.type.alignment == 0 ? start : nil
    }

    private mutating func prepare(
        _ leaf: CallPlan.Leaf, of argument: CallPlan.Argument, at image: Int, _ layout: FrameLayout
    ) {
        switch leaf.passing {
        case .nothing: break
        case .thinMetatype: prepare.append(.metadata(leaf.type.instanceType, to: image))
        case .direct(let components):
            for component in components {
                let from = layout.incoming(component.place)
                let to = image + component.range.begin
                if component.range.kind == .bit {
                    prepare.append(.copyBit(from: from, to: to))
                } else {
                    let count = min(component.range.end, leaf.type.size) - component.range.begin
                    prepare.append(.copy(from: from, to: to, count: count))
                }
            }
        case .pointer(let place), .inout(let place):
            prepare.append(.load(pointer: layout.incoming(place), offset: 0, to: image, count: leaf.type.size))
        case .opened(let type, let witnesses, isObject: false):
            prepare.append(
                .close(
                    pointer: layout.incoming(.context), type: layout.incoming(type),
                    witnesses: layout.incoming(witnesses), to: image))
        case .opened(_, let witnesses, isObject: true):
            prepare.append(.copy(from: layout.incoming(.context), to: image, count: 8))
            prepare.append(.copy(from: layout.incoming(witnesses), to: image + 8, count: 8))
        case .closure(let code, let context, let isEscaping, let plan):
            prepare.append(.copy(from: layout.incoming(code), to: image, count: 8))
            prepare.append(.copy(from: layout.incoming(context), to: image + 8, count: 8))
            let ownership: ClosureOwnership = !isEscaping ? .borrows : argument.isOwned ? .consumes : .retains
            prepare.append(.convert(at: image, plan, .original, ownership))
            if !argument.isOwned || !isEscaping { cleanup.append(.release(at: image + 8)) }
        }
    }

    /// A closure borrows what the function it stands for owns, and the copy in an existential: then it is for the adapter to
    /// destroy.
    private mutating func finish(_ argument: CallPlan.Argument, _ image: Image, _ layout: FrameLayout) {
        let isCopy = if case .opened(_, _, isObject: false)? = argument.leaves.first?.passing { true } else { false }
        guard isCopy || (argument.isOwned && !argument.isAbstractlyOwned && !argument.type.isTrivial) else { return }
        switch image {
        case .behind(let pointer): cleanup.append(.destroy(argument.type, pointer: pointer))
        case .at(let offset):
            // The pointer that the target was passed is its own to change where it is on the stack.
            let pointer = layout.outgoing(.general(0), scratch: scratch)
            cleanup.append(.address(of: offset, to: pointer))
            cleanup.append(.destroy(argument.type, pointer: pointer))
        }
    }

    // MARK: The result

    /// Where the closure is told to put its result, if not where the caller, or the return registers, want it.
    private mutating func resultImage(of plan: CallPlan, _ layout: FrameLayout) -> Int? {
        resultInPlace(plan, layout) == nil ? reserve(plan.result.type.size) : nil
    }

    private enum Target {
        case at(Int)
        case behind(Int)
    }

    private func resultInPlace(_ plan: CallPlan, _ layout: FrameLayout) -> Target? {
        let result = plan.result
        switch result.form {
        case .indirect(let place):
            let isWhole = result.leaves.allSatisfy { $0.offset == 0 || $0.type.size == 0 }
            return isWhole ? .behind(layout.incoming(place)) : nil
        case .memory(let place):
            return result.isImageOfItself ? .behind(layout.incoming(place)) : nil
        case .registers(let components):
            guard result.isImageOfItself else { return nil }
            var start: Int?
            for component in components {
                let needed = layout.result(component.place) - component.range.begin
                guard start == nil || start == needed else { return nil }
                start = needed
            }
            guard let start else { return .at(layout.resultOffset) }
            return start % result.type.alignment == 0 ? .at(start) : nil
        }
    }

    private mutating func prepareResult(_ plan: CallPlan, image: Int?, _ layout: FrameLayout) {
        let to = layout.outgoing(plan.result.abstract, scratch: scratch)
        if let image { return prepare.append(.address(of: image, to: to)) }
        switch resultInPlace(plan, layout) {
        case .at(let offset): prepare.append(.address(of: offset, to: to))
        case .behind(let pointer): prepare.append(.copy(from: pointer, to: to, count: 8))
        case nil: break
        }
    }

    private mutating func returnResult(_ plan: CallPlan, image: Int, repacked: Int, _ layout: FrameLayout) {
        let result = plan.result
        for leaf in result.leaves {
            let from = image + leaf.offset
            switch leaf.passing {
            case .nothing: continue
            case .whole:
                if case .indirect(let place) = result.form {
                    store(from: from, layout.incoming(place), 0, leaf.type.size)
                }
                continue
            case .pointer(let place):
                store(from: from, layout.incoming(place), 0, leaf.type.size)
                continue
            case .closure(let plan): results.append(.convert(at: from, plan, .replacement, .consumes))
            case .direct: break
            }
            switch result.form {
            case .memory(let place): store(from: from, layout.incoming(place), leaf.imageOffset, leaf.type.size)
            case .registers: results.append(.copy(from: from, to: repacked + leaf.imageOffset, count: leaf.type.size))
            case .indirect: break
            }
        }
        guard case .registers(let components) = result.form else { return }
        for component in components {
            let count = min(component.range.end, result.imageSize) - component.range.begin
            results.append(
                .copy(from: repacked + component.range.begin, to: layout.result(component.place), count: count))
        }
    }

    private mutating func store(from: Int, _ pointer: Int, _ offset: Int, _ count: Int) {
        results.append(.store(from: from, pointer: pointer, offset: offset, count: count))
    }
}

extension CallPlan.Argument {
    /// The components of all leaves, with their leaf's offset.
    var directComponents: [(CallPlan.Component, Int)] {
        leaves.flatMap { leaf -> [(CallPlan.Component, Int)] in
            guard case .direct(let components) = leaf.passing else { return [] }
            return components.map { ($0, leaf.offset) }
        }
    }
}

extension CallPlan.Result {
    /// Whether the image of the direct leaves is the result as it lies in memory.
    var isImageOfItself: Bool {
        leaves.allSatisfy { leaf in
            switch leaf.passing {
            case .nothing: true
            case .direct: leaf.offset == leaf.imageOffset
            case .pointer, .whole, .closure: false
            }
        }
    }
}
