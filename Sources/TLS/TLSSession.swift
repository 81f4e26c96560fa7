// SPDX-License-Identifier: Apache-2.0
import COpenSSL
public import EventLoop
import Glibc

/// TLS on one connection, between the kernel and the owner of a ``Socket``: an `SSL *` with its ciphertext.
///
/// Its owner calls ``handshake()`` until it is done; from then on the socket reads and writes plaintext. Ciphertext
/// that the kernel has not taken holds the last byte of what was offered back, so that for the owner "all is sent" still
/// means "the kernel has it".
@safe
public final class TLSSession: Carrier {
    public enum Progress: BitwiseCopyable, Equatable, Sendable {
        case done
        /// For the next event.
        case waiting
        case failed(TLSFailure)
    }

    /// Plaintext of a record (RFC 8446 §5.1).
    private static let recordLimit = 16 << 10
    /// Sealed before the kernel is asked: with the records' overhead it fits a buffer.
    private static let sealLimit = 3 * recordLimit

    let ssl: OpaquePointer  // SSL *
    let state: UnsafeMutablePointer<SessionState>
    let server: ServerContext?
    let client: ClientContext?
    private let buffers: BufferPool
    /// Ciphertext that has come and OpenSSL has not taken.
    var received: Buffer
    /// Ciphertext that the kernel has not taken.
    var sealed: Buffer
    /// What is sealed is tickets that go with the first response.
    var keepsTickets = false
    /// The last byte sealed has not been told as sent; the next offer begins with it.
    private var holdsByteBack = false
    /// OpenSSL may give more without another byte from the kernel.
    var mayHoldMore = false
    private var hasEnded = false
    /// Bytes that came before the handshake was done.
    var handshakeCount = 0
    /// The side that connects has spoken first.
    var hasGreeted = false
    /// The peer's ClientHello is whole.
    var mayBegin = false

    public internal(set) var isEstablished = false
    /// Why it is over; stays.
    public internal(set) var failure: TLSFailure?
    /// Of the handshake, once it is done; `nil`: none was agreed on.
    public internal(set) var selectedProtocol: ApplicationProtocol?
    public internal(set) var version = TLSVersion.tls13
    public internal(set) var isResumed = false
    /// The certificate the peer has shown, if it was verified.
    public internal(set) var peer: CertificateFacts?

    init?(_ library: OpaquePointer, server: ServerContext, buffers: BufferPool) {
        guard let made = unsafe makeSession(library, Unmanaged.passUnretained(server), nil) else { return nil }
        unsafe (ssl, state) = unsafe made
        self.server = server
        client = nil
        self.buffers = buffers
        received = Buffer(pool: buffers)
        sealed = Buffer(pool: buffers)
        super.init()
        unsafe SSL_set_accept_state(ssl)
    }

    init?(_ library: OpaquePointer, client: ClientContext, buffers: BufferPool) {
        guard let made = unsafe makeSession(library, nil, Unmanaged.passUnretained(client)) else { return nil }
        unsafe (ssl, state) = unsafe made
        server = nil
        self.client = client
        self.buffers = buffers
        received = Buffer(pool: buffers)
        sealed = Buffer(pool: buffers)
        super.init()
        unsafe SSL_set_connect_state(ssl)
    }

    deinit {
        unsafe SSL_free(ssl)
        if let ticket = unsafe state.pointee.ticket { unsafe SSL_SESSION_free(ticket) }
        unsafe state.deallocate()
    }

