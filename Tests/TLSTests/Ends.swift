// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import TLS
import TestSupport

@testable import EventLoop

/// One end of a connection: drives the handshake, then notes what it reads and sends what it is given.
final class End: Socket {
    let session: TLSSession
    private(set) var progress = TLSSession.Progress.waiting
    private(set) var read: [UInt8] = []
    private(set) var end: ReadOutcome?
    private var unsent: [UInt8] = []
    private let pool: BufferPool
    /// Takes at most so much at a time.
    var readsAtAll = true

    init(_ number: CInt, _ session: TLSSession, pool: BufferPool, on loop: EventLoop) {
        self.session = session
        self.pool = pool
        super.init(Descriptor(owning: number), carrier: session, on: loop)
    }

    override func ioReady(_ readiness: Readiness) { goOn() }

    func goOn() {
        guard isOpen else { return }
        if progress == .waiting {
            progress = session.handshake()
            guard progress == .done else { return }
        }
        write()
        if readsAtAll { readAll() }
    }

    func say(_ bytes: [UInt8]) {
        unsent += bytes
        if progress == .done { write() }
    }

    var isAllSent: Bool { unsent.isEmpty }

    private func write() {
        while !unsent.isEmpty, isOpen {
            guard case .sent(let count) = send(unsent.span) else { return awaitWritable() }
            unsent.removeFirst(count)
        }
    }

    private func readAll() {
        while mayRead, end == nil, isOpen {
            var buffer = Buffer(pool: pool)
            switch receive(into: &buffer) {
            case .bytes: read += bytes(of: buffer)
            case .wouldBlock, .full: return
            case let outcome: end = outcome
            }
        }
    }
}

private func bytes(of buffer: borrowing Buffer) -> [UInt8] {
    let span = buffer.readable
    return span.indices.map { span[$0] }
}

/// Two ends of one connection, with the kernel or a test between them.
final class Line {
    let loop: EventLoop
    let pool = BufferPool(limit: 1000)
    let client: End
    let server: End
    /// The test's ends when it carries the bytes itself.
    private let relay: (CInt, CInt)?
    private var carried = 0

    /// - Parameter isRelayed: nothing passes but by ``carry(_:)``.
    init(
        client settings: ClientContext, server: ServerContext, host: String = "localhost",
        resuming ticket: SessionTicket? = nil, isRelayed: Bool = false
    ) throws {
        loop = try EventLoop()
        let (one, other) = Self.pair()
        var far = other
        if isRelayed {
            let (third, fourth) = Self.pair()
            relay = (other, third)
            far = fourth
        } else {
            relay = nil
        }
        guard let asking = settings.session(host: host, resuming: ticket, buffers: pool),
            let answering = server.session(buffers: pool)
        else { throw SocketError.malformed("no session") }
        client = End(one, asking, pool: pool, on: loop)
        self.server = End(far, answering, pool: pool, on: loop)
        client.goOn()
    }

    private static func pair() -> (CInt, CInt) {
        var numbers: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        _ = socketpair(AF_UNIX, kind, 0, &numbers)
        return (numbers[0], numbers[1])
    }

    /// Runs until something holds; answers whether it came to hold in time.
    @discardableResult
    func run(seconds: Double = 60, until condition: () -> Bool) -> Bool {
        let end = Clock.monotonicMicroseconds + UInt64(seconds * 1_000_000)
        while !condition() {
            if Clock.monotonicMicroseconds > end { return false }
            loop.runOnce()
        }
        return true
    }

    /// Until both have an answer.
    func shakeHands() -> (client: TLSSession.Progress, server: TLSSession.Progress) {
        run { client.progress != .waiting && server.progress != .waiting }
        return (client.progress, server.progress)
    }

    /// Passes at most so many bytes on, each way; answers how many.
    func carry(_ limit: Int) -> Int {
        guard let relay else { return 0 }
        return Self.pass(from: relay.0, to: relay.1, limit) + Self.pass(from: relay.1, to: relay.0, limit)
    }

    private static func pass(from source: CInt, to target: CInt, _ limit: Int) -> Int {
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = bytes.withUnsafeMutableBytes { recv(source, $0.baseAddress, limit, CInt(MSG_DONTWAIT)) }
        guard count > 0 else { return 0 }
        return bytes.withUnsafeBytes { send(target, $0.baseAddress, count, CInt(MSG_NOSIGNAL)) }
    }

    func close() {
        client.close()
        server.close()
        if let relay {
            _ = Glibc.close(relay.0)
            _ = Glibc.close(relay.1)
        }
    }

    deinit { close() }
}

/// The files of ``TestCertificates``, loaded.
enum Loaded {
    static func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: TestCertificates.path(name))))
    }

    static func identity(_ name: String, ocsp: String? = nil) throws -> Identity {
        try Identity(chain: bytes("\(name).pem"), key: bytes("\(name).key"), ocspResponse: ocsp.map { try bytes($0) })
    }

    static func anchors(_ name: String = "root", isRevoking: Bool = false) throws -> TrustAnchors {
        try TrustAnchors(pem: bytes("\(name).pem"), crl: isRevoking ? bytes("crl.pem") : nil)
    }

    static func server(
        _ names: String..., protocols: [ApplicationProtocol] = [.http2, .http1], from version: TLSVersion = .tls12,
        authentication: ServerSettings.ClientAuthentication? = nil, keys: TicketKeys? = TicketKeys(),
        isStrict: Bool = false
    ) throws -> ServerContext {
        try ServerContext(
            ServerSettings(
                identities: names.map { try identity($0) }, clientAuthentication: authentication,
                protocols: protocols, minimumVersion: version, ticketKeys: keys, refusesUnknownNames: isStrict))
    }

    static func client(
        anchors name: String? = "root", identity shown: String? = nil, protocols: [ApplicationProtocol] = [.http1],
        from version: TLSVersion = .tls12, allowed: [String] = [], isRevoking: Bool = false
    ) throws -> ClientContext {
        try ClientContext(
            ClientSettings(
                anchors: name.map { try anchors($0, isRevoking: isRevoking) }, verifies: name != nil,
                identity: shown.map { try identity($0) }, protocols: protocols, minimumVersion: version,
                allowedNames: allowed))
    }
}
