// SPDX-License-Identifier: Apache-2.0
import Propagation

extension Configuration {
    /// One socket that downstream peers connect to, and what becomes of their requests.
    struct Listener: Sendable {
        var name: String
        var address: ListenAddress
        var direction: Direction
        var httpVersion: ListenerProtocol
        var trust: Trust
        /// Those `trust` is for; `nil`: everybody.
        var trustedPeers: TrustedPeers?
        /// Of outsiders, a second and process: those whose wish to be recorded is granted. Divide by the workers.
        var outsiderSampledPerSecond: Int
        /// In file order; not empty.
        var routes: [Route]
        var timeouts: ClientTimeouts
        var addsVia: Bool
        var forwarded: ForwardedPolicy
        /// Connections of this listener, all workers together; 0 is unlimited.
        var maximumConnections: Int
        /// After so many a connection ends in order; 0 is unlimited.
        var maximumRequestsPerConnection: Int
        /// `nil`: plain text.
        var tls: ListenerTLS?
        var callerCertificateField: CallerCertificateField
    }

    enum Direction: String, CaseIterable, Sendable {
        /// Peers call the application beside us.
        case inbound
        /// The application beside us calls others.
        case outbound
    }

    /// What a listener's connections may speak.
    enum ListenerProtocol: String, CaseIterable, BitwiseCopyable, Sendable {
        /// HTTP/2 if a connection begins with its preface, else HTTP/1.1.
        case auto
        case http1
        /// With prior knowledge (RFC 9113 §3.3).
        case http2
    }

    /// How long a listener waits for its downstream peers.
    struct ClientTimeouts: BitwiseCopyable, Equatable, Sendable {
        var requestHeadMilliseconds = 10_000
        var requestBodyIdleMilliseconds = 30_000
        var keepAliveMilliseconds = 60_000
        /// Bytes a second of a body, on average over the time it is waited for; 0 asks for none.
        var requestBodyRate = 500
        /// From accepting a connection to the end of its handshake.
        var tlsHandshakeMilliseconds = 5000
    }

    /// What becomes of X-Forwarded-For, -Proto and -Host.
    enum ForwardedPolicy: String, CaseIterable, BitwiseCopyable, Sendable {
        /// The peer is added to what came; proto and host are set where absent.
        case append
        /// What came is replaced.
        case overwrite
        /// What came passes untouched.
        case off
    }
}
