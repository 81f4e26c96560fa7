// SPDX-License-Identifier: Apache-2.0
import CNghttp2
import EventLoop
import HTTP1

/// What libnghttp2 is given to write, and what it asks for while it does.
extension HTTP2Session {
    /// A head with what is known of its body, or more of a body.
    func submit(_ stream: HTTP2Stream) {
        if stream.headCount > 0, !stream.headSubmitted { return submitHead(stream) }
        if stream.isDeferred, !stream.pending.isEmpty || stream.endQueued {
            stream.isDeferred = false
            unsafe nghttp2_session_resume_data(handle, stream.id)
        }
    }

    /// A 1xx head goes at once; what comes behind it waits its turn. `false` when it is no head.
    func submitInterim(_ stream: HTTP2Stream) -> Bool {
        defer { stream.dropPending() }  // not before its lines were copied
        guard read(stream, isRequest: false) else { return false }
        unsafe nghttp2_submit_headers(handle, 0, stream.id, nil, lines.fields, lines.count, nil)
        touch()
        return true
    }

    private func submitHead(_ stream: HTTP2Stream) {
        guard read(stream, isRequest: role == .client) else { return failSubmit(stream) }
        let hasBody = stream.pending.count > stream.headCount
        let hasTrailers = !stream.sentTrailers.isEmpty
        stream.headSubmitted = true
        let isAccepted =
            switch (stream.endQueued && !hasBody, hasTrailers) {
            case (true, false): submitHead(stream, flags: UInt8(NGHTTP2_FLAG_END_STREAM.rawValue))
            case (true, true) where role == .server: submitHead(stream, flags: 0) && submitTrailers(stream)
            // libnghttp2 would frame a request's trailers before its head, if it had them at once.
            case (true, true), (false, _): submitHeadWithBody(stream)
            }
        stream.pending.consume(stream.headCount)
        stream.headCount = 0
        stream.pending.releaseIfEmpty()
        if !isAccepted { failSubmit(stream) }
        stream.noteRoom()
    }

    private func failSubmit(_ stream: HTTP2Stream) {
        stream.headSubmitted = true
        reset(stream, .internalError)
    }

    private func read(_ stream: HTTP2Stream, isRequest: Bool) -> Bool {
        let count = stream.headCount
        if stream.sentLines.headCount == count {
            return unsafe lendBytes(stream.pending, with: stream.sentLines) {
                let head = unsafe UnsafeBufferPointer(rebasing: $0.prefix(count))
                return unsafe isRequest ? lines.takeRequest(head, $1) : lines.takeResponse(head, $1)
            }
        }
        return unsafe lendBytes(stream.pending) {
            let head = unsafe UnsafeBufferPointer(rebasing: $0.prefix(count))
            return unsafe isRequest ? lines.readRequest(head) : lines.readResponse(head)
        }
    }

    /// A head behind which no DATA comes.
    private func submitHead(_ stream: HTTP2Stream, flags: UInt8) -> Bool {
        if role == .server {
            return unsafe nghttp2_submit_headers(handle, flags, stream.id, nil, lines.fields, lines.count, nil) == 0
        }
        let known = unsafe Unmanaged.passUnretained(stream).toOpaque()
        return unsafe noteID(nghttp2_submit_headers(handle, flags, -1, nil, lines.fields, lines.count, known), stream)
    }

    private func submitHeadWithBody(_ stream: HTTP2Stream) -> Bool {
        let known = unsafe Unmanaged.passUnretained(stream).toOpaque()
        var source = unsafe nghttp2_data_provider(source: nghttp2_data_source(ptr: known), read_callback: bodyDue)
        if role == .server {
            return unsafe nghttp2_submit_response(handle, stream.id, lines.fields, lines.count, &source) == 0
        }
        return unsafe noteID(nghttp2_submit_request(handle, nil, lines.fields, lines.count, &source, known), stream)
    }

    private func noteID(_ id: Int32, _ stream: HTTP2Stream) -> Bool {
        guard id > 0 else { return false }
        stream.id = id
        return true
    }

    private func submitTrailers(_ stream: HTTP2Stream) -> Bool {
        guard unsafe lendBytes(stream.sentTrailers, to: { unsafe lines.readTrailers($0) }) else { return false }
        defer { stream.sentTrailers.release() }  // not before its lines were copied
        return unsafe nghttp2_submit_trailer(handle, stream.id, lines.fields, lines.count) == 0
    }

    // MARK: Asked while writing

    /// How many bytes the next DATA frame takes, and what it ends.
    func bodyAsked(_ stream: HTTP2Stream, atMost: Int, flags: inout UInt32) -> Int {
        let available = stream.pending.count
        guard available > 0 || stream.endQueued else {
            stream.isDeferred = true
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        }
        let count = min(atMost, available, max(0, outbox.freeCount - 9))
        flags |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
        guard count == available, stream.endQueued else { return count }
        flags |= NGHTTP2_DATA_FLAG_EOF.rawValue
        if !stream.sentTrailers.isEmpty {
            flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
            if !submitTrailers(stream) { return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue) }
        }
        return count
    }

    /// The frame header and its bytes of the body, together or not at all.
    func writeData(_ stream: HTTP2Stream, _ header: UnsafeBufferPointer<UInt8>, _ count: Int) -> Bool {
        guard outbox.freeCount >= count + 9, outbox.reserve() else { return false }
        unsafe _ = outbox.append(copying: Span(_unsafeElements: header))
        if count > 0 {
            move(first: count, of: &stream.pending, to: &outbox)
            stream.pending.releaseIfEmpty()
            stream.idleSweeps = 0
        }
        watch.dataFrameSent()
        stream.noteRoom()
        return true
    }

    func frameSent(_ frame: FrameNote) {
        switch frame.type {
        case NGHTTP2_HEADERS:
            withStream(frame.id) {
                $0.headSent = true
                if frame.endsStream { endWritten($0) }
            }
        case NGHTTP2_DATA:
            if frame.endsStream { withStream(frame.id) { endWritten($0) } }
        case NGHTTP2_RST_STREAM: resetSent(frame)
        case NGHTTP2_SETTINGS, NGHTTP2_PING:
            if frame.acknowledges { acknowledgementWritten() }
        default: break
        }
    }

    /// libnghttp2 resets some streams without telling before, as for a body that is not as long as was said.
    private func resetSent(_ frame: FrameNote) {
        switch frame.code {
        case .noError, .cancel, .refusedStream, .internalError, .enhanceYourCalm: return
        default:
            // One without a stream of ours was charged when its head came.
            if let stream = stream(frame.id) { charge(stream) }
        }
    }

    /// A request's head could not be sent: the peer knows nothing of it.
    func frameNotSent(_ frame: FrameNote) {
        guard role == .client, frame.type == NGHTTP2_HEADERS else { return }
        guard let stream = openStream(id: frame.id), !stream.headSent else { return }
        streamClosed(stream, code: HTTP2ErrorCode.refusedStream.rawValue)
    }
}
