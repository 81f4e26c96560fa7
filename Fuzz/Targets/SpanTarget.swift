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
    func check(_ input: [UInt8]) throws(BrokenLaw) {
        var feed = Feed(input)
        let names = feed.names()
        let span = feed.record()
        let profile = TagProfile.allCases[Int(feed.byte()) % 3]
        try checkV1(span, Self.encode(span, .zipkinV1JSON, profile, names))
        try checkV2(span, Self.encode(span, .zipkinV2JSON, profile, names), profile)
        let binary: [SpanEncoding] = [.zipkinV1Thrift, .zipkinV2Proto, .otlpProtobuf]
        try hold(!Self.encode(span, binary[Int(feed.byte()) % 3], profile, names).isEmpty, "nothing is written")
    }

    private static func encode(
        _ span: SpanRecord, _ encoding: SpanEncoding, _ profile: TagProfile, _ names: SpanNames
    ) -> [UInt8] {
        let encoder = SpanEncoder(encoding, profile: profile, names: names)
        var spans = ByteWriter()
        for _ in 0..<2 { encoder.encode(span, into: &spans) }
        var body = ByteWriter()
        encoder.frame.write(spans.span, count: 2, into: &body)
        return array(body.span)
    }

    private func parse(_ body: [UInt8]) throws(BrokenLaw) -> StrictJSON {
        do {
            let spans = try StrictJSON(body).items
            try hold(spans.count == 2 && spans[0] == spans[1], "two equal spans are not written alike")
            return spans[0]
        } catch {
            throw BrokenLaw(law: "\(error) in \(String(decoding: body, as: UTF8.self))")
        }
    }

    private func checkV1(_ span: SpanRecord, _ body: [UInt8]) throws(BrokenLaw) {
        let json = try parse(body)
        try hold(!contains(body, "Endpoint\"") && !contains(body, "\"tags\""), "a collector may take v1 for v2")
        try checkIDs(span, json)
        let times = json["annotations"]?.items.map { $0["timestamp"] }
        let end = span.startMicroseconds &+ span.durationMicroseconds
        try hold(times == [.integer(span.startMicroseconds), .integer(end)], "annotations have other times")
    }

    private func checkV2(_ span: SpanRecord, _ body: [UInt8], _ profile: TagProfile) throws(BrokenLaw) {
        let json = try parse(body)
        try hold(!contains(body, "yAnnotations\""), "a collector may take v2 for v1")
        try checkIDs(span, json)
        try hold(json["timestamp"] == .integer(span.startMicroseconds), "the start changes")
        try hold(json["duration"] == .integer(span.durationMicroseconds), "the duration changes")
        guard profile == .zipkin, !span.path.isEmpty else { return }
        let path = String(decoding: array(span.path.span), as: UTF8.self)
        try hold(json["tags"]?["http.path"] == .text(path), "the path changes")
    }

    private func checkIDs(_ span: SpanRecord, _ json: StrictJSON) throws(BrokenLaw) {
        try hold(json["id"] == .text(Feed.hex(span.spanID.value)), "the id changes")
        let high = span.traceID.isShort ? "" : Feed.hex(span.traceID.high)
        try hold(json["traceId"] == .text(high + Feed.hex(span.traceID.low)), "the trace id changes")
    }

    private func contains(_ body: [UInt8], _ text: String) -> Bool {
        body.indices.contains { body[$0] == text.utf8.first && body[$0...].starts(with: text.utf8) }
    }
}
