// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Why a test's socket gave up.
public enum SocketError: Error, CustomStringConvertible, Equatable {
    case failed(call: String, code: Int32)
    case timeout(String)
    /// The other side closed before all that was asked for had come.
    case closed(String)
    case malformed(String)

    public var description: String {
        switch self {
        case .failed(let call, let code): unsafe "\(call): \(String(cString: strerror(code)))"
        case .timeout(let what): "timeout: \(what)"
        case .closed(let what): "closed: \(what)"
        case .malformed(let what): "malformed: \(what)"
        }
    }

    static func last(_ call: String) -> SocketError { .failed(call: call, code: errno) }
}
