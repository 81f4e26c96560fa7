// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Propagation

@testable import PropagatingProxy

/// One request through the parts an exchange is made of, in the order of `Exchange`, with bytes in place of sockets.
struct RequestPassage {
    private(set) var refusal: SyntaxError?
    private(set) var head: RequestHead?
    /// Of the head, before any is marked as removed.
    private(set) var fields: [FieldTable.Field] = []
    /// Everything that would go upstream.
    private(set) var sent: [UInt8] = []
    /// Of ``sent``, what is the head.
    private(set) var headCount = 0
    /// For a stream, apart from the body.
    private(set) var trailers: [UInt8] = []
    /// Bytes of the request, of those received.
    private(set) var consumed = 0
    private(set) var isComplete = false
    private let isTrusted: Bool

    /// - Parameters:
    ///   - size: bytes that arrive at a time.
    ///   - isTight: the upstream's buffer has little room.
    ///   - stream: how it ended, if the request came on one.
    ///   - toStream: the request goes on as one.
    init(
        _ received: [UInt8], through stage: Stage, _ listener: Int, _ limits: HeadLimits, size: Int, isTight: Bool,
        from stream: StreamText? = nil, toStream: Bool = false
    ) {
        isTrusted = stage.downstreams[listener].isTrusted
        var arriving = Arriving(received, size: size, pool: stage.worker.buffers)
        do throws(SyntaxError) {
            var seenCount = 0
            while head == nil, arriving.next() {
                let progress = try parseRequestHead(
                    arriving.buffer.readable, alreadySeen: seenCount, limits: limits, fields: &stage.worker.fields)
                if case .complete(let head) = progress { self.head = head }
                seenCount = arriving.buffer.count
            }
            if let stream, head?.framing == BodyFraming.none, !stream.endedWithHead { head?.framing = .untilClose }
            guard let head else { return }
            fields = (0..<stage.worker.fields.count).map { stage.worker.fields[$0] }
            sent = stage.upstreamHead(head, arriving.buffer, listener, toStream: toStream)
            headCount = sent.count
            arriving.consume(Int(head.length))
            let isOpen = head.framing == .chunked || head.framing == .untilClose
            var relay = BodyRelay(
                head.framing, streamGoesOn: stream.map { !$0.endedWithHead } ?? false,
                to: toStream ? .stream : isOpen ? .chunks : .plain)
            try arriving.pass(through: &relay, isTight: isTight, to: &sent)
            isComplete = relay.isComplete
            if let stream, stream.isWhole, !isComplete {
                isComplete = arriving.close(&relay, trailers: stream.trailers, to: &sent)
            }
            trailers = arriving.trailers
        } catch {
            refusal = error
        }
        consumed = arriving.consumed
    }

    /// No range of an accepted head points outside of it.
    func checkBounds() throws(BrokenLaw) {
        guard let head else { return }
        for part in [head.methodText, head.target, head.path, head.authority, head.upgrade] {
            try hold(part.end <= Int(head.length), "a part of the head lies outside")
        }
        try hold(head.pathCount <= head.path.count, "the path is longer than the target")
        for field in fields {
            try hold(field.line.end <= Int(head.length) - 2, "a line lies outside of the head")
            try hold(field.name.end < field.value.start && field.value.end <= field.line.end - 2, "a field overlaps")
        }
    }

    /// What ends at this hop does not go on, and what this proxy answers for goes on once.
    func checkFields(of message: PlainMessage) throws(BrokenLaw) {
        for name in ["keep-alive", "te", "proxy-connection", "http2-settings", "expect", "b3"] {
            try hold(message.values(name).isEmpty, "\(name) goes upstream")
        }
        try hold(message.values("tracestate").count <= 1, "tracestate goes upstream twice")
        if !isTrusted {
            let said = ["forwarded", "x-forwarded-for"].flatMap { message.values($0) }
            try hold(said == [Array("192.0.2.7".utf8)], "an outsider tells who asked")
        }
        for name in ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "traceparent", "x-request-id"] {
            try hold(message.values(name).count == 1, "\(name) does not go upstream once")
        }
        let upgrades = head?.upgrade.isEmpty == false
        try hold(message.values("upgrade").count == (upgrades ? 1 : 0), "Upgrade goes upstream unasked")
        let connection = message.values("connection")
        try hold(connection == (upgrades ? [Array("Upgrade".utf8)] : []), "Connection goes upstream")
    }
}
