import CKiosk

public func price(of amount: Int) -> Int { Int(kiosk_price(Int32(amount))) }
