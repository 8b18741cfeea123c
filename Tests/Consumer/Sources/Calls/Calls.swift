@inline(never) public func horn(_ times: Int) -> String { String(repeating: "beep ", count: times) }
