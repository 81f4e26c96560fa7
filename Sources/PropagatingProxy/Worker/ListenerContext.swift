// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Propagation
import TLS

/// What one worker knows of one listener. Built from the configuration, constant but for its count of connections.
final class ListenerContext {
    /// Index in the configuration, for span records.
    let number: UInt16
    let name: String
    let httpVersion: Configuration.ListenerProtocol
    let tracing: TracingContext
    /// Whether its exchanges are CLIENT spans: calls of the app beside us, each one span.
    let callsOut: Bool
    let trust: Trust
    /// `nil`: plain text.
    let security: ListenerSecurity?
    let callerCertificateField: Configuration.CallerCertificateField
    let timeouts: Configuration.ClientTimeouts
    let headLimits: HeadLimits
    let responseLimits: HeadLimits
    let forwarded: Configuration.ForwardedPolicy
    let addsVia: Bool
    /// Of one connection; the last one is answered and the connection then ends.
    let requestLimit: Int
    /// Bytes of a request body; 0 is unlimited.
    let bodyLimit: UInt64
    /// `nil`: every caller.
    private let trustedPeers: Configuration.TrustedPeers?
    /// Of outsiders that want their trace recorded, those whose wish is granted.
    private var outsiderWishes: RateLimiter
    private let connectionLimit: Int
    private var connectionCount = 0
    private let table: RouteTable
    private let routes: RouteContexts
    private let firstRoute: Int
    private let neverPaths: PathGlobTable

    /// - Parameters:
    ///   - tls: `nil` for plain text.
    ///   - routes: those of the listener.
    ///   - firstRoute: the number of the first of them, see ``MatchedRoute/number``.
    ///   - connectionLimit: open ones of this listener that this worker may have.
    ///   - wishesPerSecond: of outsiders, that this worker grants.
    init(
        number: UInt16, _ listener: Configuration.Listener, tls: Published<ServerContext>?, routes: RouteContexts,
        firstRoute: Int, connectionLimit: Int, wishesPerSecond: Int, _ configuration: Configuration
    ) {
        trustedPeers = listener.trustedPeers
        outsiderWishes = RateLimiter(perSecond: wishesPerSecond)
        self.connectionLimit = connectionLimit
        self.number = number
        name = listener.name
        httpVersion = listener.httpVersion
        tracing = TracingContext(configuration.tracing)
        callsOut = configuration.tracing.mode == .sidecar && listener.direction == .outbound
        trust = listener.trust
        security = tls.map { ListenerSecurity($0) }
        callerCertificateField = listener.callerCertificateField
        timeouts = listener.timeouts
        var headLimits = configuration.limits.head
        headLimits.takesHTTPS = tls != nil
        self.headLimits = headLimits
        responseLimits = HeadLimits()
        forwarded = listener.forwarded
        addsVia = listener.addsVia
        let requests = listener.maximumRequestsPerConnection
        requestLimit = requests == 0 ? .max : requests
        bodyLimit = configuration.limits.bodyBytes
        table = RouteTable(routes: listener.routes)
        self.routes = routes
        self.firstRoute = firstRoute
        neverPaths = PathGlobTable(configuration.tracing.sampling.neverPaths)
    }

    /// Whether the word of this caller counts; asked once for each connection.
    func trusts(_ peer: SocketAddress) -> Bool { trustedPeers?.contains(peer) ?? true }

    /// Takes one outsider's wish to be recorded; false if this second's are used up.
    func grantsWish(nowMicroseconds: UInt64) -> Bool { outsiderWishes.take(nowMicroseconds: nowMicroseconds) }

    /// Whether one more connection may stay open; if so it counts until ``connectionClosed()``.
    func admitConnection() -> Bool {
        guard connectionCount < connectionLimit else { return false }
        connectionCount += 1
        return true
    }

    func connectionClosed() { connectionCount -= 1 }

    /// - Parameter input: begins with the head; `fields` are its lines.
    func route(
        for head: RequestHead, in input: borrowing Buffer, fields: borrowing FieldTable
    ) -> MatchedRoute? {
        let found = table.onlyRoute ?? match(head, bytes: input.readable, fields: fields)
        guard let found, let context = routes[found] else { return nil }
        return MatchedRoute(context: context, number: UInt16(clamping: firstRoute + found))
    }

    private func match(_ head: RequestHead, bytes: Span<UInt8>, fields: borrowing FieldTable) -> Int? {
        let path = bytes.extracting(head.path.range).extracting(first: Int(head.pathCount))
        // An absolute-form target without a path is the root's, and so is `OPTIONS *` (RFC 9112 §3.2).
        let isRoot = path.isEmpty || path[0] == UInt8(ascii: "*")
        let root: InlineArray<1, UInt8> = [UInt8(ascii: "/")]
        return isRoot
            ? match(root.span, head, bytes: bytes, fields: fields) : match(path, head, bytes: bytes, fields: fields)
    }

    private func match(
        _ path: Span<UInt8>, _ head: RequestHead, bytes: Span<UInt8>, fields: borrowing FieldTable
    ) -> Int? {
        table.match(
            method: bytes.extracting(head.methodText.range), host: bytes.extracting(head.authority.range), path: path,
            fields: fields, bytes: bytes)
    }

    /// Health checks and the like.
    ///
    /// - Parameter path: without query.
    func isNeverSampled(_ method: Method, _ path: Span<UInt8>) -> Bool {
        neverPaths.matches(method, path)
    }
}

/// How traces are read, continued and written; one value for all listeners.
struct TracingContext: BitwiseCopyable, Sendable {
    let extract: FormatList
    let inject: FormatList
    let mode: SpanMode
    let traceIDWidth: TraceIDWidth

    init(_ tracing: Configuration.Tracing) {
        extract = tracing.extract
        inject = tracing.inject
        mode = tracing.mode
        traceIDWidth = tracing.traceIDBits == 64 ? .short : .full
    }
}
