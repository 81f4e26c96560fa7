// SPDX-License-Identifier: Apache-2.0
import CMallocCount
import EventLoop
import TestSupport
import Testing

@testable import HTTP2

@Suite("What a request costs", .enabled(if: isOptimized && !isSanitized, "budgets hold in release builds"))
struct CostTests {
    private static let request =
        "POST /pkg.Service/Method HTTP/1.1\r\nhost: app.test:9000\r\ncontent-type: application/grpc\r\nte: trailers\r\n"
        + "user-agent: grpc-c++/1.60 grpc-c/37.0.0\r\nx-b3-traceid: 463ac35c9f6413ad48485a3953bb6124\r\n\r\n12345hello"
    private static let response = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n\r\n12345world"
    private static let trailers = "grpc-status: 0\r\ngrpc-message: \r\n"

    /// One exchange with bodies and trailers, read with the buffers the sockets have.
    private func exchange(_ pair: Pair, _ requestBytes: [UInt8], _ responseBytes: [UInt8], _ trailerBytes: [UInt8]) {
        guard let opened = pair.client.open()?.object else { return }
        _ = opened.send(requestBytes.span)
        opened.shutdownWrite()
        Self.move(from: pair.client, to: pair.server, pair.pool)
        guard let arrived = pair.server.takeNews() else { return }
        var buffer = Buffer(pool: pair.pool)
        while case .bytes = arrived.receive(into: &buffer) {}
        buffer.release()
        _ = arrived.send(responseBytes.span)
        arrived.sendTrailers(trailerBytes.span)
        arrived.shutdownWrite()
        Self.move(from: pair.server, to: pair.client, pair.pool)
        while pair.client.takeNews() != nil {}
        while case .bytes = opened.receive(into: &buffer) {}
        opened.close(isCut: false)
        arrived.close(isCut: false)
    }

    private static func move(from source: HTTP2Session, to target: HTTP2Session, _ pool: BufferPool) {
        while source.wantsWrite {
            var out = Buffer(pool: pool)
            source.write(into: &out)
            _ = target.receive(out.readable, nowMicroseconds: 1)
        }
    }

    /// libnghttp2 asks for twelve pieces, for both sides.
    @Test("A request allocates what libnghttp2 asks for, and nothing with a worker's memory", arguments: [false, true])
    func allocations(withMemory: Bool) throws {
        let pair = try Pair(memory: withMemory ? SessionMemory() : nil)
        pair.carry()
        let (request, response) = (Array(Self.request.utf8), Array(Self.response.utf8))
        let trailers = Array(Self.trailers.utf8)
        for _ in 0..<1000 { exchange(pair, request, response, trailers) }
        let before = malloc_count()
        let start = ContinuousClock.now
        for _ in 0..<1000 { exchange(pair, request, response, trailers) }
        let took = ContinuousClock.now - start
        let allocations = Double(malloc_count() - before) / 1000
        print("http2: \(allocations) allocations, \(took / 1000) an exchange, for client and server side together")
        #expect(pair.server.openedStreamCount == 2000 && pair.pool.inUse == 0)
        #expect(allocations < (withMemory ? 0.1 : 13))
    }
}
