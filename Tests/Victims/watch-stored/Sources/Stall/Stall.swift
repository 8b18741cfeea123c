import Glibc
import StallCore

/// Answers each line with a line that begins with `=`.
@main
struct Stall {
    static func main() async {
        alarm(300)  // whatever happens to the test
        let (till, clerk, shelf, price) = (Till(), Clerk(), Shelf<Int>(), Price())
        var second: Till? = Till()
        let (desk, big) = (Desk(), BigDesk())
        while let line = readLine() {
            let answer =
                switch line {
                case "take": till.take()
                case "second": second?.take() ?? "gone"
                case "summary": till.summary
                case "close": close(&second)
                case "labels": labels
                case "serve": await clerk.serve()
                case "shelf": shelf.count
                case "price": price.text
                case "board": board(till)
                case "visit": desk.visit()
                case "big": big.visit()
                case "desks": desks(desk, big)
                default: "what?"
                }
            print("= \(answer)")
            fflush(nil)
        }
    }

    private static func close(_ till: inout Till?) -> String {
        till = nil
        return "closed"
    }
}
