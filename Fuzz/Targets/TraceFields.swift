// SPDX-License-Identifier: Apache-2.0
import Propagation

/// What the product reads in the trace fields of one request, and what it writes.
struct TraceFields {
    typealias Line = (name: [UInt8], value: [UInt8])

    private(set) var extracted = Extracted()
    /// The `tracestate` that goes on, if any would.
    private(set) var stateLine: Line?

    init(_ lines: [Line], _ formats: FormatList, trust: Trust) {
        var extraction = Extraction(formats: formats)
        var state = TraceState()
        for (name, value) in lines {
            _ = extraction.offer(name: name.span, value: value.span)
            if TraceState.isName(name.span) { state.offer(value.span) }
        }
        extracted = extraction.finish(trust: trust)
        let written = [UInt8](capacity: TraceState.maximumByteCount + 16) { state.write(into: &$0) }
        stateLine = Self.lines(written).first
    }

    /// The lines of each trace field made one, as an intermediary may (RFC 9110 §5.3).
    static func joined(_ lines: [Line]) -> [Line] {
        var result: [Line] = []
        for line in lines {
            let name = lower(line.name)
            if let index = result.firstIndex(where: { lower($0.name) == name }) {
                result[index].value += [UInt8(ascii: ",")] + line.value
            } else {
                result.append(line)
            }
        }
        return result
    }

    static func written(_ context: TraceContext, _ formats: FormatList) -> [Line] {
        lines(
            [UInt8](capacity: Injection.maximumByteCount) { _ = Injection.write(context, formats: formats, into: &$0) })
    }

    static func isSame(_ left: [Line], _ right: [Line]) -> Bool { left.elementsEqual(right) { $0 == $1 } }

    func isSame(as other: TraceFields) -> Bool {
        let (left, right) = (extracted, other.extracted)
        return left.outcome == right.outcome && left.context == right.context && left.source == right.source
            && left.malformed == right.malformed && left.keepsTracestate == right.keepsTracestate
            && stateLine?.value == other.stateLine?.value
    }

    private static func lower(_ bytes: [UInt8]) -> [UInt8] { bytes.map { (65...90).contains($0) ? $0 | 0x20 : $0 } }

    /// `name: value` lines that end with CRLF.
    private static func lines(_ bytes: [UInt8]) -> [Line] {
        bytes.split(separator: 10).compactMap { line in
            line.firstIndex(of: 58).map { (Array(line[..<$0]), Array(line[($0 + 2)...].dropLast())) }
        }
    }
}
