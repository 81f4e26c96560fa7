// SPDX-License-Identifier: Apache-2.0

/// The `b3` field: `traceid-spanid[-state[-parentid]]`, or the state alone.
struct B3Single: BitwiseCopyable, Equatable {
    /// Without ids when only a state came.
    var context: TraceContext
    /// The parent named the span itself and was dropped.
    var hadSelfAsParent = false

    /// Reads one value without blanks around it. Unlike the multi fields, ids have their full width here, and the
    /// state is one of three bytes.
    // bounded: hex() compares its range, and with it the value ends at spanEnd or behind
    init?(_ bytes: Span<UInt8>) {
        if bytes.count == 1 {
            guard let state = B3Single.state(bytes[0]) else { return nil }
            context = TraceContext(traceID: .none, spanID: .none, sampling: state)
            return
        }
        guard bytes.count >= 33, let traceID = B3Single.traceID(bytes) else { return nil }
        let spanStart = traceID.digitCount + 1
        let spanEnd = spanStart + 16
        guard let span = hex(bytes, spanStart..<spanEnd), span != 0 else { return nil }
        context = TraceContext(traceID: traceID, spanID: SpanID(span), sampling: .undecided)
        if bytes.count == spanEnd { return }
        guard bytes[spanEnd] == dash, readTail(bytes, from: spanEnd + 1) else { return nil }
    }

    /// What follows the span id: `state`, `parent` or `state-parent`.
    // bounded: each case has as many bytes as it looks at
    private mutating func readTail(_ bytes: Span<UInt8>, from start: Int) -> Bool {
        switch bytes.count - start {
        case 1: return readState(bytes[start])
        case 16: return readParent(bytes, from: start)  // Brave writes so when nobody decided.
        case 18: return bytes[start + 1] == dash && readState(bytes[start]) && readParent(bytes, from: start + 2)
        default: return false
        }
    }

    private mutating func readState(_ byte: UInt8) -> Bool {
        guard let state = B3Single.state(byte) else { return false }
        context.sampling = state
        return true
    }

    private mutating func readParent(_ bytes: Span<UInt8>, from start: Int) -> Bool {
        guard let parent = hex(bytes, start..<start + 16) else { return false }
        hadSelfAsParent = parent == context.spanID.value
        context.parentID = hadSelfAsParent ? .none : SpanID(parent)
        return true
    }

    // bounded: at least 33 bytes, see init
    private static func traceID(_ bytes: Span<UInt8>) -> TraceID? {
        let traceID: TraceID
        if bytes[16] == dash {
            guard let low = hex(bytes, 0..<16) else { return nil }
            traceID = TraceID(short: low)
        } else {
            guard bytes[32] == dash, let high = hex(bytes, 0..<16), let low = hex(bytes, 16..<32) else { return nil }
            traceID = TraceID(high: high, low: low)
        }
        return traceID.isNone ? nil : traceID
    }

    private static func state(_ byte: UInt8) -> Sampling? {
        switch byte {
        case UInt8(ascii: "1"): .accept
        case UInt8(ascii: "0"): .deny
        case UInt8(ascii: "d"): .debug
        default: nil
        }
    }
}

let dash = UInt8(ascii: "-")
