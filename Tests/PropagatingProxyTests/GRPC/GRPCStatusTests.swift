// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Glibc
import HTTP1
import SpanEmitter
import Testing

@testable import PropagatingProxy

@Suite("What gRPC callers are told")
struct GRPCStatusTests {
    @Test(
        "The value of grpc-status is read as callers read it",
        arguments: [
            ("0", GRPCStatus.ok), ("1", .cancelled), ("14", .unavailable), ("16", .unauthenticated),
            ("04", .deadlineExceeded),
            ("17", .unknown), ("99", .unknown), ("255", .unknown), ("1000000000000", .unknown), ("", .unknown),
            ("-1", .unknown), ("OK", .unknown), ("1 ", .unknown),
        ])
    func text(text: String, expected: GRPCStatus) {
        #expect(GRPCStatus(text: Array(text.utf8).span) == expected)
    }

    @Test("Each of the seventeen statuses has its number and its name")
    func names() {
        let known = GRPCStatus.allCases.filter(\.isKnown)
        #expect(known.map { Int($0.rawValue) } == Array(0...16))
        #expect(Set(known.map(\.name)).count == 17 && GRPCStatus(rawValue: 13)?.name == "INTERNAL")
    }

    @Test(
        "A response without grpc-status means what its HTTP status says",
        arguments: [
            (200 as UInt16, GRPCStatus.unknown), (400, .internalError), (401, .unauthenticated),
            (403, .permissionDenied), (404, .unimplemented), (429, .unavailable), (431, .internalError),
            (500, .unknown), (502, .unavailable), (503, .unavailable), (504, .unavailable), (0, .unknown),
        ])
    func http(status: UInt16, expected: GRPCStatus) { #expect(GRPCStatus(httpStatus: status) == expected) }

    @Test("Each code of RST_STREAM has its status")
    func resets() {
        let expected: [GRPCStatus] = [
            .internalError, .internalError, .internalError, .internalError, .internalError, .unknown, .internalError,
            .unavailable, .cancelled, .internalError, .internalError, .resourceExhausted, .permissionDenied, .unknown,
        ]
        #expect((0...13).map { GRPCStatus(resetCode: $0) } == expected)
        #expect(GRPCStatus(resetCode: .max) == .unknown)
    }

    @Test(
        "Each failure of ours has a status a caller may act on",
        arguments: [
            (ProxyError.connectFailed(errno: ECONNREFUSED), 14), (.noAddress, 14), (.noHealthyUpstream, 14),
            (.upstreamClosed, 14), (.connectTimedOut, 14), (.responseTruncated, 14), (.shuttingDown, 14),
            (.responseTimedOut, 4), (.requestTimedOut, 4), (.requestTooSlow, 4), (.noRoute, 12), (.bodyTooLarge, 8),
            (.headTooLarge, 8), (.upstreamOverflow, 8), (.overloaded, 8), (.outOfBuffers, 8), (.outOfDescriptors, 8),
            (.loopDetected, 8), (.malformedRequest(.tooManyFields), 8), (.malformedRequest(.targetTooLong), 8),
            (.malformedRequest(.invalidHost), 13), (.malformedResponse(.invalidStatusLine), 13),
            (.unaskedResponse, 13), (.unexpectedUpgrade, 13), (.tooManyInterimResponses, 13), (.downstreamGone, 1),
        ])
    func failures(error: ProxyError, code: Int) { #expect(Int(error.grpcStatus.rawValue) == code) }

    private func written(_ write: (inout OutputSpan<UInt8>) -> Void) -> String {
        String(decoding: [UInt8](capacity: 1024) { write(&$0) }, as: UTF8.self)
    }

    @Test("A failure before the response is a head alone: 200, gRPC's content type, status and reason")
    func head() {
        let text = written {
            GRPCReply.writeHead(
                ProxyError.connectFailed(errno: ECONNREFUSED).grpcStatus, reason: "the upstream refused", into: &$0)
        }
        #expect(
            text == "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n"
                + "grpc-status: 14\r\ngrpc-message: the upstream refused\r\n\r\n")
    }

    @Test("A failure behind the response's head is two trailer lines; the message is percent-encoded")
    func trailers() {
        #expect(
            written { GRPCReply.writeTrailers(.deadlineExceeded, reason: "100 % \u{e9}\n~", into: &$0) }
                == "grpc-status: 4\r\ngrpc-message: 100 %25 %C3%A9%0A~\r\n")
        #expect(written { GRPCReply.writeTrailers(.missing, reason: "", into: &$0) }.hasPrefix("grpc-status: 2\r\n"))
    }

    @Test(
        "The status is found among trailers in any case and order; the first counts",
        arguments: [
            ("grpc-status: 0\r\n", GRPCStatus.ok), ("a: b\r\nGrpc-Status:5\r\ngrpc-message: x\r\n", .notFound),
            ("grpc-status: 3 \r\ngrpc-status: 0\r\n", .invalidArgument), ("grpc-status:\r\n", .unknown),
            ("grpc-status-details-bin: 0\r\n", .missing), ("x-grpc-status: 0\r\n", .missing), ("", .missing),
            ("grpc-status", .missing), ("grpc-status:7", .permissionDenied),
        ])
    func found(lines: String, expected: GRPCStatus) {
        #expect(GRPCTrailers.status(in: Array(lines.utf8).span) == expected)
    }
}
