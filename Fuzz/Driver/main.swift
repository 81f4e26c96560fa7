// SPDX-License-Identifier: Apache-2.0
import CLibFuzzer
import FuzzTargets
import Glibc

// FUZZ_TARGET names the target; all arguments are libFuzzer's. A variable and not an argument, because libFuzzer starts
// itself again with the same arguments to merge corpora.

/// Called by libFuzzer alone, on one thread.
nonisolated(unsafe) private let target: any FuzzTarget = makeTarget()

private func makeTarget() -> any FuzzTarget {
    let name = unsafe getenv("FUZZ_TARGET").map { unsafe String(cString: $0) } ?? ""
    // A target lives as long as the process, and LeakSanitizer does not see references that carry an enum's case.
    __lsan_disable()
    defer { __lsan_enable() }
    do {
        if let target = try FuzzTargets.make(name) { return target }
        print("FUZZ_TARGET is '\(name)', expected one of \(FuzzTargets.names.joined(separator: ", "))")
    } catch {
        print("the target \(name) cannot be set up: \(error)")
    }
    exit(2)
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    do throws(BrokenLaw) {
        try unsafe target.check(Array(UnsafeBufferPointer(start: bytes, count: count)))
    } catch {
        // A trap is what libFuzzer calls a crash: it keeps the input.
        fatalError("broken law: \(error.law)")
    }
    return 0
}

var count = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
exit(unsafe LLVMFuzzerRunDriver(&count, &arguments, testOneInput))
