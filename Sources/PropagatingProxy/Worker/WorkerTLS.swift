// SPDX-License-Identifier: Apache-2.0
import EventLoop
import TLS

/// Connections of listeners that speak TLS, from their first byte to the end of the handshake.
extension Worker {
    /// Begins the handshake of a connection that has just been accepted.
    func secure(
        _ descriptor: consuming Descriptor, with context: ServerContext, from peer: SocketAddress,
        on listener: ListenerContext, slot: Int
    ) {
        guard let session = context.session(buffers: buffers) else {
            metrics.handshakeFailed(listener: listener.number, .outOfMemory)
            return leave(slot, of: listener)  // the descriptor closes
        }
        put(
            TLSHandshake(
                descriptor, session, of: context, peer: peer, listener: listener, slot: slot, worker: self))
    }

    /// OpenSSL holds memory for one more; for too many, the older half goes: who means it is through in a moment.
    func handshakeBegan() {
        begunHandshakes += 1
        guard begunHandshakes > handshakeLimit else { return }
        let begun = handshakesBegun
        let oldest = begun.map(\.begunAt).min() ?? 0
        let middle = oldest + (Clock.monotonicMicroseconds - oldest) / 2
        for handshake in begun where handshake.begunAt <= middle {
            metrics.handshakeShed()
            endHandshake(handshake, .timedOut)
        }
    }

    func handshakeLeft(_ handshake: TLSHandshake) {
        if handshake.begunAt > 0 { begunHandshakes -= 1 }
    }

    /// It has ended well: who goes on is what ALPN has chosen, or without it what the first bytes will say.
    func continueSecured(_ handshake: TLSHandshake) {
        handshakeLeft(handshake)
        let session = handshake.session
        metrics.handshakeEnded(listener: handshake.listener.number, isResumed: session.isResumed)
        let security = DownstreamSecurity(
            session, of: handshake.context, field: handshake.listener.callerCertificateField)
        guard let descriptor = handshake.handOver() else { return downstreamClosed(handshake) }
        guard session.selectedProtocol == .http2 else {
            return put(
                DownstreamConnection(
                    descriptor, carrier: session, security, peer: handshake.peer, listener: handshake.listener,
                    slot: handshake.slot, worker: self))
        }
        guard let connection = try? HTTP2Downstream(descriptor, from: handshake, security) else {
            return downstreamClosed(handshake)
        }
        put(connection)
    }

    /// Plain HTTP instead of a handshake is answered as what it is.
    func refusePlain(_ handshake: TLSHandshake) {
        handshakeLeft(handshake)
        metrics.handshakeFailed(listener: handshake.listener.number, .notTLS)
        guard let connection = goOnPlain(handshake) else { return }
        handshake.session.takeReceived(&connection.input)
        connection.refusePlain()
    }

    /// It has failed; the peer is told why by an alert where TLS has one.
    func endHandshake(_ handshake: TLSHandshake, _ failure: TLSFailure) {
        handshakeLeft(handshake)
        metrics.handshakeFailed(listener: handshake.listener.number, failure)
        tell(handshake, failure)
        guard failure.isOurVerdict else {
            handshake.close()
            return downstreamClosed(handshake)
        }
        goOnPlain(handshake)?.lingerOnly()
    }

    private func goOnPlain(_ handshake: TLSHandshake) -> DownstreamConnection? {
        guard let descriptor = handshake.handOver() else {
            downstreamClosed(handshake)
            return nil
        }
        let connection = DownstreamConnection(
            descriptor, peer: handshake.peer, listener: handshake.listener, slot: handshake.slot, worker: self)
        put(connection)
        return connection
    }

    /// A peer that only looks whether the port is open is not worth a line.
    private func tell(_ handshake: TLSHandshake, _ failure: TLSFailure) {
        guard failure != .closed else { return }
        log.limited(
            .info, key: "TLS handshake failed", nil,
            [
                "listener": handshake.listener.name, "peer": "\(handshake.peer)", "result": "\(failure.name)",
                "reason": "\(failure.reason)",
            ])
    }
}

extension TLSFailure {
    /// We have refused what the peer said, and it may still be sending.
    fileprivate var isOurVerdict: Bool {
        switch self {
        case .expired, .notYetValid, .nameMismatch, .nameNotAllowed, .unknownCA, .revoked, .certificateRequired,
            .certificateRefused, .noSharedVersion, .noSharedCipher, .noALPN, .unknownServerName, .helloTooLarge,
            .handshakeTooLarge, .protocolError:
            true
        default: false
        }
    }
}
