// SPDX-License-Identifier: Apache-2.0
import SpanEmitter
import TLS

/// How far a connection to an upstream has come.
enum ConnectState: BitwiseCopyable {
    /// The kernel connects.
    case connecting
    /// The connect has ended well, the handshake of TLS has not ended.
    case shaking
    case open

    /// What a timeout means now; `nil` once the connection stands.
    var timeout: ProxyError? {
        switch self {
        case .connecting: .connectTimedOut
        case .shaking: .tlsFailed(.timedOut)
        case .open: nil
        }
    }
}

extension SpanSecurity {
    /// Of a connection with or without TLS.
    init(_ link: TLSLink?) {
        guard let session = link?.session else {
            self = .plain
            return
        }
        guard session.isEstablished else {
            self = .unfinished
            return
        }
        self =
            switch session.version {
            case .tls12: session.isResumed ? .tls12Resumed : .tls12
            case .tls13: session.isResumed ? .tls13Resumed : .tls13
            }
    }
}

extension TLSFailure {
    /// Whether the peer has told of it by an alert.
    var isAlert: Bool {
        switch self {
        case .alertCertificateExpired, .alertUnknownCA, .alertCertificateRequired, .alertBadCertificate,
            .alertHandshakeFailure, .alertProtocolVersion, .alertNoALPN, .alertUnrecognizedName, .alertOther:
            true
        default: false
        }
    }
}
