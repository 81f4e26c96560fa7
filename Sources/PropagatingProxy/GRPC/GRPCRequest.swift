// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1

/// What the fields of a request say about gRPC.
enum GRPCRequest {
    /// About 24 days.
    static let longestMilliseconds = Int(Int32.max)

    /// Whether a content type asks for gRPC: `application/grpc`, with `+codec` or parameters or without.
    /// `application/grpc-web` is another protocol.
    static func isGRPC(contentType: Span<UInt8>) -> Bool {
        let length = 16
        guard contentType.count >= length, lowercasedEquals(contentType.extracting(first: length), "application/grpc")
        else { return false }
        guard contentType.count > length else { return true }
        switch contentType[length] {  // bounded: one more than the length
        case UInt8(ascii: "+"), UInt8(ascii: ";"), UInt8(ascii: " "), UInt8(ascii: "\t"): return true
        default: return false
        }
    }

    /// `grpc-timeout`: one to eight digits and a unit; anything else is the callee's to judge.
    ///
    /// - Returns: milliseconds, rounded up so that no call is cut early; at most ``longestMilliseconds``.
    static func timeoutMilliseconds(_ text: Span<UInt8>) -> Int? {
        guard 2...9 ~= text.count else { return nil }
        var value = 0
        for index in 0..<text.count - 1 {
            let digit = text[index] &- UInt8(ascii: "0")  // bounded: all but the last
            guard digit < 10 else { return nil }
            value = value * 10 + Int(digit)  // eight digits
        }
        let milliseconds: Int
        switch text[text.count - 1] {  // bounded: at least two
        case UInt8(ascii: "H"): milliseconds = value * 3_600_000
        case UInt8(ascii: "M"): milliseconds = value * 60_000
        case UInt8(ascii: "S"): milliseconds = value * 1000
        case UInt8(ascii: "m"): milliseconds = value
        case UInt8(ascii: "u"): milliseconds = (value + 999) / 1000
        case UInt8(ascii: "n"): milliseconds = (value + 999_999) / 1_000_000
        default: return nil
        }
        return min(milliseconds, longestMilliseconds)
    }
}
