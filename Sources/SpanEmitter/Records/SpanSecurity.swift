// SPDX-License-Identifier: Apache-2.0

/// Whether and how the connection of a span's peer was secured.
public enum SpanSecurity: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    case plain, tls12, tls12Resumed, tls13, tls13Resumed
    /// By TLS, whose handshake has not come to a good end.
    case unfinished

    /// Of OpenTelemetry's `tls.protocol.version`.
    var versionText: String {
        switch self {
        case .plain, .unfinished: ""
        case .tls12, .tls12Resumed: "1.2"
        case .tls13, .tls13Resumed: "1.3"
        }
    }

    /// The handshake went on from an earlier connection's.
    var isResumed: Bool { self == .tls12Resumed || self == .tls13Resumed }
}
