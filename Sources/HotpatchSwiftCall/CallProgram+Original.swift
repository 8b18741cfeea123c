import CPatchCall

// From abstract to natural: values in memory become registers.

extension CallProgram {
    mutating func buildOriginal(_ plan: CallPlan) {
        let layout = makeLayout(of: plan, stackIn: plan.abstractStackSize)
        flags.insert(.toNatural)
        if plan.usesVectorArguments { flags.insert(.vectorsOut) }
        if plan.usesVectorResults { flags.insert(.vectorsResult) }

        // What is reserved, first: the arguments on the stack lie below it.
        let copies = plan.arguments.map { argument in
            argument.isOwned && !argument.isAbstractlyOwned && !argument.type.isTrivial
                ? (value: reserve(argument.type.size), pointer: reserve(8)) : nil
        }
        let closures = plan.arguments.map { argument in
            argument.leaves.map { leaf in
                if case .closure = leaf.passing { reserve(16) } else { 0 }
            }
        }
        let isRepacked = !plan.result.isAtItsOffsets
        let image = isRepacked ? reserve(plan.result.imageSize) : 0
        reserve(forStack: plan.naturalStackSize, of: plan)

        for (index, argument) in plan.arguments.enumerated() {
            var pointer = layout.incoming(argument.abstract)
            if let copy = copies[index] {
                prepare.append(.copyValue(argument.type, pointer: pointer, to: copy.value))
                prepare.append(.address(of: copy.value, to: copy.pointer))
                pointer = copy.pointer
            }
            for (leaf, closure) in zip(argument.leaves, closures[index]) {
                prepare(leaf, of: argument, pointer: pointer, closure: closure, layout)
            }
        }
        prepareResult(plan.result, image: isRepacked ? image : nil, layout)
        returnResult(plan.result, image: isRepacked ? image : nil, layout)
    }

    // MARK: Arguments

    private mutating func prepare(
        _ leaf: CallPlan.Leaf, of argument: CallPlan.Argument, pointer: Int, closure: Int, _ layout: FrameLayout
    ) {
        func outgoing(_ place: Place) -> Int { layout.outgoing(place, scratch: scratch) }
        switch leaf.passing {
        case .nothing, .thinMetatype: break
        case .direct(let components):
            for component in components {
                let begin = component.range.begin
                prepare.append(
                    .loadRegister(
                        pointer: pointer, offset: leaf.offset + begin, to: outgoing(component.place),
                        count: min(component.range.end, leaf.type.size) - begin))
            }
        case .pointer(let place), .inout(let place):
            prepare.append(.advance(pointer: pointer, by: leaf.offset, to: outgoing(place)))
        case .opened(let type, let witnesses, isObject: false):
            prepare.append(
                .open(pointer: pointer, type: outgoing(type), witnesses: outgoing(witnesses), to: outgoing(.context)))
        case .opened(let type, let witnesses, isObject: true):
            prepare.append(.loadRegister(pointer: pointer, offset: 0, to: outgoing(.context), count: 8))
            prepare.append(.loadRegister(pointer: pointer, offset: 8, to: outgoing(witnesses), count: 8))
            prepare.append(.objectType(pointer: pointer, to: outgoing(type)))
        case .closure(let code, let context, let isEscaping, let plan):
            prepare.append(.load(pointer: pointer, offset: leaf.offset, to: closure, count: 16))
            let ownership: ClosureOwnership = !isEscaping ? .borrows : argument.isOwned ? .consumes : .retains
            prepare.append(.convert(at: closure, plan, .replacement, ownership))
            prepare.append(.copy(from: closure, to: outgoing(code), count: 8))
            prepare.append(.copy(from: closure + 8, to: outgoing(context), count: 8))
            if !argument.isOwned || !isEscaping { cleanup.append(.release(at: closure + 8)) }
        }
    }

    // MARK: The result

    private mutating func prepareResult(_ result: CallPlan.Result, image: Int?, _ layout: FrameLayout) {
        func outgoing(_ place: Place) -> Int { layout.outgoing(place, scratch: scratch) }
        let pointer = layout.incoming(result.abstract)
        switch result.form {
        case .registers: break
        case .memory(let place):
            if let image {
                prepare.append(.address(of: image, to: outgoing(place)))
            } else {
                prepare.append(.advance(pointer: pointer, by: 0, to: outgoing(place)))
            }
        case .indirect(let place):
            let leaf = result.leaves.first { if case .whole = $0.passing { true } else { false } }
            prepare.append(.advance(pointer: pointer, by: leaf?.offset ?? 0, to: outgoing(place)))
        }
        for leaf in result.leaves {
            guard case .pointer(let place) = leaf.passing else { continue }
            prepare.append(.advance(pointer: pointer, by: leaf.offset, to: outgoing(place)))
        }
    }

    private mutating func returnResult(_ result: CallPlan.Result, image: Int?, _ layout: FrameLayout) {
        let pointer = layout.incoming(result.abstract)
        if case .registers(let components) = result.form {
            for component in components {
                let from = layout.result(component.place)
                let begin = component.range.begin
                let count = min(component.range.end, result.imageSize) - begin
                switch (image, component.range.kind) {
                case (let image?, .bit): results.append(.copyBit(from: from, to: image + begin))
                case (let image?, _): results.append(.copy(from: from, to: image + begin, count: count))
                case (nil, .bit): results.append(.storeBit(from: from, pointer: pointer, offset: begin))
                case (nil, _): results.append(.store(from: from, pointer: pointer, offset: begin, count: count))
                }
            }
        }
        guard let image else { return }
        for leaf in result.leaves {
            let from = image + leaf.imageOffset
            switch leaf.passing {
            case .nothing, .whole, .pointer: continue
            case .direct: break
            case .closure(let plan): results.append(.convert(at: from, plan, .original, .consumes))
            }
            results.append(.store(from: from, pointer: pointer, offset: leaf.offset, count: leaf.type.size))
        }
    }
}

extension CallPlan.Result {
    /// Whether all that is returned directly can go to the result as it comes. Where something in between is not returned
    /// directly, a register may hold padding that is not padding in the result.
    fileprivate var isAtItsOffsets: Bool {
        if case .indirect = form { return true }
        return isImageOfItself
    }
}
