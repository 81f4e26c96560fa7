// SPDX-License-Identifier: Apache-2.0
import HTTP1

@testable import PropagatingProxy

/// A response on its way back: however its bytes are cut, the outcome is the same, and what goes downstream is one
/// strict message with the same body.
///
/// Input: a byte that chooses the pieces and the room, a byte for the request it answers, then what an upstream sends.
final class ResponseTarget: FuzzTarget {
    private let stage: Stage

    init() throws { stage = try Stage(Stage.example) }

    func check(_ input: [UInt8]) throws(BrokenLaw) {
        guard input.count > 2 else { return }
        let received = Array(input[2...])
        let asked = ResponsePassage.Asked(input[1])
        let cut = ResponsePassage(
            received, through: stage, asked, size: Pieces.size(input[0], of: input.count), isTight: input[0] & 0x80 != 0
        )
        // What a line says that has not ended need not be known yet.
        let isOpen = cut.head == nil && cut.refusal == nil
        let decided = isOpen ? Pieces.wholeLines(received) : received
        let whole = ResponsePassage(decided, through: stage, asked, size: .max, isTight: false)
        // Of a line that is malformed and a limit that is passed, whichever is seen first is the reason.
        let isLimit = cut.refusal == .trailersTooLarge && whole.refusal != nil
        try hold(isLimit || whole.refusal == cut.refusal, "cut: \(cut.refusal as Any), whole: \(whole.refusal as Any)")
        try hold(whole.head == cut.head, "the head depends on how it is cut")
        try hold(whole.refusal != nil || whole.consumed == cut.consumed, "the response ends elsewhere when it is cut")
        try hold(whole.isComplete == cut.isComplete, "the response is whole only one way")
        try judge(whole, received)
        try judge(cut, received)
    }

    /// Reads what goes downstream as the strictest recipient would, and compares it with what came.
    private func judge(_ passage: ResponsePassage, _ received: [UInt8]) throws(BrokenLaw) {
        guard let head = passage.head else { return try hold(passage.sent.isEmpty, "sent without a head") }
        let message = try PlainMessage(passage.sent, isRequest: false)
        let body = received[Int(head.length)...]
        try hold(message.start[1].elementsEqual(String(head.status).utf8), "the status changes")
        switch head.framing {
        case .none:
            try hold(message.framing != .chunked && message.rest.isEmpty && passage.isComplete, "a body out of nothing")
        case .length(let count):
            try hold(message.framing == .length(Int(count)), "the length changes")
            try hold(message.rest == body.prefix(Int(count)), "the body changes")
            try hold(passage.isComplete == (body.count >= Int(count)), "a cut body passes for whole")
        case .chunked:
            let came = PlainChunks(body)
            try judge(message, passage, came: came.body, trailers: came.passedTrailers, isWhole: came.end == .whole)
        case .untilClose: try judge(message, passage, came: Array(body), trailers: [], isWhole: true)
        }
        try passage.checkFields(of: message)
    }

    /// A body without a length: in chunks, or for HTTP/1.0 until the connection closes.
    private func judge(
        _ message: PlainMessage, _ passage: ResponsePassage, came: [UInt8], trailers: [UInt8], isWhole: Bool
    ) throws(BrokenLaw) {
        try hold(passage.isComplete == (isWhole && passage.refusal == nil), "whole and cut are confused")
        guard passage.writesChunks else {
            try hold(message.framing == .none && came.starts(with: message.rest), "the body changes")
            return try hold(!isWhole || message.rest.elementsEqual(came), "a part of the body is lost")
        }
        let went = PlainChunks(message.rest)
        try hold(message.framing == .chunked && came.starts(with: went.body), "the body changes")
        guard isWhole else { return try hold(went.end == .cut, "a cut body passes for whole") }
        try hold(went.end == .whole && went.byteCount == message.rest.count, "the body does not end where it should")
        try hold(went.body == came && went.trailers == trailers, "body or trailers change")
    }
}
