// SPDX-License-Identifier: Apache-2.0
import Propagation

/// Trace fields of a caller: what is written for the next hop keeps the grammar and its bounds, and reading it back and
/// writing it again changes nothing.
///
/// Input: a byte that chooses formats and trust, then field lines `name:value` parted by line feeds.
final class TraceTarget: FuzzTarget {
    private static let orders: [FormatList] = [
        [.b3Single, .b3Multi, .traceContext], [.traceContext, .b3Single, .b3Multi], [.b3Multi, .traceContext],
        [.b3Single],
    ]

    func check(_ input: [UInt8]) throws(BrokenLaw) {
        guard let choice = input.first else { return }
        let trust: Trust = choice & 12 == 0 ? .none : choice & 12 == 4 ? .ids : .all
        let fields = input.dropFirst().split(separator: 10).compactMap { line -> TraceFields.Line? in
            line.firstIndex(of: 58).map { (Array(line[..<$0]), Array(line[($0 + 1)...])) }
        }
        let formats = Self.orders[Int(choice & 3)]
        let read = TraceFields(fields, formats, trust: trust)
        let joined = TraceFields(TraceFields.joined(fields), formats, trust: trust)
        try hold(read.isSame(as: joined), "lines of one name differ from their values joined by commas")
        try checkIDs(read.extracted, trust)
        try checkState(read)
        var random = Counting()
        let traceID = Hop.traceID(for: read.extracted, width: choice & 16 == 0 ? .full : .short, random: &random)
        let sampling = read.extracted.context.sampling
        let modes: [SpanMode] = [.single, .join, .newChild, .sidecar]
        let mode = modes[Int(choice >> 5 & 3)]
        let hop = Hop(
            read.extracted, traceID: traceID, sampling: sampling == .undecided ? .accept : sampling, mode: mode,
            random: &random)
        for format in TraceFormat.allCases { try checkWriting(hop.attempt(random: &random), format) }
    }

    private func checkIDs(_ extracted: Extracted, _ trust: Trust) throws(BrokenLaw) {
        let context = extracted.context
        let isContinued = extracted.outcome == .continued
        try hold(context.traceID.isNone != isContinued && context.spanID.isNone != isContinued, "ids without a trace")
        try hold(context.parentID != context.spanID || context.spanID.isNone, "a span is its own parent")
        try hold(trust != .none || extracted.outcome == .none, "a caller without trust is believed")
        try hold(trust == .all || context.sampling == .undecided, "a caller decides without being trusted to")
    }

    private func checkWriting(_ context: TraceContext, _ format: TraceFormat) throws(BrokenLaw) {
        let written = TraceFields.written(context, [format])
        try TraceGrammar.check(written, format)
        let again = TraceFields(written, [format], trust: .all).extracted
        try hold(again.outcome == .continued && again.malformed.isEmpty, "what is written cannot be read")
        try hold(again.context.traceID.isSameTrace(as: context.traceID), "the trace changes")
        try hold(again.context.spanID == context.spanID, "the span changes")
        let twice = TraceFields.written(again.context, [format])
        try hold(TraceFields.isSame(written, twice), "reading and writing again changes the fields")
    }

    private func checkState(_ read: TraceFields) throws(BrokenLaw) {
        guard let line = read.stateLine else { return }
        try TraceGrammar.check(state: line)
        try hold(
            TraceFields([line], [.traceContext], trust: .all).stateLine?.1 == line.1,
            "tracestate changes when read again")
    }
}

/// Ids that can be told apart.
private struct Counting: RandomNumberGenerator {
    var state: UInt64 = 0x1234_5678_9ABC_DEF0
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return state
    }
}
