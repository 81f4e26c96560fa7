// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// A request on its way through: however its bytes are cut, the outcome is the same, and what goes upstream is one
/// strict message with the same body.
///
/// Input: a byte that chooses pieces, listener and room, a byte that chooses the limits, then what a caller sends.
final class RequestTarget: FuzzTarget {
    private let stage: Stage
    private let small = HeadLimits(headBytes: 1024, fieldCount: 8, targetBytes: 64, methodBytes: 8, emptyLines: 1)

    init() throws { stage = try Stage(Stage.example) }

    func check(_ input: [UInt8]) throws(BrokenLaw) {
        guard input.count > 2 else { return }
        let received = Array(input[2...])
        let listener = Int(input[0] >> 4 & 3)
        let limits = input[1] & 1 == 0 ? HeadLimits() : small
        let cut = RequestPassage(
            received, through: stage, listener, limits, size: Pieces.size(input[0], of: input.count),
            isTight: input[0] & 0x80 != 0)
        // What a line says that has not ended need not be known yet.
        let isOpen = cut.head == nil && cut.refusal == nil
        let decided = isOpen ? Pieces.wholeLines(received) : received
        let whole = RequestPassage(decided, through: stage, listener, limits, size: .max, isTight: false)
        try whole.checkBounds()
        try compare(whole, cut)
        try judge(whole, received)
        try judge(cut, received)
    }

    private func compare(_ whole: RequestPassage, _ cut: RequestPassage) throws(BrokenLaw) {
        // Of a line that is malformed and a limit that is passed, whichever is seen first is the reason.
        if whole.refusal != nil, cut.refusal == .headTooLarge || cut.refusal == .trailersTooLarge { return }
        try hold(whole.refusal == cut.refusal, "cut: \(cut.refusal as Any), whole: \(whole.refusal as Any)")
        try hold(whole.head == cut.head && whole.fields == cut.fields, "the head depends on how it is cut")
        try hold(whole.refusal != nil || whole.consumed == cut.consumed, "the request ends elsewhere when it is cut")
        try hold(whole.isComplete == cut.isComplete, "the request is whole only one way")
    }

    /// Reads what goes upstream as the strictest upstream would, and compares it with what came.
    private func judge(_ passage: RequestPassage, _ received: [UInt8]) throws(BrokenLaw) {
        guard let head = passage.head else { return try hold(passage.sent.isEmpty, "sent without a head") }
        let message = try PlainMessage(passage.sent, isRequest: true)
        let body = received[Int(head.length)...]
        switch head.framing {
        case .none, .untilClose:
            try hold(message.framing == .none && message.rest.isEmpty && passage.isComplete, "a body out of nothing")
        case .length(let count):
            try hold(message.framing == .length(Int(count)), "the length changes")
            try hold(message.rest == body.prefix(Int(count)), "the body changes")
            try hold(passage.isComplete == (body.count >= Int(count)), "a cut body passes for whole")
        case .chunked:
            try hold(message.framing == .chunked, "chunks lose their framing")
            let (came, went) = (PlainChunks(body), PlainChunks(message.rest))
            try hold(came.body.starts(with: went.body), "the body changes")
            guard passage.isComplete else { return try hold(went.end == .cut, "a cut body passes for whole") }
            try hold(came.end == .whole && went.end == .whole, "a body is whole on one side")
            try hold(came.body == went.body && came.passedTrailers == went.trailers, "body or trailers change")
            try hold(went.byteCount == message.rest.count, "bytes behind the body go upstream")
        }
        try passage.checkFields(of: message)
    }
}