    func setPeer(_ host: String, verifies: Bool) {
        let isAddress = SocketAddress(literal: host, port: 0) != nil
        if !isAddress { _ = unsafe openssl_send_server_name(ssl, host) }
        guard verifies else { return }
        let rules = unsafe SSL_get0_param(ssl)
        unsafe X509_VERIFY_PARAM_set_hostflags(rules, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        if isAddress {
            _ = unsafe X509_VERIFY_PARAM_set1_ip_asc(rules, host)
        } else {
            _ = unsafe X509_VERIFY_PARAM_set1_host(rules, host, 0)
        }
    }

    func resume(_ ticket: SessionTicket) { _ = unsafe SSL_set_session(ssl, ticket.session) }

    func offer(_ protocols: [ApplicationProtocol]) {
        let list = protocols.flatMap(\.wireForm)
        _ = unsafe SSL_set_alpn_protos(ssl, list, UInt32(list.count))
    }

    /// The newest session ticket the peer has sent, once. Of the side that connected.
    public func takeTicket() -> SessionTicket? {
        guard let ticket = unsafe state.pointee.ticket else { return nil }
        unsafe state.pointee.ticket = nil
        return unsafe SessionTicket(owning: ticket)
    }

    // MARK: What came before TLS

    /// The first byte that has come, while nothing was taken; 0x16 in every ClientHello.
    public var firstByte: UInt8? { lend(received) { $0.isEmpty ? nil : $0[0] } }

    /// Gives back what has come, for a connection that does not speak TLS.
    public func takeReceived(_ buffer: inout Buffer) { swap(&received, &buffer) }

    // MARK: What was agreed on

    /// The name the peer asked for (RFC 6066 §3), lower-case; `nil`: none.
    public var requestedName: String? {
        guard let name = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else { return nil }
        return unsafe String(cString: name).lowercased()
    }

    /// Which certificates were shown, as ``ServerContext/shownGroup(for:)`` counts them.
    public var shownGroup: Int { unsafe state.pointee.group }

    // MARK: Receiving

    public override var hasNews: Bool { mayHoldMore || socket?.kernelMayRead ?? false }

    public override func receive(into buffer: inout Buffer) -> ReadOutcome {
        guard failure == nil, let socket else { return .failed(errno: errno(of: failure)) }
        if hasEnded { return .endOfStream }
        if buffer.freeCount == 0 { buffer.compact() }
        guard buffer.freeCount > 0 else { return .full }
        var total = 0
        let end = open(into: &buffer, &total, socket)
        received.releaseIfEmpty()
        if total > 0 { return .bytes(total) }
        if keepsTickets { _ = flushSealed(socket) }  // no request after all
        buffer.releaseIfEmpty()
        return end
    }

    /// Opens records until the buffer is full or nothing more has come.
    private func open(into buffer: inout Buffer, _ total: inout Int, _ socket: Socket) -> ReadOutcome {
        while true {
            if received.isEmpty, !mayHoldMore {
                let outcome = receiveCiphertext(socket)
                guard case .bytes = outcome else { return outcome }
            }
            var count = 0
            guard let step = openRecord(into: &buffer, &count) else { return .full }
            // An answer to a key update or a renegotiation.
            if !sealed.isEmpty, !keepsTickets { _ = flushSealed(socket) }
            switch step {
            case .done:
                total += count
                mayHoldMore = unsafe !received.isEmpty || SSL_pending(ssl) > 0
                if buffer.freeCount == 0 || !mayHoldMore && !socket.kernelMayRead { return .bytes(count) }
            case .wantsRead: mayHoldMore = false
            case .wantsWrite:
                mayHoldMore = true  // goes on when the kernel has taken what is sealed
                return .wouldBlock
            case .closed:
                hasEnded = true
                mayHoldMore = total > 0
                return .endOfStream
            case .failed:
                failure = failureFound()
                mayHoldMore = total > 0
                return .failed(errno: errno(of: failure))
            }
        }
    }

    private func receiveCiphertext(_ socket: Socket) -> ReadOutcome {
        guard socket.kernelMayRead else { return .wouldBlock }
        let outcome = socket.kernelReceive(into: &received)
        switch outcome {
        case .bytes, .wouldBlock, .full: return outcome
        case .endOfStream: failure = .truncated
        case .failed: failure = .closed
        }
        mayHoldMore = true  // to be told, should there be bytes before it
        return .failed(errno: errno(of: failure))
    }

    /// - Returns: `nil` without memory.
    private func openRecord(into buffer: inout Buffer, _ count: inout Int) -> Step? {
        buffer.append { output in
            unsafe output.withUnsafeMutableBufferPointer { target, filled in
                let room = target.count - filled
                let start = unsafe target.baseAddress.map { unsafe $0 + filled }
                var opened = 0
                let step = call { unsafe SSL_read_ex(ssl, start, room, &opened) }
                count = opened
                filled += opened
                return step
            }
        }
    }

    public override func peek() -> PeekOutcome {
        guard failure == nil, let socket else { return .failed(errno: errno(of: failure)) }
        defer { received.releaseIfEmpty() }
        while !hasEnded {
            var byte: UInt8 = 0
            var count = 0
            switch call({ unsafe SSL_peek_ex(ssl, &byte, 1, &count) }) {
            case .done:
                mayHoldMore = true
                return .bytes
            case .wantsRead, .wantsWrite:
                mayHoldMore = false
                switch socket.kernelReceive(into: &received) {
                case .bytes: continue
                case .wouldBlock, .full: return .nothing
                case .endOfStream: return .endOfStream
                case .failed(let errno): return .failed(errno: errno)
                }
            case .closed: hasEnded = true
            case .failed:
                failure = failureFound()
                return .failed(errno: errno(of: failure))
            }
        }
        return .endOfStream
    }

    private func errno(of failure: TLSFailure?) -> CInt {
        switch failure {
        case .truncated, .closed, nil: ECONNRESET
        default: EPROTO
        }
    }

    // MARK: Sending

    /// A peer that has ended its direction, though without close_notify, may still read the answer.
    private var maySend: Bool { failure == nil || failure == .truncated }

    public override func send(_ bytes: Span<UInt8>) -> WriteOutcome { send(bytes, Span()) }

    public override func send(_ first: Span<UInt8>, _ second: Span<UInt8>) -> WriteOutcome {
        guard maySend, isEstablished, let socket else { return .failed(errno: EPIPE) }
        switch keepsTickets ? .all : flushSealed(socket) {
        case .all: break
        case .some: return .wouldBlock
        case .failed(let errno): return .failed(errno: errno)
        }
        let offered = first.count + second.count
        var taken = holdsByteBack ? 1 : 0
        holdsByteBack = false
        while taken < offered {
            let count = seal(first, second, from: taken)
            guard count > 0 else { return maySend ? .wouldBlock : .failed(errno: errno(of: failure)) }
            taken += count
            switch flushSealed(socket) {
            case .all: continue
            case .failed(let errno): return .failed(errno: errno)
            case .some:
                holdsByteBack = true
                return taken == 1 ? .wouldBlock : .sent(taken - 1)
            }
        }
        return .sent(taken)
    }

    /// Makes records of the two pieces, behind so many bytes of them; answers how many bytes more they hold.
    private func seal(_ first: Span<UInt8>, _ second: Span<UInt8>, from start: Int) -> Int {
        if start >= first.count { return seal(second.extracting(droppingFirst: start - first.count)) }
        let rest = first.extracting(droppingFirst: start)
        guard !second.isEmpty, rest.count < Self.recordLimit else { return seal(rest) }
        // A head and the beginning of its body share a record.
        var both = Buffer(pool: buffers)
        let room = Self.recordLimit - rest.count
        guard both.append(copying: rest) == rest.count else { return 0 }
        _ = both.append(copying: second.extracting(first: min(room, second.count)))
        return seal(both.readable)
    }

    private func seal(_ bytes: Span<UInt8>) -> Int {
        var total = 0
        unsafe bytes.extracting(first: min(bytes.count, Self.sealLimit)).withUnsafeBufferPointer { bytes in
            while total < bytes.count {
                var count = 0
                let start = unsafe bytes.baseAddress.map { unsafe $0 + total }
                let length = min(bytes.count - total, Self.recordLimit)
                guard call({ unsafe SSL_write_ex(ssl, start, length, &count) }) == .done else { break }
                total += count
            }
        }
        if total == 0, unsafe SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN != 0 { failure = .closed }
        return total
    }

    enum Flushed: Equatable {
        case all, some
        case failed(errno: CInt)
    }

    /// Sends what is sealed; the rest goes when the kernel takes bytes again.
    func flushSealed(_ socket: Socket) -> Flushed {
        keepsTickets = false
        guard !sealed.isEmpty else { return .all }
        switch Self.send(sealed, to: socket) {
        case .sent(let count): sealed.consume(count)
        case .wouldBlock: break
        case .failed(let errno):
            sealed.release()
            return .failed(errno: errno)
        }
        if sealed.isEmpty {
            sealed.release()
            return .all
        }
        socket.awaitWritable()
        return .some
    }

    private static func send(_ buffer: borrowing Buffer, to socket: Socket) -> WriteOutcome {
        socket.kernelSend(buffer.readable)
    }

    public override var holdsUnsent: Bool { !sealed.isEmpty && !keepsTickets }

    public override func kernelWritable() {
        guard let socket, !sealed.isEmpty else { return }
        _ = flushSealed(socket)
    }

    // MARK: The end

    /// Sends close_notify.
    public override func shutdownWrite() {
        guard isEstablished, maySend, let socket else { return }
        guard unsafe SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN == 0 else { return }
        _ = call { unsafe SSL_shutdown(ssl) }
        _ = flushSealed(socket)
    }

    public override func close(isCut: Bool) {
        if !isCut { shutdownWrite() }
        received.release()
        sealed.release()
    }

    // MARK: OpenSSL

    /// What one call of OpenSSL gave.
    enum Step: Equatable { case done, wantsRead, wantsWrite, closed, failed }

    /// Runs a call with the received ciphertext lent to it, and room for what it has to say: any call may end in an alert.
    func call(_ body: () -> CInt) -> Step {
        let step = sealed.append { output in
            unsafe output.withUnsafeMutableBufferPointer { target, filled in
                unsafe state.pointee.output = target.baseAddress.map { unsafe $0 + filled }
                unsafe state.pointee.outputRoom = target.count - filled
                unsafe state.pointee.outputCount = 0
                let step = callWithInput(body)
                unsafe filled += state.pointee.outputCount
                unsafe (state.pointee.output, state.pointee.outputRoom, state.pointee.outputCount) = (nil, 0, 0)
                return step
            }
        }
        sealed.releaseIfEmpty()
        return step ?? callWithInput(body)
    }

    private func callWithInput(_ body: () -> CInt) -> Step {
        let offered = received.count
        let (status, left) = lend(received) { bytes in
            unsafe bytes.withUnsafeBufferPointer { bytes in
                unsafe (state.pointee.input, state.pointee.inputCount) = (bytes.baseAddress, bytes.count)
                ERR_clear_error()
                let status = body()
                let left = unsafe state.pointee.inputCount
                unsafe (state.pointee.input, state.pointee.inputCount) = (nil, 0)
                return (status, left)
            }
        }
        received.consume(offered - left)
        return status == 1 ? .done : step(status)
    }

    private func step(_ status: CInt) -> Step {
        switch unsafe SSL_get_error(ssl, status) {
        case SSL_ERROR_NONE: .done
        case SSL_ERROR_WANT_READ: .wantsRead
        case SSL_ERROR_WANT_WRITE: .wantsWrite
        case SSL_ERROR_ZERO_RETURN: .closed
        default: .failed
        }
    }
}

/// A span of a class's buffer may not outlive the access to the property; as a parameter the buffer can be lent.
func lend<Result>(_ buffer: borrowing Buffer, to read: (Span<UInt8>) -> Result) -> Result {
    read(buffer.readable)
}

private func makeSession(
    _ library: OpaquePointer, _ server: Unmanaged<ServerContext>?, _ client: Unmanaged<ClientContext>?
) -> (ssl: OpaquePointer, state: UnsafeMutablePointer<SessionState>)? {
    guard let method = unsafe ciphertextMethod.pointer, let ssl = unsafe SSL_new(library) else { return nil }
    guard let bio = unsafe BIO_new(method) else {
        unsafe SSL_free(ssl)
        return nil
    }
    let state = UnsafeMutablePointer<SessionState>.allocate(capacity: 1)
    unsafe state.initialize(to: SessionState(server: server, client: client))
    unsafe BIO_set_data(bio, state)
    unsafe BIO_set_init(bio, 1)
    unsafe SSL_set_bio(ssl, bio, bio)
    _ = unsafe SSL_set_ex_data(ssl, 0, state)
    return unsafe (ssl, state)
}
