// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1

@testable import PropagatingProxy

/// One response through the parts an exchange is made of, in the order of `Exchange`, with bytes in place of sockets.
struct ResponsePassage {
    /// What the request was like.
    struct Asked {
        var method: HTTP1.Method
        var minorVersion: UInt8
        var keepsAlive: Bool
        var addsVia: Bool

        init(_ choice: UInt8) {
            method = choice & 3 == 0 ? .head : choice & 3 == 1 ? .post : .get
            minorVersion = choice >> 2 & 1
            keepsAlive = choice & 8 != 0
            addsVia = choice & 16 != 0
        }
    }

    private(set) var refusal: SyntaxError?
    private(set) var head: ResponseHead?
    /// Everything that would go downstream.
    private(set) var sent: [UInt8] = []
    /// Of ``sent``, what is the head.
    private(set) var headCount = 0
    /// For a stream, apart from the body.
    private(set) var trailers: [UInt8] = []
    /// Bytes of the response, of those received.
    private(set) var consumed = 0
    private(set) var isComplete = false
    private(set) var writesChunks = false

    /// - Parameters:
    ///   - stream: how it ended, if the response came on one.
    ///   - toStream: the response goes on as one.
    init(
        _ received: [UInt8], through stage: Stage, _ asked: Asked, size: Int, isTight: Bool,
        from stream: StreamText? = nil, toStream: Bool = false
    ) {
        var arriving = Arriving(received, size: size, pool: stage.worker.buffers)
        do throws(SyntaxError) {
            var seenCount = 0
            while head == nil, arriving.next() {
                let progress = try parseResponseHead(
                    arriving.buffer.readable, alreadySeen: seenCount, requestMethod: asked.method,
                    limits: HeadLimits(), fields: &stage.worker.fields)
                if case .complete(let head) = progress { self.head = head }
                seenCount = arriving.buffer.count
            }
            if let stream, stream.endedWithHead { head?.endWithHead(saysLength: true) }
            guard let head else { return }
            let changes = Self.changes(head, asked, toStream: toStream)
            writesChunks = changes.writesChunks
            sent = stage.downstreamHead(head, arriving.buffer, changes)
            headCount = sent.count
            arriving.consume(Int(head.length))
            var relay = BodyRelay(
                head.framing, streamGoesOn: stream.map { !$0.endedWithHead } ?? false,
                to: toStream ? .stream : writesChunks ? .chunks : .plain)
            try arriving.pass(through: &relay, isTight: isTight, to: &sent)
            isComplete = relay.isComplete
            if !isComplete, stream?.isWhole ?? true {
                isComplete = arriving.close(&relay, trailers: stream?.trailers ?? [], to: &sent)
            }
            trailers = arriving.trailers
        } catch {
            refusal = error
        }
        consumed = arriving.consumed
    }

    /// As `Exchange` decides; of 1xx the heads alone pass.
    private static func changes(_ head: ResponseHead, _ asked: Asked, toStream: Bool) -> ResponseWriter.Changes {
        var changes = ResponseWriter.Changes()
        guard head.status >= 200 else {
            changes.upgrades = !head.upgrade.isEmpty
            return changes
        }
        let isOpen = !toStream && (head.framing == .untilClose || head.framing == .chunked)
        changes.writesChunks = isOpen && asked.minorVersion == 1
        changes.closes = !asked.keepsAlive || isOpen && asked.minorVersion == 0
        changes.keepsAlive10 = asked.minorVersion == 0 && !changes.closes
        changes.addsVia = asked.addsVia
        return changes
    }

    /// What ends at this hop does not go on.
    func checkFields(of message: PlainMessage) throws(BrokenLaw) {
        for name in ["keep-alive", "te", "proxy-connection", "http2-settings"] {
            try hold(message.values(name).isEmpty, "\(name) goes downstream")
        }
        try hold(message.values("connection").count <= 1, "Connection goes downstream twice")
        let upgrades = head?.upgrade.isEmpty == false
        try hold(message.values("upgrade").count == (upgrades ? 1 : 0), "Upgrade goes downstream unasked")
    }
}
