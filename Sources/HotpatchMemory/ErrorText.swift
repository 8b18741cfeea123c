import Glibc

/// The text of an errno: "No such file or directory".
package func errorText(_ code: Int32) -> String { String(cString: strerror(code)) }
