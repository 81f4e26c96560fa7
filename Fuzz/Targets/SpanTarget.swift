// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Propagation

@testable import SpanEmitter

/// Spans with any content: both JSON encodings are JSON, ids, times and text arrive as they were, and the collector
/// cannot take one for the other. The binary encodings must not trap.
///
/// Input: the values of a record, see ``RecordFeed``.
final class SpanTarget: FuzzTarget {
    private let ring = SpanRing(capacity: 2)

    func check(_ input: [UInt8]) throws(BrokenLaw) {
        var feed = Feed(input)
        let names = feed.names()
        var span = feed.record()
        let profile = TagProfile.allCases[Int(feed.byte()) % 3]
        let binary: [SpanEncoding] = [.zipkinV1Thrift, .zipkinV2Proto, .otlpProtobuf]
        let encoding = binary[Int(feed.byte()) % 3]
        feed.addCall(to: &span)
        try hold(!encode(&span, encoding, profile, names).isEmpty, "nothing is written")
        let v1 = try parse(encode(&span, .zipkinV1JSON, profile, names), without: ["Endpoint\"", "\"tags\""])
        let v2 = try parse(encode(&span, .zipkinV2JSON, profile, names), without: ["yAnnotations\""])
        try hold(v1.count == Int(span.spanCount) && v2.count == v1.count, "a span is lost")
        for index in v1.indices {
            try checkV1(span, v1[index])
            try checkV2(span, v2[index], profile)
            span.swapAttempt()
        }
    }

    /// Through the ring, as the reporter does it: a record, and the attempt it brings along.
    private func encode(
        _ span: inout SpanRecord, _ encoding: SpanEncoding, _ profile: TagProfile, _ names: SpanNames
    ) -> [UInt8] {
        let encoder = SpanEncoder(encoding, profile: profile, names: names)
        var spans = ByteWriter()
        ring.push(&span)
        ring.visit(1) { record in
            encoder.encode(&record, into: &spans)
            guard record.hasAttempt else { return }
            record.swapAttempt()
            encoder.encode(&record, into: &spans)
            record.swapAttempt()
        }
        ring.free(1)
        let bytes = spans.span.extracting(droppingFirst: encoder.frame.skippedCount)
        var body = ByteWriter()
        encoder.frame.writePrefix(spans: Int(span.spanCount), byteCount: bytes.count, into: &body)
        body.append(bytes)
        body.append(encoder.frame.suffix)
        return array(body.span)
    }

    /// - Parameter marks: by which a collector would take the body for the other version.
    private func parse(_ body: [UInt8], without marks: [String]) throws(BrokenLaw) -> [StrictJSON] {
        for mark in marks {
            let isIn = body.indices.contains { body[$0] == mark.utf8.first && body[$0...].starts(with: mark.utf8) }
            try hold(!isIn, "a collector may take it for the other version")
        }
        do {
            return try StrictJSON(body).items
        } catch {
            throw BrokenLaw(law: "\(error) in \(String(decoding: body, as: UTF8.self))")
        }
    }

    private func checkV1(_ span: SpanRecord, _ json: StrictJSON) throws(BrokenLaw) {
        try checkIDs(span, json)
        let times = json["annotations"]?.items.map { $0["timestamp"] }
        let end = span.startMicroseconds &+ span.durationMicroseconds
        try hold(times == [.integer(span.startMicroseconds), .integer(end)], "annotations have other times")
    }

    private func checkV2(_ span: SpanRecord, _ json: StrictJSON, _ profile: TagProfile) throws(BrokenLaw) {
        try checkIDs(span, json)
        try hold(json["timestamp"] == .integer(span.startMicroseconds), "the start changes")
        try hold(json["duration"] == .integer(span.durationMicroseconds), "the duration changes")
        guard profile == .zipkin, !span.texts.path.isEmpty else { return }
        let path = String(decoding: array(span.texts.path), as: UTF8.self)
        try hold(json["tags"]?["http.path"] == .text(path), "the path changes")
    }

    private func checkIDs(_ span: SpanRecord, _ json: StrictJSON) throws(BrokenLaw) {
        try hold(json["id"] == .text(Feed.hex(span.spanID.value)), "the id changes")
        let high = span.traceID.isShort ? "" : Feed.hex(span.traceID.high)
        try hold(json["traceId"] == .text(high + Feed.hex(span.traceID.low)), "the trace id changes")
    }
}
