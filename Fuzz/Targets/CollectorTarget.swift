// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1

@testable import SpanEmitter

/// What a collector answers: it is read the same however it is cut, and no number in it can do harm.
///
/// Input: a byte that chooses the pieces and whether the body is wanted, then what a collector sends.
final class CollectorTarget: FuzzTarget {
    private let pool = BufferPool(limit: 4)

    func check(_ input: [UInt8]) throws(BrokenLaw) {
        guard let choice = input.first else { return }
        let received = input.dropFirst()
        let whole = Reading(received, size: .max, keepsBody: choice & 16 == 0, pool: pool)
        let cut = Reading(received, size: Pieces.size(choice, of: input.count), keepsBody: choice & 16 == 0, pool: pool)
        try hold(whole.isRefused == cut.isRefused, "refused only one way")
        guard let one = whole.response, let other = cut.response else {
            return try hold(whole.response == nil && cut.response == nil, "whole only one way")
        }
        try hold(one.status == other.status && one.keepAlive == other.keepAlive, "status or connection differ")
        try hold(one.retryAfterSeconds == other.retryAfterSeconds, "Retry-After differs")
        try hold(one.body == other.body && one.rejectedSpans == other.rejectedSpans, "the body differs")
        try hold((200...999).contains(one.status), "an interim response is taken for the final one")
    }
}

/// One response, fed as a connection feeds it until the collector closes.
private struct Reading {
    var response: CollectorResponse?
    var isRefused = false

    init(_ received: ArraySlice<UInt8>, size: Int, keepsBody: Bool, pool: BufferPool) {
        var buffer = Buffer(pool: pool)
        var fields = FieldTable()
        var reader = CollectorResponseReader(keepsBody: keepsBody, limit: 1 << 20)
        var rest = received
        do throws(SyntaxError) {
            while response == nil, !rest.isEmpty {
                _ = buffer.append(copying: Array(rest.prefix(size)).span)
                rest = rest.dropFirst(size)
                response = try reader.read(&buffer, fields: &fields)
            }
            response = response ?? reader.responseAtEnd()
        } catch {
            isRefused = true
        }
    }
}
