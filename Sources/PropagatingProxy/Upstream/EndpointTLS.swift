// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2
import SpanEmitter
import TLS

/// What becomes of an endpoint's connections when the handshake of TLS has ended. With `protocol: auto` ALPN chooses
/// for each connection, and the endpoint is taken to speak what it chose last (RFC 7301).
extension EndpointPool {
    /// TLS for a new connection, if the endpoint is spoken to so.
    func link() -> Result<TLSLink?, ProxyError> {
        guard let tls else { return .success(nil) }
        guard let link = tls.link(buffers: supplies.buffers) else { return .failure(.tlsFailed(.outOfMemory)) }
        return .success(link)
    }

    /// The handshake has ended well.
    func noteSecured(_ session: TLSSession) {
        supplies.metrics?.upstreamSecured(upstream, isResumed: session.isResumed)
    }

    /// It has not, or took too long.
    func noteNotSecured(_ failure: TLSFailure) { supplies.metrics?.upstreamNotSecured(upstream, failure) }

    // MARK: A connection made for HTTP/1.1

    /// It stands; if ALPN chose HTTP/2, its exchange goes on with a stream of it.
    func secured(_ connection: UpstreamConnection, _ link: TLSLink) {
        noteSecured(link.session)
        guard settings.httpVersion == .auto else { return connection.connected(errno: 0) }
        let speaksHTTP2 = link.session.selectedProtocol == .http2
        learn(speaksHTTP2: speaksHTTP2)
        guard speaksHTTP2 else { return connection.connected(errno: 0) }
        guard let exchange = connection.exchange, let descriptor = connection.handOver() else { return }
        if let stream = openStream(over: descriptor, link) {
            exchange.upstreamContinues(on: stream.object)
        } else {
            exchange.connectFailed(.outOfBuffers)
        }
        closeSocket(connection)
    }

    private func openStream(over descriptor: consuming Descriptor, _ link: TLSLink) -> Lent<UpstreamConnection>? {
        guard case .success(let session) = addSession(descriptor, link, state: .open), let stream = session.openStream()
        else { return nil }
        streamTaken()
        return stream
    }

    // MARK: A connection made for HTTP/2

    /// It stands, and does not speak HTTP/2: it serves one exchange at a time. Who waits for a stream asks anew.
    func continueAsHTTP1(_ session: HTTP2Upstream, _ link: TLSLink, waiting: [UpstreamConnection]) {
        learn(speaksHTTP2: false)
        var exchanges: [Exchange] = []
        for stream in waiting {
            guard let exchange = stream.exchange else { continue }  // has left
            exchanges.append(exchange)
            endStream(stream, of: session)
        }
        if let descriptor = session.handOverConnection() {
            keepIdle(open(descriptor, link, isConnecting: false))
        }
        for exchange in exchanges { exchange.upstreamMustBeAnother() }
    }
}
