// SPDX-License-Identifier: Apache-2.0

import CMallocCount
import HTTP1
import TestSupport
import Testing

@Suite("The chunked coding (RFC 9112 §7.1)")
struct ChunkedDecoderTests {
    @Test(
        "Anything outside the grammar is refused",
        arguments: [
            ("\r\n", SyntaxError.invalidChunkSize), (" 5\r\n", .invalidChunkSize), ("0x5\r\n", .invalidChunkSize),
            ("5\n", .invalidChunkSize), ("5\rx", .invalidChunkSize), ("-5\r\n", .invalidChunkSize),
            ("1000000000000000\r\n", .invalidChunkSize), ("0000000000000000\r\n", .invalidChunkSize),
            ("5;\r\n", .invalidChunkExtension), ("5 \r\n", .invalidChunkExtension), ("5;\n", .invalidChunkExtension),
            ("5;a=\r\n", .invalidChunkExtension), ("5;a \r\n", .invalidChunkExtension),
            ("5;a=b \r\n", .invalidChunkExtension), ("5;a=\"b\r\n", .invalidChunkExtension),
            ("5;a=\"b\"c\r\n", .invalidChunkExtension), ("5;a=b=c\r\n", .invalidChunkExtension),
            ("5\r\nhelloXX", .invalidChunkEnd), ("5\r\nhello\n", .invalidChunkEnd),
            ("5\r\nhello\r\r", .invalidChunkEnd),
            ("0\r\n\n", .invalidLineEnd), ("0\r\nX-T : v\r\n", .blankBeforeColon), ("0\r\n X: v\r\n", .foldedField),
            ("0\r\nX-T: v\n", .invalidLineEnd), ("0\r\nHost: a\r\n", .forbiddenTrailer),
            ("0\r\nContent-LENGTH: 1\r\n", .forbiddenTrailer), ("0\r\nAuthorization: 1\r\n", .forbiddenTrailer),
        ])
    func refuses(_ coding: String, _ error: SyntaxError) {
        for piece in 1...3 {
            #expect(throws: error) { try readChunked(bytes(coding), pieces: [piece]) }
        }
    }

    @Test(
        "Extensions are read by their grammar and dropped",
        arguments: [
            "5;a", "5;a=b", "5 ; a = b", "5;a;b=c;d=\"e;\\\"f\"", "5\t;a=\"\"", "5;a=\"b\" ;c", "00005",
        ])
    func extensions(_ line: String) throws {
        let body = try readChunked(bytes(line + "\r\nhello\r\n0;x\r\n\r\n"), pieces: [1])
        #expect(text(body.data) == "hello")
        #expect(body.isWhole)
    }

    @Test("Extensions and trailers are bounded")
    func bounds() throws {
        let chunk = "1;" + String(repeating: "a", count: 99) + "\r\nx\r\n"
        #expect(throws: SyntaxError.chunkExtensionsTooLarge) {
            try readChunked(bytes(String(repeating: chunk, count: 41)), pieces: [10_000])
        }
        let room = ChunkedDecoder.maximumTrailerBytes - "X: \r\n".utf8.count
        let fits = "0\r\nX: " + String(repeating: "v", count: room) + "\r\n\r\n"
        #expect(try readChunked(bytes(fits), pieces: [10_000]).isWhole)
        #expect(try readChunked(bytes(fits), pieces: [1000]).isWhole)
        for piece in [1000, 10_000] {
            #expect(throws: SyntaxError.trailersTooLarge) {
                try readChunked(bytes("0\r\nX: " + String(repeating: "v", count: 9000)), pieces: [piece])
            }
            #expect(throws: SyntaxError.trailersTooLarge) {
                try readChunked(bytes("0\r\n" + String(repeating: "A: b\r\n", count: 1500) + "\r\n"), pieces: [piece])
            }
        }
    }

    @Test("Trailers arrive whole, and what follows the body is not touched")
    func trailers() throws {
        let coding = bytes("3\r\nabc\r\n0\r\nX-T: v\r\nGrpc-Status: 0\r\n\r\nGET / HTTP/1.1\r\n")
        for piece in [1, 2, 5, 100] {
            let body = try readChunked(coding, pieces: [piece])
            #expect(text(body.data) == "abc")
            #expect(text(body.trailers) == "X-T: v\r\nGrpc-Status: 0\r\n")
            #expect(body.consumed == coding.count - "GET / HTTP/1.1\r\n".utf8.count)
        }
    }

    @Test("Whatever the chunks and however they are cut, the body is the body", arguments: 0..<200)
    func splits(_ seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        var coding: [UInt8] = []
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            let data = (0..<Int.random(in: 1...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random)
            }
            coding += bytes(String(data.count, radix: 16, uppercase: Bool.random(using: &random)))
            coding += bytes(["", ";a", ";a=\"\\\"\""].randomElement(using: &random) ?? "")
            coding += bytes("\r\n") + data + bytes("\r\n")
        }
        coding += bytes(["0\r\n\r\n", "000\r\nA: b\r\n\r\n"].randomElement(using: &random) ?? "")
        let pieces = (0..<5).map { _ in Int.random(in: 1...9, using: &random) }
        let body = try readChunked(coding, pieces: pieces)
        #expect(body.data == naivelyDecoded(coding))
        #expect(body.isWhole)
        #expect(try body == readChunked(coding, pieces: [1]))
        #expect(try body == readChunked(coding, pieces: [coding.count]))
    }

    @Test("A size that was written reads back", arguments: [0, 1, 9, 10, 15, 16, 255, 256, 4096, 65_535, 0xABC_DEF0])
    func sizeRoundTrip(_ size: Int) throws {
        let line = [UInt8](capacity: maximumChunkSizeBytes) { writeChunkSize(size, into: &$0) }
        #expect(text(line) == String(size, radix: 16) + "\r\n")
    }

    @Test("The largest size fits the room it asks for")
    func largestSize() {
        let line = [UInt8](capacity: maximumChunkSizeBytes) { writeChunkSize(.max, into: &$0) }
        #expect(text(line) == "7fffffffffffffff\r\n")
    }

    @Test("Decoding allocates nothing", .enabled(if: isOptimized))
    func allocates() throws {
        let coding = bytes("5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n")
        let before = malloc_count()
        for _ in 0..<1000 {
            var decoder = ChunkedDecoder()
            var offset = 0
            while try decoder.next(coding.span, offset: &offset) != .end {}
        }
        #expect(malloc_count() - before == 0)
    }
}

/// Valid codings only, all of them at hand.
private func naivelyDecoded(_ coding: [UInt8]) -> [UInt8] {
    var body: [UInt8] = []
    var rest = coding[...]
    while let lineEnd = rest.firstIndex(of: UInt8(ascii: "\r")) {
        let digits = rest[..<lineEnd].prefix { $0 != UInt8(ascii: ";") }
        let size = Int(text(digits), radix: 16) ?? 0
        guard size > 0 else { break }
        let data = rest.dropFirst(lineEnd + 2 - rest.startIndex).prefix(size)
        body += data
        rest = rest[(data.endIndex + 2)...]
    }
    return body
}
