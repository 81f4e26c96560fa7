// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PropagatingProxy

@Suite("What a request says about gRPC")
struct GRPCRequestTests {
    @Test(
        "A content type of gRPC is known with codec, parameters and in any case, and nothing like it is",
        arguments: [
            ("application/grpc", true), ("application/grpc+proto", true), ("application/grpc+json;x=1", true),
            ("application/grpc; charset=utf-8", true), ("application/grpc ;a=b", true), ("Application/gRPC", true),
            ("application/grpc-web", false), ("application/grpc-web+proto", false), ("application/grpcs", false),
            ("application/grp", false), ("", false), ("text/plain", false), ("application/json", false),
        ])
    func contentType(text: String, expected: Bool) {
        #expect(GRPCRequest.isGRPC(contentType: Array(text.utf8).span) == expected)
    }

    @Test(
        "A grpc-timeout is one to eight digits and a unit, rounded up to milliseconds",
        arguments: [
            ("1H", 3_600_000), ("2M", 120_000), ("30S", 30_000), ("250m", 250), ("1u", 1), ("1000u", 1), ("1001u", 2),
            ("1n", 1), ("1000000n", 1), ("1000001n", 2), ("99999999n", 100), ("0S", 0), ("00000010m", 10),
            ("99999999H", 2_147_483_647), ("99999999S", 2_147_483_647), ("99999999m", 99_999_999),
        ])
    func timeout(text: String, expected: Int) {
        #expect(GRPCRequest.timeoutMilliseconds(Array(text.utf8).span) == expected)
    }

    @Test(
        "Anything else is no timeout",
        arguments: [
            "", "S", "1", "1s", "1h", "-1S", "+1S", "1.5S", " 1S", "1S ", "1 S", "100000000m", "1mS", "٣S", "1S1",
        ])
    func noTimeout(text: String) {
        #expect(GRPCRequest.timeoutMilliseconds(Array(text.utf8).span) == nil)
    }
}
