// SPDX-License-Identifier: Apache-2.0
import CMallocCount
import Propagation
import TestSupport
import Testing

@Suite("Laws of reading and writing trace contexts")
struct LawTests {
    @Test("What is written is read back the same, in every format")
    func roundTrip() {
        var random = SeededBits(state: 1)
        for round in 0..<2000 {
            for format in TraceFormat.allCases {
                let context = drawContext(round, format, &random)
                let head = inject(context, [format])
                let extracted = extract(head)
                #expect(extracted.context == context)
                #expect(extracted.malformed.isEmpty && extracted.source == format)
                #expect(inject(extracted.context, [format]) == head)
            }
        }
    }

    private func drawContext(_ round: Int, _ format: TraceFormat, _ random: inout SeededBits) -> TraceContext {
        let isW3C = format == .traceContext
        return TraceContext(
            traceID: .draw(round % 2 == 0 || isW3C ? .full : .short, from: &random), spanID: .draw(from: &random),
            parentID: round % 3 == 0 || isW3C ? .none : .draw(from: &random),
            sampling: isW3C ? [.accept, .deny][round % 2] : [.accept, .deny, .debug, .undecided][round % 4],
            isRandom: isW3C && round % 5 == 0)
    }

    @Test("No input crashes, and what leaves keeps the grammar")
    func noise() throws {
        let names = ["b3", "X-B3-TraceId", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"]
        let alphabet = Array("0123456789abcdefABCDEF--,, \t1d=\u{0}ÿ".utf8)
        let b3 = /[0-9a-f]{16}([0-9a-f]{16})?-[0-9a-f]{16}-[01d]-[0-9a-f]{16}/
        var random = SeededBits(state: 2)
        for _ in 0..<5000 {
            var extraction = Extraction(formats: everyFormat)
            var state = TraceState()
            for name in names + ["traceparent", "tracestate"] {
                let count = Int.random(in: 0..<70, using: &random)
                let value = (0..<count).map { _ in alphabet.randomElement(using: &random) ?? 0 }
                let isTaken = extraction.offer(name: Array(name.utf8).span, value: value.span)
                #expect(isTaken)
                state.offer(value.span)
            }
            let extracted = extraction.finish(trust: .all)
            let traceID = Hop.traceID(for: extracted, width: .full, random: &random)
            let hop = Hop(extracted, traceID: traceID, sampling: .accept, mode: .newChild, random: &random)
            let written = inject(hop.attempt(random: &random), [.b3Single])
            #expect(try b3.wholeMatch(in: written[0][1]) != nil)
        }
    }

    @Test("Foreign fields pass: only the eight names are taken, in any case")
    func names() {
        var extraction = Extraction(formats: [])
        for name in ["B3", "X-B3-TRACEID", "x-b3-SpanId", "X-B3-ParentSpanId", "TraceParent", "TRACESTATE"] {
            #expect(offer(name, "", to: &extraction))
        }
        for name in [
            "", "b4", "uber-trace-id", "x-datadog-trace-id", "x-request-id", "x-b3-traceie", "baggage", "x\rb3",
        ] {
            #expect(!offer(name, "1", to: &extraction))
        }
    }

    @Test("Formats that are not read are still recognised, but say nothing")
    func unread() {
        let traceparent = ["traceparent", "00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01"]
        #expect(extract([traceparent], formats: [.b3Single, .b3Multi]).outcome == .none)
        #expect(extract([["b3", "0"], traceparent], formats: [.traceContext]).context.sampling == .accept)
        let both = [["b3", "80f198ee56343ba8-e457b5a2e4d86bd1-0"], traceparent]
        #expect(extract(both, formats: [.traceContext, .b3Single]).source == .traceContext)
    }

    @Test("Trust in ids keeps the trace and leaves the decision open; no trust keeps nothing")
    func trust() {
        let debug = [["b3", "80f198ee56343ba8-e457b5a2e4d86bd1-d"]]
        #expect(extract(debug, trust: .ids).context.sampling == .undecided)
        #expect(extract(debug, trust: .ids).outcome == .continued)
        #expect(extract([["b3", "0"]], trust: .ids).outcome == .none)
        #expect(extract(debug, trust: .none).context == .none)
    }

    @Test("The largest context fits the promised room, and too little room writes nothing")
    func room() {
        let context = TraceContext(
            traceID: TraceID(high: 1, low: 1), spanID: SpanID(1), parentID: SpanID(2), sampling: .debug)
        let all = text(capacity: Injection.maximumByteCount) {
            Injection.write(context, formats: everyFormat, into: &$0)
        }
        #expect((1...Injection.maximumByteCount).contains(all.utf8.count))
        let short = text(capacity: Injection.maximumByteCount - 1) {
            let isWritten = Injection.write(context, formats: everyFormat, into: &$0)
            #expect(!isWritten)
        }
        #expect(short.isEmpty)
    }

    @Test("An extraction that begins anew knows nothing of the request before")
    func extractsAnew() {
        let field = "463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1"
        var extraction = Extraction(formats: everyFormat)
        #expect(offer("b3", field, to: &extraction) && !extraction.isEmpty)
        extraction.begin(formats: [.traceContext])
        #expect(extraction.isEmpty && extraction.finish(trust: .all).outcome == .none)
        #expect(offer("b3", field, to: &extraction))
        #expect(extraction.finish(trust: .all).outcome == .none)
        extraction.begin(formats: [])
        extraction.begin(formats: [.b3Single])
        #expect(offer("b3", field, to: &extraction))
        #expect(extraction.finish(trust: .all).outcome == .continued)
    }

    @Test("A tracestate over 8 KiB loses its long members first, then the rightmost")
    func tracestateCap() {
        var state = TraceState()
        for index in 0..<32 {
            let value = String(repeating: "v", count: index < 30 ? 250 : 100)
            state.offer(Array("k\(index)=\(value)".utf8).span)
        }
        let line = text { state.write(into: &$0) }
        #expect(line.hasPrefix("tracestate: k0=") && line.contains(",k31=") && line.hasSuffix("\r\n"))
        let short = text { state.write(into: &$0, limit: 512) }
        #expect(short.contains("k31=") && short.utf8.count <= 512 + 14)
        let one = text { state.write(into: &$0, limit: 110) }
        #expect(one.hasPrefix("tracestate: k30=") && !one.contains(","))
        state.reset()
        #expect(state.isEmpty && !state.isMalformed)
    }

    @Test("A request id is a lower-case UUID of version 4, and only tame values are passed on")
    func requestID() throws {
        var random = SeededBits(state: 3)
        let id = text { RequestID.write(random: &random, into: &$0) }
        #expect(try /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/.wholeMatch(in: id) != nil)
        #expect(text(capacity: 35) { RequestID.write(random: &random, into: &$0) }.isEmpty)
        let kept = RequestID(random: &random)
        #expect(text { kept.write(into: &$0) } == text { kept.write(into: &$0) })
        #expect(isAcceptable(id) && isAcceptable("A-z_.:9"))
        for value in ["", String(repeating: "a", count: 129), "a b", "a\r", "ä", "a/b"] {
            #expect(!isAcceptable(value))
        }
    }

    private func isAcceptable(_ value: String) -> Bool { RequestID.isAcceptable(Array(value.utf8).span) }

    @Test("One exchange allocates nothing", .enabled(if: isOptimized))
    func allocations() {
        let headers = ["X-B3-TraceId", "X-B3-SpanId", "X-B3-Sampled", "traceparent", "accept"].map { Array($0.utf8) }
        let values = ["463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312", "1", "bad", "*/*"].map { Array($0.utf8) }
        var random = SeededBits(state: 4)
        var sampler = Sampler(threshold: .always, maxTracesPerSecond: 100)
        let formats = everyFormat
        var counts: [UInt] = [0, 0]
        _ = [UInt8](capacity: 1024) { out in
            for round in 0..<2 {
                let before = malloc_count()
                var extraction = Extraction(formats: formats)
                for index in 0..<5 {
                    let name = headers[index]
                    let value = values[index]
                    _ = extraction.offer(name: name.span, value: value.span)
                }
                let extracted = extraction.finish(trust: .all)
                let id = Hop.traceID(for: extracted, width: .full, random: &random)
                let decision = sampler.decide(extracted, traceID: id, rule: .inherit, nowMicroseconds: 1)
                let hop = Hop(
                    extracted, traceID: id, sampling: decision.sampling, mode: .newChild, random: &random)
                Injection.write(hop.attempt(random: &random), formats: formats, into: &out)
                RequestID.write(random: &random, into: &out)
                counts[round] = malloc_count() - before
            }
        }
        #expect(counts[1] == 0)
    }
}
