public final class BigDesk: Desk {
    public override func visit() -> String { super.visit() + " here" }
}
