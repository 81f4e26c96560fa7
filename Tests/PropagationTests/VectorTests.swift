// SPDX-License-Identifier: Apache-2.0
import Propagation
import Testing

@Suite("B3 and W3C vectors")
struct VectorTests {
    @Test("Every B3 request continues, hints or restarts as the vectors say", arguments: Vectors.b3.extract)
    func b3Extract(row: B3ExtractRow) {
        let extracted = extract(row.headers)
        #expect("\(extracted.outcome)".replacing("continued", with: "continue") == row.expect.outcome)
        #expect(digits(extracted.context.traceID) == row.expect.traceId)
        #expect(digits(extracted.context.spanID) == row.expect.spanId)
        #expect(digits(extracted.context.parentID) == row.expect.parentId)
        #expect(samplings[extracted.context.sampling] == row.expect.sampling)
        let names: [String: MalformedFields] = [
            "b3": .b3, "traceId": .traceID, "spanId": .spanID, "parentId": .parentSpanID, "sampled": .sampled,
            "duplicate": .duplicate,
        ]
        #expect(extracted.malformed == MalformedFields(row.expect.malformed.compactMap { names[$0] }))
    }

    @Test("Every context is written as the vectors say, in both B3 forms", arguments: Vectors.b3.inject)
    func b3Inject(row: InjectRow) {
        #expect(inject(row.context.context, [.b3Multi]) == row.multi)
        #expect(inject(row.context.context, [.b3Single]) == [["b3", row.single]])
    }

    @Test("Spans hang together and upstream gets the fields the vectors say", arguments: Vectors.b3.flow)
    func flow(row: FlowRow) {
        let extracted = extract(row.incoming)
        // Ids in the order they are drawn: the trace's halves when it starts here, the SERVER, each attempt.
        var random = CountingIDs([0xA1, 0xC1, 0xC2])
        if extracted.outcome != .continued { random.numbers.insert(contentsOf: [0x4848_5A39_53BB_6124, 1], at: 0) }
        let mode: SpanMode = row.mode == "join" ? .join : row.mode == "single-span" ? .single : .newChild
        var traceID = Hop.traceID(for: extracted, width: .full, random: &random)
        if extracted.outcome != .continued {
            #expect(traceID == TraceID(high: 1, low: 0x4848_5A39_53BB_6124))
            traceID = shownTraceID
        }
        var sampler = Sampler(threshold: .always)
        let decision = sampler.decide(extracted, traceID: traceID, rule: .inherit, nowMicroseconds: 0)
        #expect(samplings[decision.sampling] == row.decision)
        if mode == .join { random.numbers = [0xA1, 0xC1] }
        let hop = Hop(extracted, traceID: traceID, sampling: decision.sampling, mode: mode, random: &random)

        if let inbound = row.spans.first {
            #expect(digits(hop.inbound.spanID) == inbound.id)
            #expect(digits(hop.inbound.parentID) == inbound.parentId)
            #expect(hop.isShared == inbound.shared)
        }
        #expect(hop.reportsAttempts == (row.mode != "single-span"))
        for fields in row.upstream.attempts {
            let attempt = hop.attempt(random: &random)
            #expect(inject(attempt, [.b3Multi], emitsFlagsZero: row.mode == "single-span") == fields)
            #expect(attempt.parentID == hop.inbound.spanID)
        }
    }

    @Test("Every traceparent and tracestate is read as the vectors say", arguments: Vectors.w3c.extract)
    func w3cExtract(row: W3CExtractRow) {
        let extracted = extract(row.headers)
        #expect((extracted.outcome == .continued) == (row.expect.result == "continue"))
        #expect(digits(extracted.context.traceID) == row.expect.traceId)
        #expect(digits(extracted.context.spanID) == row.expect.parentId)
        if let sampled = row.expect.sampled { #expect(extracted.context.sampling.isRecorded == sampled) }
        #expect(extracted.context.isRandom == (row.expect.random ?? false))
        #expect(tracestate(row.headers, extracted) == row.expect.tracestate)
    }

    @Test("A B3 context becomes the traceparent the vectors say", arguments: Vectors.w3c.mapB3ToW3C)
    func b3ToW3C(row: B3ToW3CRow) {
        var context = row.b3.context
        // The row with an open decision shows the caller's span; the others show ours.
        if row.ourDecision != nil {
            context.sampling = .accept
            context.spanID = SpanID(0xC1)
        }
        context.isRandom = row.originatedHere ?? false
        #expect(inject(context, [.traceContext]) == [["traceparent", row.traceparent]])
    }

    @Test("A traceparent becomes the B3 context the vectors say", arguments: Vectors.w3c.mapW3CToB3)
    func w3cToB3(row: W3CToB3Row) {
        var context = extract([["traceparent", row.traceparent]]).context
        context.isRandom = false
        #expect(context == row.b3.context)
    }

    @Test("B3 wins over traceparent, and a bare B3 state over its flag", arguments: Vectors.w3c.precedence)
    func precedence(row: PrecedenceRow) {
        let extracted = extract(row.headers)
        #expect((extracted.source == .traceContext) == row.expect.source.hasPrefix("w3c"))
        #expect(digits(extracted.context.traceID) == row.expect.traceId)
        #expect(digits(extracted.context.spanID) == row.expect.spanId)
        #expect(samplings[extracted.context.sampling] == row.expect.sampling)
        #expect(tracestate(row.headers, extracted) == row.expect.tracestateUpstream)
    }

    @Test("The vector files are complete")
    func counts() {
        #expect(Vectors.b3.extract.count == 125 && Vectors.b3.inject.count == 7 && Vectors.b3.flow.count == 10)
        #expect(Vectors.w3c.extract.count == 88 && Vectors.w3c.precedence.count == 6)
        #expect(Vectors.w3c.mapB3ToW3C.count + Vectors.w3c.mapW3CToB3.count == 11)
    }
}

/// The trace id the flow vectors show for a trace that starts here.
private let shownTraceID = TraceID(high: 0x463a_c35c_9f64_13ad, low: 0x4848_5a39_53bb_6124)
