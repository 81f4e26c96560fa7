// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1

/// What a collector answered.
struct CollectorResponse {
    var status: UInt16
    var keepAlive: Bool
    /// Retry-After in seconds; a date is not read, because our own back-off serves as well.
    var retryAfterSeconds: Int?
    /// The beginning of the body, if it was wanted.
    var body: [UInt8] = []

    /// `partial_success.rejected_spans` of an ExportTraceServiceResponse; 0 if all is well or nothing can be read.
    var rejectedSpans: Int {
        var outer = ProtoReader(body)
        while let field = outer.next() {
            guard field.number == 1, case .bytes(let range) = field.value else { continue }
            var inner = ProtoReader(Array(body[range]))  // bounded: a ProtoReader compares what it answers with
            while let field = inner.next() {
                if field.number == 1, case .varint(let count) = field.value { return Int(clamping: count) }
            }
        }
        return 0
    }
}

/// Reads one response out of what has arrived, interim ones skipped.
struct CollectorResponseReader {
    private static let keptBytes = 65_536

    let keepsBody: Bool
    /// The most body bytes that are read.
    let limit: Int
    private var response: CollectorResponse?
    private var framing = BodyFraming.none
    private var remaining: UInt64 = 0
    private var bodyCount = 0
    private var chunks = ChunkedDecoder()

    init(keepsBody: Bool, limit: Int) {
        self.keepsBody = keepsBody
        self.limit = limit
    }

    /// Consumes what it understands. The response once it is whole.
    mutating func read(_ bytes: inout Buffer, fields: inout FieldTable) throws(SyntaxError) -> CollectorResponse? {
        while response == nil {
            let progress = try parseResponseHead(
                bytes.readable, alreadySeen: 0, requestMethod: .post, limits: HeadLimits(), fields: &fields)
            guard case .complete(let head) = progress else { return nil }
            if head.status >= 200 { begin(head, bytes.readable, fields) }
            bytes.consume(Int(head.length))
        }
        return try readBody(&bytes)
    }

    private mutating func begin(_ head: ResponseHead, _ bytes: Span<UInt8>, _ fields: borrowing FieldTable) {
        var response = CollectorResponse(status: head.status, keepAlive: head.keepAlive)
        for index in 0..<fields.count {
            let field = fields[index]
            guard lowercasedEquals(bytes.extracting(field.name.range), "retry-after") else { continue }
            response.retryAfterSeconds = Int(
                String(decoding: array(bytes.extracting(field.value.range)), as: UTF8.self))
        }
        framing = head.framing
        if case .length(let count) = framing { remaining = count }
        self.response = response
    }

    private mutating func readBody(_ bytes: inout Buffer) throws(SyntaxError) -> CollectorResponse? {
        switch framing {
        case .none:
            return response
        case .length:
            let count = Int(clamping: min(UInt64(bytes.count), remaining))
            keep(bytes.readable.extracting(first: count))
            bytes.consume(count)
            remaining -= UInt64(count)
            return remaining == 0 ? response : cutIfTooLong()
        case .untilClose:
            keep(bytes.readable)
            bytes.consume(bytes.count)
            return cutIfTooLong()
        case .chunked:
            return try readChunks(&bytes)
        }
    }

    private mutating func readChunks(_ bytes: inout Buffer) throws(SyntaxError) -> CollectorResponse? {
        var offset = 0
        var isWhole = false
        reading: while true {
            switch try chunks.next(bytes.readable, offset: &offset) {
            case .needsMore: break reading
            case .data(let range): keep(bytes.readable.extracting(range.range))
            case .trailers: continue
            case .end:
                isWhole = true
                break reading
            }
        }
        bytes.consume(offset)
        return isWhole ? response : cutIfTooLong()
    }

    /// A body beyond the limit is not waited for; the status has said enough.
    private func cutIfTooLong() -> CollectorResponse? {
        guard bodyCount > limit, var response else { return nil }
        response.keepAlive = false
        return response
    }

    private mutating func keep(_ bytes: Span<UInt8>) {
        bodyCount += bytes.count
        guard keepsBody, let held = response?.body.count, held + bytes.count <= Self.keptBytes else { return }
        response?.body += array(bytes)
    }

    /// The response, if the end of the stream ends its body.
    func responseAtEnd() -> CollectorResponse? {
        guard case .untilClose = framing, var response else { return nil }
        response.keepAlive = false
        return response
    }
}

/// Walks the fields of a protocol buffers message; ends at anything malformed.
private struct ProtoReader {
    enum Value {
        case varint(UInt64)
        case bytes(Range<Int>)
    }

    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func next() -> (number: UInt64, value: Value)? {
        guard let tag = varint() else { return nil }
        switch tag & 7 {
        case 0: return varint().map { (tag >> 3, .varint($0)) }
        case 2:
            guard let length = varint(), length <= UInt64(bytes.count - offset) else { return nil }
            let range = offset..<offset + Int(length)
            offset = range.upperBound
            return (tag >> 3, .bytes(range))
        default: return nil
        }
    }

    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard offset < bytes.count else { return nil }
            let byte = bytes[offset]
            offset += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }
}
