import CPatchCall

extension CallProgram.Flags {
    static let toNatural = Self(rawValue: UInt32(HP_CALL_TO_NATURAL))
    static let vectorsIn = Self(rawValue: UInt32(HP_CALL_VECTORS_IN))
    static let vectorsOut = Self(rawValue: UInt32(HP_CALL_VECTORS_OUT))
    static let vectorsResult = Self(rawValue: UInt32(HP_CALL_VECTORS_RESULT))
    static let finishes = Self(rawValue: UInt32(HP_CALL_FINISHES))
    static let asyncStack = Self(rawValue: UInt32(HP_CALL_ASYNC_STACK))
}

/// A program as C runs it. It is never freed, for code that runs may be using it.
struct EncodedProgram: @unchecked Sendable {
    let pointer: UnsafePointer<hp_call_program>

    init(_ plan: CallPlan, _ direction: CallProgram.Direction) {
        let program = CallProgram(plan, direction)
        let success = program.success
        var flags = program.flags
        if !success.isEmpty { flags.insert(.finishes) }
        let afterwards = Self.list(success)
        let encoded = UnsafeMutablePointer<hp_call_program>.allocate(capacity: 1)
        encoded.initialize(
            to: hp_call_program(
                prepare: Self.list(program.prepare), success: afterwards,
                failure: plan.isThrowing ? Self.list(program.failure) : afterwards,
                scratch: UInt32(program.scratch), flags: flags.rawValue, is_async: plan.isAsync ? 1 : 0,
                stack_in: UInt32(program.stackIn), stack_out: UInt32(program.stackOut),
                stack_pop: Int32(
                    plan.architecture.popped(program.stackIn) - plan.architecture.popped(program.stackOut))))
        pointer = UnsafePointer(encoded)
    }

    private static func list(_ moves: [CallProgram.Move]) -> UnsafePointer<hp_call_step> {
        let steps = UnsafeMutableBufferPointer<hp_call_step>.allocate(capacity: moves.count + 1)
        _ = steps.initialize(from: moves.map(step) + [step(HP_CALL_END)])
        return UnsafePointer(steps.baseAddress!)
    }

    private static func step(_ move: CallProgram.Move) -> hp_call_step {
        switch move {
        case .copy(let from, let to, let count):
            let op =
                switch count {
                case 1: HP_CALL_COPY_1
                case 2: HP_CALL_COPY_2
                case 4: HP_CALL_COPY_4
                case 8: HP_CALL_COPY_8
                case 16: HP_CALL_COPY_16
                default: HP_CALL_COPY
                }
            return step(op, from: from, to: to, count: count)
        case .copyBit(let from, let to):
            return step(HP_CALL_COPY_BIT, from: from, to: to)
        case .loadRegister(let pointer, let offset, let to, let count):
            let op =
                switch count {
                case 1: HP_CALL_LOAD_1
                case 2: HP_CALL_LOAD_2
                case 4: HP_CALL_LOAD_4
                case 8: HP_CALL_LOAD_8
                case 16: HP_CALL_LOAD_16
                default: HP_CALL_LOAD_PART
                }
            return step(op, from: pointer, to: to, offset: offset, count: count)
        case .load(let pointer, let offset, let to, let count):
            return step(HP_CALL_LOAD, from: pointer, to: to, offset: offset, count: count)
        case .store(let from, let pointer, let offset, let count):
            let op =
                switch count {
                case 1: HP_CALL_STORE_1
                case 2: HP_CALL_STORE_2
                case 4: HP_CALL_STORE_4
                case 8: HP_CALL_STORE_8
                case 16: HP_CALL_STORE_16
                default: HP_CALL_STORE
                }
            return step(op, from: from, to: pointer, offset: offset, count: count)
        case .storeBit(let from, let pointer, let offset):
            return step(HP_CALL_STORE_BIT, from: from, to: pointer, offset: offset)
        case .address(let of, let to):
            return step(HP_CALL_ADDRESS, from: of, to: to)
        case .advance(let pointer, let offset, let to):
            return offset == 0
                ? step(HP_CALL_COPY_8, from: pointer, to: to)
                : step(HP_CALL_ADVANCE, from: pointer, to: to, offset: offset)
        case .metadata(let type, let to):
            return step(HP_CALL_WORD, to: to, datum: type.address)
        case .copyValue(let type, let pointer, let to):
            return step(HP_CALL_COPY_VALUE, from: pointer, to: to, datum: type.address)
        case .destroy(let type, let pointer):
            return step(HP_CALL_DESTROY, from: pointer, datum: type.address)
        case .close(let pointer, let type, let witnesses, let to):
            return step(HP_CALL_CLOSE, from: pointer, to: to, offset: type, count: witnesses)
        case .open(let pointer, let type, let witnesses, let to):
            return step(HP_CALL_OPEN, from: pointer, to: to, offset: type, count: witnesses)
        case .objectType(let pointer, let to):
            return step(HP_CALL_OBJECT_TYPE, from: pointer, to: to)
        case .convert(let at, let plan, let direction, let ownership):
            let program = EncodedProgram(plan, direction)
            return step(HP_CALL_CLOSURE, to: at, count: Int(ownership.rawValue), datum: program.pointer)
        case .observe(let event):
            return step(HP_CALL_OBSERVE, count: Int(event.rawValue), datum: Observation.function)
        case .release(let at):
            return step(HP_CALL_RELEASE, from: at)
        }
    }

    private static func step(
        _ op: hp_call_op, from: Int = 0, to: Int = 0, offset: Int = 0, count: Int = 0, datum: UnsafeRawPointer? = nil
    ) -> hp_call_step {
        hp_call_step(
            run: hp_call_move(op), from: Int32(from), to: Int32(to), offset: Int32(offset), count: Int32(count),
            datum: datum)
    }
}
