// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import EventLoop

/// The handshake of a session, step by step as its bytes come.
extension TLSSession {
    /// What a peer may send before its ClientHello is whole.
    private static let helloLimit = 16 << 10
    /// What a peer may send before the handshake ends; certificates are most of it.
    private static let handshakeLimit = 128 << 10
    /// Of tickets that wait for company.
    private static let keptLimit = 2048

    /// Goes on with the handshake as far as it can; a failure is told to the peer where TLS has an alert for it.
    public func handshake() -> Progress {
        if let failure { return .failed(failure) }
        guard !isEstablished, let socket else { return isEstablished ? .done : .failed(.closed) }
        while true {
            if handshakeCount == 0, let failure = receiveForHandshake(socket) { return failure }
            if let byte = firstByte, handshakeCount == received.count, server != nil, byte != 0x16 {
                return fail(.notTLS)
            }
            guard server == nil || hasWholeHello else {
                if let end = receiveForHandshake(socket) { return end }
                continue
            }
            let step = call { unsafe SSL_do_handshake(ssl) }
            if step == .done, mayKeepTickets {
                keepsTickets = true
                return established()
            }
            let sent = flushSealed(socket)
            switch step {
            case .done:
                if case .failed = sent { return fail(.closed) }
                return established()
            case .failed: return fail(failureFound())
            case .closed: return fail(.closed)
            case .wantsWrite where sent == .all: break
            case .wantsWrite: return .waiting
            case .wantsRead:
                if case .failed = sent { return fail(.closed) }
                if handshakeCount > 0, let end = receiveForHandshake(socket) { return end }
            }
        }
    }

    /// - Returns: how the call of ``handshake()`` ends; `nil`: there is something to go on with. The side that connects
    ///   speaks first.
    private func receiveForHandshake(_ socket: Socket) -> Progress? {
        if client != nil, handshakeCount == 0, !hasGreeted {
            hasGreeted = true
            return nil
        }
        guard socket.kernelMayRead else {
            received.releaseIfEmpty()
            return .waiting
        }
        switch socket.kernelReceive(into: &received) {
        case .bytes(let count):
            handshakeCount += count
            let isHello = unsafe server != nil && !state.pointee.helloSeen
            if isHello, handshakeCount > Self.helloLimit { return fail(.helloTooLarge) }
            if handshakeCount > Self.handshakeLimit { return fail(.handshakeTooLarge) }
            return nil
        case .wouldBlock:
            received.releaseIfEmpty()
            return .waiting
        case .full: return fail(.outOfMemory)
        case .endOfStream, .failed: return fail(.closed)
        }
    }

    /// Whether OpenSSL may begin. Until then a peer that stands still costs a page, and not OpenSSL's buffers of 40 KiB.
    private var hasWholeHello: Bool {
        if !mayBegin { mayBegin = lend(received) { isWholeHello($0) } }
        return mayBegin
    }

    /// Whether OpenSSL has begun with a peer's handshake, and holds some 40 KiB for it until the end.
    public var hasBegun: Bool { mayBegin && !isEstablished }

    /// Whether what is sealed may go with the first response: it is tickets, and a request is here already.
    private var mayKeepTickets: Bool {
        guard server != nil, !received.isEmpty, sealed.count <= Self.keptLimit else { return false }
        return unsafe SSL_version(ssl) == TLS1_3_VERSION
    }

    private func fail(_ reason: TLSFailure) -> Progress {
        failure = reason
        ERR_clear_error()
        return .failed(reason)
    }

    func failureFound() -> TLSFailure {
        let found = unsafe TLS.failure(of: ssl)
        return unsafe state.pointee.verdict ?? found
    }

    private func established() -> Progress {
        readAgreement()
        if let client, client.protocols == [.http2], selectedProtocol != .http2 { return fail(.noALPN) }
        // A resumed session's certificate was verified then, and may have expired since.
        if isResumed, let peer, peer.notAfter < Int64(Clock.epochMicroseconds / 1_000_000) { return fail(.expired) }
        isEstablished = true
        mayHoldMore = !received.isEmpty
        received.releaseIfEmpty()
        return .done
    }

    private func readAgreement() {
        version = unsafe SSL_version(ssl) == TLS1_3_VERSION ? .tls13 : .tls12
        isResumed = unsafe SSL_session_reused(ssl) == 1
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(ssl, &name, &count)
        selectedProtocol = count == 0 ? nil : count == 2 ? .http2 : .http1
        let isVerified = unsafe SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE
        if isVerified, let certificate = unsafe SSL_get0_peer_certificate(ssl) {
            peer = unsafe CertificateFacts(certificate)
        }
    }
}
