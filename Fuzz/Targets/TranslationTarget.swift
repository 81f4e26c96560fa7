// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import HTTP2

@testable import PropagatingProxy

/// Messages from HTTP/2 to HTTP/1.1 and back: what goes on is one strict message with the fields, the body and the
/// trailers that came, and nothing else. Heads of HTTP/1.1 that are accepted are good HTTP/2.
///
/// Input: a byte that chooses the direction, the listener and the pieces, a byte for what was asked and how the message
/// ends; then a message as `FieldList` reads it, a raw header block, or HTTP/1.1.
final class TranslationTarget: FuzzTarget {
    private let stage: Stage

    init() throws { stage = try Stage(Stage.example) }

    func check(_ input: [UInt8]) throws(BrokenLaw) {
        guard input.count > 2 else { return }
        let plan = Plan(input)
        let pair = try SessionPair(stage.worker.buffers)
        switch input[0] >> 6 {
        case 0: try requestArrives(input[2...], plan, pair)
        case 1: try responseArrives(input[2...], plan, pair)
        case 2: try requestGoes(Array(input[2...]), plan, pair)
        default: try responseGoes(Array(input[2...]), plan, pair)
        }
        try hold(stage.linesAgree, "the lines of a written head are others")
        try hold(pair.client.streamCount == 0 && pair.server.streamCount == 0, "streams are left")
    }

    /// What the first two bytes choose.
    private struct Plan {
        let size: Int
        let listener: Int
        let hasTrailers: Bool
        let isRaw: Bool
        let isTight: Bool
        let asked: ResponsePassage.Asked

        init(_ input: [UInt8]) {
            size = Pieces.size(input[0], of: input.count)
            listener = Int(input[0] >> 4 & 3)
            hasTrailers = input[1] & 1 != 0
            isRaw = input[1] & 2 != 0
            isTight = input[1] & 4 != 0
            asked = ResponsePassage.Asked(input[1] >> 3)
        }

        /// Bytes of a DATA frame, or of a piece for an exchange.
        var part: Int { min(size, 8192) }
    }

    // MARK: HTTP/2 to HTTP/1.1

    private func requestArrives(_ input: ArraySlice<UInt8>, _ plan: Plan, _ pair: SessionPair) throws(BrokenLaw) {
        let list = FieldList(input, hasTrailers: plan.hasTrailers, pseudo: Self.request)
        let frames = plan.isRaw ? Self.raw(input, stream: 1) : list.frames(stream: 1, size: plan.part)
        pair.give(Frames.preface + Frames.settings + frames, to: pair.server, size: plan.size)
        guard let stream = pair.server.takeNews() else { return pair.end() }
        let text = StreamText(of: stream, pair.pool)
        let isRefused = stream.refusal != 0
        try hold(text.linesAgree, "the lines of a request are others")
        pair.end(stream)
        guard !isRefused else {
            return try hold(plan.isRaw || list.body.starts(with: text.bytes), "a refused head is told")
        }
        let passage = RequestPassage(
            text.bytes, through: stage, plan.listener, HeadLimits(), size: plan.part, isTight: plan.isTight, from: text)
        try passage.checkBounds()
        if text.isWhole, !plan.isRaw { try judge(text, list, isRequest: true) }
        guard let head = passage.head else { return try hold(passage.sent.isEmpty, "sent without a head") }
        let came = try PlainMessage(text.bytes, isRequest: true, isReceived: true)
        let went = try PlainMessage(passage.sent, isRequest: true)
        try passage.checkFields(of: went)
        try Self.compare(came.fields, went.fields, except: Self.ownOfRequests)
        try Self.judge(
            text, came, went, isComplete: passage.isComplete, isChunked: head.framing == .untilClose, isEmpty: false)
    }

