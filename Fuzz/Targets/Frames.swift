// SPDX-License-Identifier: Apache-2.0

/// HTTP/2 frames as a peer writes them (RFC 9113 §4.1).
enum Frames {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    static let settings = frame(.settings)
    static let settingsAcknowledged = frame(.settings, flags: 1)
    static let endStream: UInt8 = 1
    static let endHeaders: UInt8 = 4

    enum Kind: UInt8 {
        case data, headers, priority, reset, settings, push, ping, goAway, windowUpdate, continuation
    }

    static func frame(_ kind: Kind, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
        frame(kind.rawValue, flags: flags, stream: stream, payload)
    }

    static func frame(_ kind: UInt8, flags: UInt8, stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
        let count = payload.count
        return [UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255), kind, flags] + number(stream)
            + payload
    }

    static func number(_ value: UInt32) -> [UInt8] { [24, 16, 8, 0].map { UInt8(value >> $0 & 255) } }

    /// HEADERS and as many CONTINUATION frames as the block needs.
    static func head(_ block: [UInt8], flags: UInt8, stream: UInt32, size: Int = 16_384) -> [UInt8] {
        guard block.count > size else {
            return frame(.headers, flags: flags | endHeaders, stream: stream, block)
        }
        var bytes = frame(.headers, flags: flags & ~endHeaders, stream: stream, Array(block.prefix(size)))
        var rest = block.dropFirst(size)
        while !rest.isEmpty {
            let flags = rest.count > size ? 0 : endHeaders
            bytes += frame(.continuation, flags: flags, stream: stream, Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        return bytes
    }

    /// DATA frames; an empty body has none.
    static func body(_ bytes: [UInt8], ends: Bool, stream: UInt32, size: Int = 16_384) -> [UInt8] {
        var frames: [UInt8] = []
        var rest = bytes[...]
        repeat {
            let isLast = rest.count <= size
            let flags = isLast && ends ? endStream : 0
            if !rest.isEmpty || ends { frames += frame(.data, flags: flags, stream: stream, Array(rest.prefix(size))) }
            rest = rest.dropFirst(size)
        } while !rest.isEmpty
        return frames
    }

    /// Literals that enter no table, without Huffman coding (RFC 7541 §6.2.2).
    static func block(_ fields: [RawField]) -> [UInt8] {
        fields.flatMap { [0] + text($0.name) + text($0.value) }
    }

    private static func text(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.count >= 127 else { return [UInt8(bytes.count)] + bytes }
        var length: [UInt8] = [127]
        var rest = bytes.count - 127
        while rest >= 128 {
            length.append(UInt8(rest & 127) | 128)
            rest >>= 7
        }
        return length + [UInt8(rest)] + bytes
    }
}

/// A field of any bytes.
struct RawField: Equatable {
    var name: [UInt8]
    var value: [UInt8]

    init(_ name: [UInt8], _ value: [UInt8]) { (self.name, self.value) = (name, value) }
    init(_ name: String, _ value: String) { self.init(Array(name.utf8), Array(value.utf8)) }

    var isPseudo: Bool { name.first == UInt8(ascii: ":") }
    func isNamed(_ word: String) -> Bool { name.elementsEqual(word.utf8) }
}
