// SPDX-License-Identifier: Apache-2.0
import Propagation

/// Short forms for tests: header lists in, texts out.
let everyFormat: FormatList = [.b3Single, .b3Multi, .traceContext]

func extract(_ headers: [[String]], formats: FormatList = everyFormat, trust: Trust = .all) -> Extracted {
    var extraction = Extraction(formats: formats)
    for header in headers { _ = offer(header[0], header[1], to: &extraction) }
    return extraction.finish(trust: trust)
}

func offer(_ name: String, _ value: String, to extraction: inout Extraction) -> Bool {
    extraction.offer(name: Array(name.utf8).span, value: Array(value.utf8).span)
}

/// The value of the `tracestate` line that goes upstream.
func tracestate(_ headers: [[String]], _ extracted: Extracted) -> String? {
    guard extracted.keepsTracestate else { return nil }
    var state = TraceState()
    for header in headers where TraceState.isName(Array(header[0].utf8).span) {
        state.offer(Array(header[1].utf8).span)
    }
    let line = text { _ = state.write(into: &$0) }
    return line.isEmpty ? nil : String(line.dropFirst("tracestate: ".count).dropLast())
}

func inject(_ context: TraceContext, _ formats: FormatList, emitsFlagsZero: Bool = false) -> [[String]] {
    fields(text { Injection.write(context, formats: formats, emitsFlagsZero: emitsFlagsZero, into: &$0) })
}

func fields(_ head: String) -> [[String]] {
    head.split(separator: "\r\n").map { line in
        let colon = line.firstIndex(of: ":") ?? line.endIndex
        return [String(line[..<colon]), String(line[colon...].dropFirst(2))]
    }
}

func text(capacity: Int = 16384, _ write: (inout OutputSpan<UInt8>) -> Void) -> String {
    String(decoding: [UInt8](capacity: capacity, initializingWith: write), as: UTF8.self)
}

func traceID(_ digits: String) -> TraceID {
    guard digits.count == 32 else { return TraceID(short: UInt64(digits, radix: 16) ?? 0) }
    return TraceID(high: UInt64(digits.prefix(16), radix: 16) ?? 0, low: UInt64(digits.suffix(16), radix: 16) ?? 0)
}

func spanID(_ digits: String) -> SpanID { SpanID(UInt64(digits, radix: 16) ?? 0) }

func digits(_ id: TraceID) -> String? { id.isNone ? nil : text { id.write(into: &$0) } }

func digits(_ id: SpanID) -> String? { id.isNone ? nil : text { id.write(into: &$0) } }

/// Gives the numbers of a list, then counts on from 1000.
struct CountingIDs: RandomNumberGenerator {
    var numbers: [UInt64]
    private var next_: UInt64 = 1000

    init(_ numbers: [UInt64]) { self.numbers = numbers }

    mutating func next() -> UInt64 {
        guard numbers.isEmpty else { return numbers.removeFirst() }
        next_ += 1
        return next_
    }
}

/// A small seeded generator: failing runs can be repeated.
struct SeededBits: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
        return bits ^ bits >> 31
    }
}