    private func responseArrives(_ input: ArraySlice<UInt8>, _ plan: Plan, _ pair: SessionPair) throws(BrokenLaw) {
        let list = FieldList(input, hasTrailers: plan.hasTrailers, pseudo: [RawField(":status", "200")])
        guard let stream = pair.client.open()?.object else { throw BrokenLaw(law: "no stream") }
        let method = plan.asked.method == .head ? "HEAD" : plan.asked.method == .post ? "POST" : "GET"
        _ = stream.send(Array("\(method) / HTTP/1.1\r\nhost: a.test\r\n\r\n".utf8).span)
        stream.shutdownWrite()
        pair.carry()
        let frames = plan.isRaw ? Self.raw(input, stream: 1) : list.frames(stream: 1, size: plan.part)
        pair.give(frames, to: pair.client, size: plan.size)
        while pair.client.takeNews() != nil {}
        let text = StreamText(of: stream, pair.pool)
        try hold(text.linesAgree, "the lines of a response are others")
        pair.end(stream)
        if text.isWhole, !plan.isRaw { try judge(text, list, isRequest: false) }
        try judge(response: text, plan)
    }

    /// Heads of 1xx, then a final one, as an exchange takes them.
    private func judge(response text: StreamText, _ plan: Plan) throws(BrokenLaw) {
        var rest = text.bytes
        while !rest.isEmpty {
            let passage = ResponsePassage(
                rest, through: stage, plan.asked, size: plan.part, isTight: plan.isTight, from: text)
            guard let head = passage.head else { return try hold(passage.sent.isEmpty, "sent without a head") }
            let came = try PlainMessage(rest, isRequest: false, isReceived: true)
            let went = try PlainMessage(passage.sent, isRequest: false)
            try hold(came.start[1] == went.start[1], "the status changes")
            try passage.checkFields(of: went)
            try Self.compare(came.fields, went.fields, except: Self.ownOfResponses)
            guard head.status < 200 else {
                let isEmpty = plan.asked.method == .head || head.status == 204 || head.status == 304
                return try Self.judge(
                    text, came, went, isComplete: passage.isComplete, isChunked: passage.writesChunks, isEmpty: isEmpty)
            }
            rest.removeFirst(Int(head.length))
        }
    }

    /// What the stream tells is what was listed.
    private func judge(_ text: StreamText, _ list: FieldList, isRequest: Bool) throws(BrokenLaw) {
        // Behind an interim head that section is the final one.
        if list.trailers?.contains(where: \.isPseudo) == true { return }
        let head = Array(list.lines(isRequest: isRequest).map { $0 + [13, 10] }.joined()) + [13, 10]
        try hold(text.bytes == head + list.body, "the text is not what was listed: \(Self.shown(text.bytes))")
        try hold(text.trailers == list.trailerLines, "trailers are not what was listed: \(Self.shown(text.trailers))")
        try hold(text.endedWithHead == (list.body.isEmpty && list.trailers == nil), "a head that ends is another")
    }

    /// The body that goes on is the one that came.
    private static func judge(
        _ text: StreamText, _ came: PlainMessage, _ went: PlainMessage, isComplete: Bool, isChunked: Bool, isEmpty: Bool
    ) throws(BrokenLaw) {
        try hold(!text.isWhole || isComplete, "a whole body is cut")
        guard isChunked else {
            if isEmpty { return try hold(went.rest.isEmpty, "a body out of nothing") }
            try hold(came.rest.starts(with: went.rest), "the body changes")
            return try hold(!isComplete || went.rest.count == came.rest.count, "a part of the body is lost")
        }
        let chunks = PlainChunks(went.rest, maximum: (extensions: 0, trailers: 65_536))
        try hold(came.rest.starts(with: chunks.body), "the body changes")
        guard isComplete else { return try hold(chunks.end == .cut, "a cut body passes for whole") }
        try hold(text.isWhole && chunks.end == .whole, "a body is whole on one side")
        try hold(chunks.body.elementsEqual(came.rest) && chunks.byteCount == went.rest.count, "the body changes")
        try hold(chunks.trailers == PlainChunks.passed(text.trailers), "trailers change")
    }

    // MARK: HTTP/1.1 to HTTP/2

