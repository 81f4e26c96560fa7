// SPDX-License-Identifier: Apache-2.0
import CMallocCount
import EventLoop
import TestSupport
import Testing

@testable import SpanEmitter

@Suite("What a span costs")
struct CostTests {
    @Test(
        "Encoding v2 JSON allocates nothing per span, of a gRPC call neither", .enabled(if: isOptimized),
        arguments: [false, true])
    func allocations(isCall: Bool) {
        var span = isCall ? CallTests.record() : EncodingTests.record()
        span.set(
            path: Array("/productpage/reviews/1".utf8), requestID: Array("3f0c1d5e-3a7b-4a57-9f0e-0d2f4c1a7b11".utf8))
        let encoder = SpanEncoder(.zipkinV2JSON, profile: .zipkin, names: EncodingTests.names)
        var out = ByteWriter(capacity: 1 << 16)
        encoder.encode(&span, into: &out)
        let before = malloc_count()
        let start = Clock.monotonicMicroseconds
        let rounds: UInt64 = 20_000
        for _ in 0..<rounds {
            out.truncate(to: 0)
            encoder.encode(&span, into: &out)
        }
        let nanoseconds = (Clock.monotonicMicroseconds - start) * 1000 / rounds
        let allocations = malloc_count() - before
        print("v2 JSON\(isCall ? " of a call" : ""): \(nanoseconds) ns and \(out.count) bytes a span")
        #expect(allocations == 0)
    }
}
