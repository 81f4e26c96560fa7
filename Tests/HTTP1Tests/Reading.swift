// SPDX-License-Identifier: Apache-2.0

import HTTP1

let defaultLimits = HeadLimits()

/// Latin-1: each scalar of `text` is one byte.
func bytes(_ text: String) -> [UInt8] { text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) } }

func text(_ bytes: [UInt8], _ range: ByteRange) -> String { text(bytes[range.range]) }

func text(_ bytes: some Sequence<UInt8>) -> String {
    var text = ""
    for byte in bytes { text.unicodeScalars.append(Unicode.Scalar(byte)) }
    return text
}

/// Parses `received` at once.
func request(
    _ received: [UInt8], _ fields: inout FieldTable, alreadySeen: Int = 0, limits: HeadLimits = defaultLimits
) throws(SyntaxError) -> RequestHead? {
    switch try parseRequestHead(received.span, alreadySeen: alreadySeen, limits: limits, fields: &fields) {
    case .incomplete: nil
    case .complete(let head): head
    }
}

func response(
    _ received: [UInt8], _ fields: inout FieldTable, alreadySeen: Int = 0, to method: HTTP1.Method = .get,
    limits: HeadLimits = defaultLimits
) throws(SyntaxError) -> ResponseHead? {
    switch try parseResponseHead(
        received.span, alreadySeen: alreadySeen, requestMethod: method, limits: limits, fields: &fields)
    {
    case .incomplete: nil
    case .complete(let head): head
    }
}

/// The names of the fields that are passed on, in order.
func forwardedNames(_ received: [UInt8], _ fields: borrowing FieldTable) -> [String] {
    var names: [String] = []
    for index in 0..<fields.count where fields[index].isForwarded {
        names.append(text(received, fields[index].name))
    }
    return names
}

/// The error of a request head, or `nil` if it is accepted or incomplete.
func refusal(_ head: String, limits: HeadLimits = defaultLimits) -> SyntaxError? {
    var fields = FieldTable()
    do {
        _ = try request(bytes(head), &fields, limits: limits)
        return nil
    } catch {
        return error
    }
}

/// The error of a response head to a GET, or `nil` if it is accepted or incomplete.
func responseRefusal(_ head: String) -> SyntaxError? {
    var fields = FieldTable()
    do {
        _ = try response(bytes(head), &fields)
        return nil
    } catch {
        return error
    }
}

/// A whole body read from the chunked coding.
struct ReadBody: Equatable {
    var data: [UInt8] = []
    var trailers: [UInt8] = []
    var isWhole = false
    /// Bytes of the coding.
    var consumed = 0
}

/// Feeds `received` in pieces of `pieceSizes` in turn, as a connection would: what a step did not
/// consume is there again, with more behind it.
func readChunked(_ received: [UInt8], pieces: [Int]) throws(SyntaxError) -> ReadBody {
    var decoder = ChunkedDecoder()
    var body = ReadBody()
    var window: [UInt8] = []
    var next = 0
    var turn = 0
    while next < received.count, !body.isWhole {
        let end = min(received.count, next + pieces[turn % pieces.count])
        window += received[next..<end]
        next = end
        turn += 1
        var offset = 0
        stepping: while true {
            switch try decoder.next(window.span, offset: &offset) {
            case .needsMore: break stepping
            case .data(let range): body.data += window[range.range]
            case .trailers(let range): body.trailers += window[range.range]
            case .end:
                body.isWhole = true
                break stepping
            }
        }
        body.consumed += offset
        window.removeFirst(offset)
    }
    return body
}
