// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Testing

/// Bytes are looked at one by one and eight at a time; every byte is tried at every place of both.
@Suite("Which bytes may stand where (RFC 9110 §5, RFC 3986 §2)")
struct ByteClassTests {
    private static let places = 0..<18

    @Test("A field value holds blanks, visible bytes and obs-text", arguments: 0...UInt8.max)
    func values(_ byte: UInt8) {
        let isAllowed = byte == 0x09 || byte >= 0x20 && byte != 0x7F
        for place in Self.places {
            let head = "GET / HTTP/1.1\r\nHost: a\r\nX: \(filled(with: byte, at: place))\r\n\r\n"
            #expect((refusal(head) == nil) == isAllowed, "at \(place)")
        }
    }

    @Test("A field name holds token bytes", arguments: 0...UInt8.max)
    func names(_ byte: UInt8) {
        guard byte != UInt8(ascii: ":") else { return }
        let isAllowed = isLetterOrDigit(byte) || bytes("!#$%&'*+-.^_`|~").contains(byte)
        for place in Self.places {
            let head = "GET / HTTP/1.1\r\nHost: a\r\n\(filled(with: byte, at: place)): a\r\n\r\n"
            #expect((refusal(head) == nil) == isAllowed, "at \(place)")
        }
    }

    @Test("A target holds what a URI may hold, brackets included", arguments: 0...UInt8.max)
    func targets(_ byte: UInt8) {
        let isAllowed = isLetterOrDigit(byte) || bytes("-._~:/?[]@!$&'()*+,;=%").contains(byte)
        for place in Self.places {
            let head = "GET /\(filled(with: byte, at: place))00 HTTP/1.1\r\nHost: a\r\n\r\n"
            #expect((refusal(head) == nil) == isAllowed, "at \(place)")
        }
    }

    @Test("A name of a host holds unreserved bytes and sub-delims but the comma", arguments: 0...UInt8.max)
    func hosts(_ byte: UInt8) {
        guard byte != UInt8(ascii: ":") else { return }
        let isAllowed = isLetterOrDigit(byte) || bytes("-._~!$&'()*+;=%").contains(byte)
        for place in Self.places {
            let isAccepted = isHost(bytes(filled(with: byte, at: place) + "00:80").span)
            #expect(isAccepted == isAllowed, "at \(place)")
        }
    }

    @Test(
        "A percent sign in a target is followed by two hex digits", arguments: ["%", "%1", "%g0", "%0g", "%%41", "%zz"])
    func escapes(_ end: String) {
        #expect(refusal("GET /\(end) HTTP/1.1\r\nHost: a\r\n\r\n") == .invalidTarget)
    }

    private func isLetterOrDigit(_ byte: UInt8) -> Bool {
        let character = Character(Unicode.Scalar(byte))
        return character.isASCII && (character.isLetter || character.isNumber)
    }

    /// 18 bytes, one of them `byte`; zeros, so that `%` is followed by hex digits.
    private func filled(with byte: UInt8, at place: Int) -> String {
        var filled = [UInt8](repeating: UInt8(ascii: "0"), count: Self.places.count)
        // Letters too: they are what the eight-byte test of names knows.
        for index in filled.indices where !index.isMultiple(of: 9) { filled[index] = UInt8(ascii: "A") }
        filled[place] = byte
        return text(filled)
    }
}
