// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1

/// Answers `/ready`, `/live` and `/metrics` on a listener of its own, on the control thread.
///
/// Small on purpose: one request a connection, no body, 8 KiB of head, 64 connections of 10 s.
final class AdminServer {
    private static let connectionLimit = 64
    static let limits = HeadLimits(headBytes: 8192, targetBytes: 2048)

    private let loop: EventLoop
    private let allowRemote: Bool
    private let ready: () -> Bool
    private let metrics: () -> [UInt8]
    private var acceptor: Acceptor?
    private var connections: [ObjectIdentifier: AdminConnection] = [:]
    private let pool = BufferPool(limit: connectionLimit)
    private var fields = FieldTable()

    /// - Parameters:
    ///   - allowRemote: any Host will do. Otherwise it must be `localhost` or an IP address: a page
    ///     in a browser beside us could reach us by a name it owns, but not by those.
    ///   - ready: whether new requests are welcome.
    ///   - metrics: a page in Prometheus text format.
    init(
        _ listener: SharedDescriptor, on loop: EventLoop, allowRemote: Bool = false,
        ready: @escaping () -> Bool, metrics: @escaping () -> [UInt8]
    ) throws(EventLoopError) {
        self.loop = loop
        self.allowRemote = allowRemote
        self.ready = ready
        self.metrics = metrics
        acceptor = try Acceptor(listener, on: loop) { [unowned self] descriptor, _ in accept(descriptor) }
    }

    /// Closes the listener and every connection.
    func stop() {
        acceptor?.stop()
        acceptor = nil
        for connection in connections.values { connection.close() }
        connections = [:]
    }

    private func accept(_ descriptor: consuming Descriptor) {
        guard connections.count < Self.connectionLimit else { return }  // closes it
        let connection = AdminConnection(descriptor, on: loop, pool: pool, server: self)
        connections[ObjectIdentifier(connection)] = connection
    }

    func ended(_ connection: AdminConnection) { connections[ObjectIdentifier(connection)] = nil }

    /// - Returns: the bytes to send; `nil` while the head is not whole.
    func reply(to bytes: Span<UInt8>, alreadySeen: Int) -> [UInt8]? {
        do throws(SyntaxError) {
            let progress = try parseRequestHead(bytes, alreadySeen: alreadySeen, limits: Self.limits, fields: &fields)
            guard case .complete(let head) = progress else { return nil }
            return reply(to: head, in: bytes).bytes(withBody: head.method != .head)
        } catch {
            if error.status == 405 { return AdminReply.methodNotAllowed.bytes(withBody: true) }
            return AdminReply(error.status, "Refused", error.reason.description).bytes(withBody: true)
        }
    }

    private func reply(to head: RequestHead, in bytes: Span<UInt8>) -> AdminReply {
        guard allowRemote || isLocal(bytes.extracting(head.authority.range)) else {
            return AdminReply(403, "Forbidden", "Host is neither localhost nor an address")
        }
        guard head.method == .get || head.method == .head else { return .methodNotAllowed }
        guard head.framing == .none || head.framing == .length(0) else {
            return AdminReply(400, "Bad Request", "no body is expected")
        }
        switch text(bytes.extracting(head.path.range).extracting(first: Int(head.pathCount))) {
        case "/ready":
            return ready() ? AdminReply(200, "OK", "ready") : AdminReply(503, "Service Unavailable", "draining")
        case "/live": return AdminReply(200, "OK", "live")
        case "/metrics":
            var reply = AdminReply(200, "OK", "")
            reply.contentType = MetricsText.contentType
            reply.body = metrics()
            return reply
        default: return .notFound
        }
    }

    /// A caller without Host (HTTP/1.0) is no browser.
    private func isLocal(_ authority: Span<UInt8>) -> Bool {
        guard !authority.isEmpty else { return true }
        var host = text(authority)[...]
        if !host.hasSuffix("]"), let colon = host.lastIndex(of: ":") { host = host[..<colon] }
        return Resolver.withoutServer(String(host), port: 0) != nil
    }

    private func text(_ bytes: Span<UInt8>) -> String {
        let copy = [UInt8](capacity: bytes.count) { out in
            for index in bytes.indices { out.append(bytes[index]) }
        }
        return String(decoding: copy, as: UTF8.self)
    }

    deinit { stop() }
}
