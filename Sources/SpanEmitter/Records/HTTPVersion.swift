// SPDX-License-Identifier: Apache-2.0

/// The protocol one side of an exchange spoke.
public enum HTTPVersion: UInt8, BitwiseCopyable, CaseIterable, Sendable {
    case http10, http11, http2

    /// `network.protocol.version`.
    var text: String {
        switch self {
        case .http10: "1.0"
        case .http11: "1.1"
        case .http2: "2"
        }
    }
}