    private func requestGoes(_ received: [UInt8], _ plan: Plan, _ pair: SessionPair) throws(BrokenLaw) {
        let passage = RequestPassage(
            received, through: stage, plan.listener, HeadLimits(), size: plan.part, isTight: plan.isTight,
            toStream: true)
        guard passage.head != nil, passage.refusal == nil, !Self.isLarge(trailers: passage.trailers),
            let near = pair.client.open()?.object
        else { return pair.end() }
        Self.send(passage.sent, passage.headCount, passage.trailers, isWhole: passage.isComplete, on: near, pair)
        guard let far = pair.server.takeNews() else {
            pair.end(near)
            return try hold(!passage.isComplete, "a good request is refused: \(Self.shown(passage.sent))")
        }
        let isRefused = far.refusal != 0
        let text = Self.carry(from: far, pair)
        pair.end(near, far)
        let head = try PlainMessage(Array(passage.sent[..<passage.headCount]), isRequest: true)
        guard !isRefused else { return try hold(Self.isLarge(head), "a small head is too large") }
        try Self.judge(
            text, head, passage.sent[passage.headCount...], passage.trailers, isWhole: passage.isComplete,
            isRequest: true)
    }

    private func responseGoes(_ received: [UInt8], _ plan: Plan, _ pair: SessionPair) throws(BrokenLaw) {
        let passage = ResponsePassage(
            received, through: stage, plan.asked, size: plan.part, isTight: plan.isTight, toStream: true)
        guard let head = passage.head, passage.refusal == nil, head.status != 100, head.status != 101,
            !Self.isLarge(trailers: passage.trailers), let near = pair.client.open()?.object
        else { return pair.end() }
        let method = plan.asked.method == .head ? "HEAD" : "GET"
        _ = near.send(Array("\(method) / HTTP/1.1\r\nhost: a.test\r\n\r\n".utf8).span)
        near.shutdownWrite()
        pair.carry()
        guard let far = pair.server.takeNews() else { throw BrokenLaw(law: "no request") }
        let isInterim = head.status < 200
        let sent = passage.sent + (isInterim ? Self.final : [])
        if isInterim { _ = far.send(Array(passage.sent).span) }
        let (rest, count) = isInterim ? (Self.final, Self.final.count) : (sent, passage.headCount)
        let isWhole = isInterim || passage.isComplete
        Self.send(rest, count, passage.trailers, isWhole: isWhole, on: far, pair)
        var text = Self.carry(from: near, pair)
        pair.end(near, far)
        let went = try PlainMessage(Array(passage.sent[..<passage.headCount]), isRequest: false)
        if Self.isLarge(went) { return }
        guard isInterim else {
            return try Self.judge(
                text, went, passage.sent[count...], passage.trailers, isWhole: isWhole, isRequest: false)
        }
        try hold(text.isWhole, "a good response fails: \(Self.shown(sent))")
        let hasFinal = text.dropEnd(Array("HTTP/1.1 200 \r\n\r\n".utf8))
        try hold(hasFinal, "the final response changes")
        try Self.judge(text, went, [], [], isWhole: true, isRequest: false)
    }

    private static let final = Array("HTTP/1.1 200 OK\r\n\r\n".utf8)

    /// A head in one piece, then the body as the stream takes it.
    private static func send(
        _ bytes: [UInt8], _ headCount: Int, _ trailers: [UInt8], isWhole: Bool, on stream: HTTP2Stream,
        _ pair: SessionPair
    ) {
        _ = stream.send(Array(bytes[..<headCount]).span)
        // At most 16,384 bytes, for which there is room without a window.
        if headCount < bytes.count { _ = stream.send(Array(bytes[headCount...]).span) }
        if isWhole {
            if !trailers.isEmpty { stream.sendTrailers(trailers.span) }
            stream.shutdownWrite()
        } else {
            pair.carry()
            stream.reset(.internalError)
        }
        pair.carry()
    }

    private static func carry(from stream: HTTP2Stream, _ pair: SessionPair) -> StreamText {
        var text = StreamText(of: stream, pair.pool)
        pair.carry { text.read(stream, pair.pool) }
        return text
    }

