import Glibc

#if canImport(Testing)
    import Testing
#endif

/// Where a test asked for a mock or a patch.
struct CallSite: Sendable {
    let fileID: StaticString
    let filePath: StaticString
    let line: UInt
    let column: UInt

    /// Fails the test that runs, of Swift Testing or XCTest, and goes on. Where Swift Testing knows of none, a line on the standard error
    /// says so too: without either, nobody else would.
    func record(_ text: String) {
        #if canImport(Testing)
            Issue.record(
                "\(text)",
                sourceLocation: SourceLocation(
                    fileID: "\(fileID)", filePath: "\(filePath)", line: Int(line), column: Int(column)))
            if Test.current != nil { return }
        #endif
        XCTest.fail?({ text }, filePath, line)
        let line = "\(filePath):\(line): \(text)\n"
        _ = line.utf8.withContiguousStorageIfAvailable { write(2, $0.baseAddress, $0.count) }
    }
}

/// XCTest, where the process has it: to import it would bring Foundation along.
private enum XCTest {
    typealias Fail = (() -> String, StaticString, UInt) -> Void

    /// `XCTFail(_:file:line:)`, which does nothing outside of a test case.
    nonisolated(unsafe) static let fail: Fail? = {
        // RTLD_DEFAULT is a null pointer that the importer does not show.
        guard let code = dlsym(nil, "$s6XCTest7XCTFail_4file4lineySSyXK_s12StaticStringVSutF") else { return nil }
        // A function value is its code and its context: of a global function there is none.
        let value: (UnsafeMutableRawPointer, UnsafeRawPointer?) = (code, nil)
        return unsafeBitCast(value, to: Fail.self)
    }()
}
