import Glibc
import HotpatchMemory

/// The text of an errno, with its number.
package func systemError(_ code: Int32) -> String {
    code == 0 ? "no reason given" : "\(errorText(code)) (errno \(code))"
}
