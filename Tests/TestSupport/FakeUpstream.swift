// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A scripted HTTP/1.1 server on loopback that records what it was sent, byte for byte.
public final class FakeUpstream: Sendable {
    /// One request as it arrived.
    public struct Received: Sendable {
        /// Connections are numbered from 0 in the order they were accepted.
        public let connection: Int
        public let head: MessageHead
        /// Filled when the script has read it.
        public fileprivate(set) var body = MessageBody()
        public fileprivate(set) var isComplete = false

        public subscript(name: String) -> String? { head[name] }
    }

    private struct State: Sendable {
        var received: [Received] = []
        var accepted = 0
        var open: [Int: Peer] = [:]
        var stopped = false
    }

    public typealias Script = @Sendable (UpstreamExchange) throws -> Void

    private let socket: ListeningSocket
    private let state = Observed(State())

    /// Without a script every request gets 200 and its own body back. Under load it had better keep no record.
    public init(
        on address: SocketAddress = .ipv4(port: 0), records: Bool = true, script: @escaping Script = FakeUpstream.echo
    ) throws {
        socket = try ListeningSocket(address)
        let state = state
        socket.accept { peer in Self.serve(peer, state, records, script) }
    }

    deinit { stop() }

    public static let echo: Script = { exchange in
        let body = try exchange.body()
        try exchange.reply(body: body.bytes)
    }

    public var address: SocketAddress { socket.address }
    public var requests: [Received] { state.current.received }
    public var connectionCount: Int { state.current.accepted }
    public var openConnectionCount: Int { state.current.open.count }

    /// The requests once there are so many complete ones.
    public func requests(_ count: Int, within seconds: Double = 30) throws -> [Received] {
        guard state.wait(seconds: seconds, until: { $0.received.filter(\.isComplete).count >= count }) else {
            throw SocketError.timeout("\(requests.count) of \(count) requests reached the upstream")
        }
        return requests
    }

    /// Waits until the heads of so many requests are here; their bodies may still be on the way.
    public func waitForHeads(_ count: Int = 1, within seconds: Double = 30) throws {
        guard state.wait(seconds: seconds, until: { $0.received.count >= count }) else {
            throw SocketError.timeout("\(requests.count) of \(count) heads reached the upstream")
        }
    }

    public func waitUntilIdle(connections: Int = 0, within seconds: Double = 30) -> Bool {
        state.wait(seconds: seconds) { $0.open.count <= connections }
    }

    /// Ends every open connection with FIN; the listener stays.
    public func closeConnections() {
        for peer in state.current.open.values { peer.abandon() }
    }

    public func stop() {
        socket.stop()
        state.change { $0.stopped = true }
        closeConnections()
    }

    private static func serve(_ peer: Peer, _ state: Observed<State>, _ records: Bool, _ script: Script) {
        peer.timeout = 60
        let connection = state.change { state in
            state.accepted += 1
            state.open[state.accepted - 1] = peer
            if state.stopped { peer.abandon() }
            return state.accepted - 1
        }
        defer {
            peer.close()
            state.change { _ = $0.open.removeValue(forKey: connection) }
        }
        while let head = try? peer.receiveHead() {
            let index = state.change { state in
                guard records else { return 0 }
                state.received.append(Received(connection: connection, head: head))
                return state.received.count - 1
            }
            let exchange = UpstreamExchange(head: head, peer: peer) { body in
                guard records else { return }
                state.change {
                    $0.received[index].body = body
                    $0.received[index].isComplete = true
                }
            }
            do {
                try script(exchange)
                _ = try exchange.body()
            } catch {
                return
            }
            if exchange.isOver { return }
        }
    }
}

/// One request in the hands of an upstream's script.
public final class UpstreamExchange {
    public let head: MessageHead
    /// For what `reply` cannot say: raw bytes, half closes, tunnels.
    public let peer: Peer
    private let bodyArrived: (MessageBody) -> Void
    private var known: MessageBody?
    fileprivate private(set) var isOver = false

    fileprivate init(head: MessageHead, peer: Peer, bodyArrived: @escaping (MessageBody) -> Void) {
        self.head = head
        self.peer = peer
        self.bodyArrived = bodyArrived
    }

    /// Reads the request's body, once. With a sink the pieces go there and are not kept.
    @discardableResult
    public func body(sink: (([UInt8]) throws -> Void)? = nil) throws -> MessageBody {
        if let known { return known }
        let body = try peer.receiveBody(of: head, isResponse: false, sink: sink)
        known = body
        bodyArrived(body)
        return body
    }

    public func send(_ text: String) throws {
        try peer.send(text)
    }

    public func reply(_ status: Int = 200, fields: [String] = [], body: [UInt8] = []) throws {
        let lines = ["HTTP/1.1 \(status) Scripted"] + fields + ["Content-Length: \(body.count)", "", ""]
        try peer.send(Array(lines.joined(separator: "\r\n").utf8) + (head.method == "HEAD" ? [] : body))
    }

    public func reply(_ status: Int = 200, fields: [String] = [], text: String) throws {
        try reply(status, fields: fields, body: Array(text.utf8))
    }

    /// No next request on this connection: FIN when the script returns.
    public func close() {
        isOver = true
        peer.closeWriting()
    }

    /// RST at once.
    public func reset() {
        isOver = true
        peer.reset()
    }
}
