// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The C library's text for an `errno` value, such as `Connection refused`.
public func errorText(_ number: CInt) -> String {
    guard let text = unsafe strerror(number) else { return "error \(number)" }
    return unsafe String(cString: text)
}
