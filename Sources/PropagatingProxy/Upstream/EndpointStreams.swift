// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2
import TLS

/// An endpoint that speaks HTTP/2: many exchanges on few connections.
extension EndpointPool {
    /// A stream of a connection that has room for one, else of a new connection.
    func takeStream() -> Upstream.Acquisition {
        if let first = sessions.first.map(Lent.init), let connection = first.use({ $0.openStream() }) {
            return taken(connection)  // a session leaves this list at events of its own, not here
        }
        for session in sessions.dropFirst() {
            if let connection = session.openStream() { return taken(connection) }
        }
        guard capacity.makeRoom() else { return .full }
        switch connectSession() {
        case .success(let session):
            guard let connection = session.openStream() else { return .failed(.outOfBuffers, pool: nil) }
            return taken(connection)
        case .failure(let error): return .failed(error, pool: self)
        }
    }

    private func taken(_ connection: Lent<UpstreamConnection>) -> Upstream.Acquisition {
        streamTaken()
        return connection.use(\.isConnecting) ? .connecting(connection) : .ready(connection)
    }

    /// An exchange has a stream.
    func streamTaken() {
        capacity.streamBegan()
        streamCount += 1
    }

    private func connectSession() -> Result<HTTP2Upstream, ProxyError> {
        switch link() {
        case .failure(let error): .failure(error)
        case .success(let link): connectSession(link)
        }
    }

    private func connectSession(_ link: TLSLink?) -> Result<HTTP2Upstream, ProxyError> {
        switch Connecting.start(address) {
        case .failed(let errno): .failure(.connecting(errno: errno))
        case .inProgress(let descriptor): addSession(descriptor, link, state: .connecting)
        case .connected(let descriptor): addSession(descriptor, link, state: link == nil ? .open : .connecting)
        }
    }

    func addSession(
        _ descriptor: consuming Descriptor, _ link: TLSLink?, state: ConnectState
    ) -> Result<HTTP2Upstream, ProxyError> {
        guard
            let session = try? HTTP2Upstream(
                descriptor, tls: link, state: state, connectMilliseconds: settings.connectMilliseconds, pool: self,
                supplies: supplies, on: loop)
        else { return .failure(.outOfBuffers) }
        sessions.append(session)
        sessionOpened()
        return .success(session)
    }

    /// The exchange has done with its stream, which ends here if it has not ended yet.
    func endStream(_ connection: UpstreamConnection, of session: HTTP2Upstream) {
        connection.exchange = nil
        connection.rest()
        session.keep(connection)
        capacity.streamEnded()
        streamCount -= 1
        session.flushSoon()
        capacity.serve()
    }

    /// The connection takes no more streams.
    func sessionLeft(_ session: HTTP2Upstream) {
        guard let index = sessions.firstIndex(where: { $0 === session }) else { return }
        sessions.remove(at: index)
        sessionClosed()
        capacity.serve()
    }

    /// The peer may allow more streams than before.
    func streamsMayOpen() { capacity.serve() }
}
