// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The variables this process was started with.
enum Environment {
    static var values: [String: String] {
        var values: [String: String] = [:]
        unsafe forEach { name, value in values[name] = unsafe String(cString: value) }
        return values
    }

    /// Overwrites the values of these variables where the kernel put them, so that `/proc/PID/environ` has them no longer.
    static func erase(_ names: Set<String>) {
        unsafe forEach { name, value in
            guard names.contains(name) else { return }
            for index in unsafe 0..<strlen(value) { unsafe value[index] = CChar(bitPattern: UInt8(ascii: "*")) }
        }
        for name in names { unsafe unsetenv(name) }
    }

    private static func forEach(_ body: (_ name: String, _ value: UnsafeMutablePointer<CChar>) -> Void) {
        var entry = unsafe environ
        while let text = unsafe entry.pointee {
            if let equals = unsafe strchr(text, CInt(UInt8(ascii: "="))) {
                let name = unsafe UnsafeBufferPointer(start: text, count: equals - text)
                unsafe body(String(decoding: name.map { UInt8(bitPattern: $0) }, as: UTF8.self), equals + 1)
            }
            unsafe entry += 1
        }
    }
}