    /// What arrives on the other side is what was sent, without what HTTP/2 has no place for.
    private static func judge(
        _ text: StreamText, _ head: PlainMessage, _ body: ArraySlice<UInt8>, _ trailers: [UInt8], isWhole: Bool,
        isRequest: Bool
    ) throws(BrokenLaw) {
        guard isWhole else { return try hold(!text.isWhole, "a cut body passes for whole") }
        try hold(text.isWhole, "a good message fails: \(head.fields)")
        let arrived = try PlainMessage(text.bytes, isRequest: isRequest, isReceived: true)
        try hold(arrived.start[1] == head.start[1], "target or status change")
        if isRequest { try hold(arrived.start[0] == head.start[0], "the method changes") }
        try hold(arrived.fields == expected(head.fields, isRequest: isRequest), "fields change: \(arrived.fields)")
        try hold(arrived.rest.elementsEqual(body), "the body changes")
        let lines = trailers.split(separator: 10).map { $0.dropLast() }
        var fields: [PlainField] = []
        for line in lines {
            do { fields.append(try PlainField(line)) } catch { throw BrokenLaw(law: "a malformed trailer goes on") }
        }
        let wanted = expected(fields, isRequest: false)
        let found = text.trailers.split(separator: 10).compactMap { try? PlainField($0.dropLast()) }
        try hold(found == wanted, "trailers change: \(shown(text.trailers))")
    }

    private static func expected(_ fields: [PlainField], isRequest: Bool) -> [PlainField] {
        var expected = isRequest ? fields.filter { $0.name == "host" } : []
        for var field in fields where !dropped.contains(field.name) && !(isRequest && field.name == "cookie") {
            if field.name == "te" {
                guard field.value.split(separator: 44).contains(where: { trimmed($0) == "trailers" }) else { continue }
                field.value = Array("trailers".utf8)
            }
            expected.append(field)
        }
        let cookies = fields.filter { isRequest && $0.name == "cookie" }
        let values = cookies.map(\.value).filter { !$0.isEmpty }
        if var joined = cookies.first, !values.isEmpty {
            joined.value = Array(values.joined(separator: [59, 32]))
            expected.append(joined)
        }
        return expected
    }

    private static func trimmed(_ word: ArraySlice<UInt8>) -> String {
        String(decoding: word.filter { $0 != 32 && $0 != 9 }, as: UTF8.self).lowercased()
    }

    private static let dropped: Set<String> = [
        "host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings",
    ]

    /// Over the limits of the other side.
    private static func isLarge(_ head: PlainMessage) -> Bool {
        head.fields.count > 90 || head.fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.count + 32 } > 60_000
    }

    private static func isLarge(trailers: [UInt8]) -> Bool {
        let count = trailers.count { $0 == 10 }
        return count > 90 || trailers.count + 32 * count > 60_000
    }

    // MARK: Fields

    /// Fields that are not the proxy's own go on in their order, and no other comes up.
    private static func compare(
        _ came: [PlainField], _ went: [PlainField], except own: Set<String>
    ) throws(BrokenLaw) {
        let isOurs = { (name: String) in own.contains(name) || name.hasPrefix("x-forwarded-") }
        let (came, went) = (came.filter { !isOurs($0.name) }, went.filter { !isOurs($0.name) })
        try hold(came == went, "fields came: \(came), went: \(went)")
    }

    private static let ownOfRequests: Set<String> = [
        "host", "te", "expect", "connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings",
        "transfer-encoding", "content-length", "forwarded", "via", "x-request-id", "b3", "traceparent", "tracestate",
        "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags",
    ]
    private static let ownOfResponses: Set<String> = [
        "te", "connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "transfer-encoding",
        "content-length", "via", "expect",
    ]

    private static let request = [
        RawField(":method", "POST"), RawField(":scheme", "http"), RawField(":path", "/a/b?c"),
        RawField(":authority", "a.test"),
    ]

    private static func raw(_ block: ArraySlice<UInt8>, stream: UInt32) -> [UInt8] {
        Frames.head(Array(block), flags: Frames.endStream, stream: stream)
    }

    private static func shown(_ bytes: [UInt8]) -> String { String(decoding: bytes.prefix(600), as: UTF8.self) }
}
