import Memory
import Symbols

public struct Engine: Sendable {
    public var tank: Tank
    public init(tank: Tank) { self.tank = tank }

    @inline(never) public func warning(at litres: Int) -> Symbol? { tank.content < litres ? .oil : nil }
}
