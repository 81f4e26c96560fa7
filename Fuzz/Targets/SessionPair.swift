// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2

/// A client and a server that are given each other's bytes, or frames written by hand.
final class SessionPair {
    let pool: BufferPool
    let client: HTTP2Session
    let server: HTTP2Session
    private var isOver = false

    init(_ pool: BufferPool) throws(BrokenLaw) {
        self.pool = pool
        do {
            client = try HTTP2Session(.client, limits: HTTP2Limits(), buffers: pool)
            server = try HTTP2Session(.server, limits: HTTP2Limits(), buffers: pool)
        } catch { throw BrokenLaw(law: "no session: \(error)") }
    }

    /// Carries bytes both ways until neither side has any. Readers take what comes, so that no window closes.
    func carry(_ whenMoved: () -> Void = {}) {
        while move(client, server) || move(server, client) { whenMoved() }
    }

    private func move(_ from: HTTP2Session, _ to: HTTP2Session) -> Bool {
        guard from.wantsWrite else { return false }
        var out = Buffer(pool: pool)
        from.write(into: &out)
        guard !out.isEmpty else { return false }
        give(out, to)
        return true
    }

    private func give(_ out: borrowing Buffer, _ to: HTTP2Session) {
        _ = to.receive(out.readable, nowMicroseconds: 1)
    }

    /// Frames by hand, in pieces.
    func give(_ frames: [UInt8], to session: HTTP2Session, size: Int) {
        var rest = frames[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(size))
            rest = rest.dropFirst(size)
            guard session.receive(piece.span, nowMicroseconds: 1) else { return }
        }
    }

    /// Every stream is let go.
    func end(_ streams: HTTP2Stream?...) {
        client.connectionLost()
        server.connectionLost()
        for case let stream? in streams { stream.close(isCut: false) }
        while client.takeNews() != nil {}
        while let stream = server.takeNews() { stream.close(isCut: false) }
    }
}
