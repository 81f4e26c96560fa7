// SPDX-License-Identifier: Apache-2.0
import CNghttp2
import EventLoop
import Glibc
import HTTP1

/// What libnghttp2 tells while it reads.
extension HTTP2Session {
    /// A head or trailer section begins.
    func headBegins(_ category: nghttp2_headers_category) {
        switch category {
        case NGHTTP2_HCAT_REQUEST: incoming.begin(.request)
        case NGHTTP2_HCAT_RESPONSE: incoming.begin(.response)
        default: incoming.begin(.trailers)  // becomes a response when :status comes
        }
    }

    /// A head is far too large: libnghttp2 need not look at the rest of its fields.
    func headAbandoned(_ id: Int32) {
        incoming.begin(.trailers)
        count(.headerList)
        charge(nil)
        let known = stream(id)
        known?.isCharged = true
        unsafe nghttp2_submit_rst_stream(handle, 0, id, HTTP2ErrorCode.enhanceYourCalm.rawValue)
        known?.fail(ECONNRESET)
    }

    /// A whole frame has been read and found good.
    func frameReceived(_ frame: FrameNote) {
        switch frame.type {
        case NGHTTP2_DATA:
            if frame.endsStream { withStream(frame.id) { end($0) } }
        case NGHTTP2_HEADERS: headEnds(frame)
        case NGHTTP2_RST_STREAM: withStream(frame.id) { $0.resetCode = frame.code }
        case NGHTTP2_SETTINGS:
            if frame.acknowledges {
                isSettingsAcknowledged = true
            } else {
                hasPeerSettings = true
                acknowledgementQueued()
            }
        case NGHTTP2_PING:
            if !frame.acknowledges { acknowledgementQueued() }
        case NGHTTP2_GOAWAY: goAwayReceived = frame.code
        default: break
        }
    }

    /// libnghttp2 resets the stream, or ends the connection, because of what came on it.
    func frameRefused(_ id: Int32, _ error: nghttp2_error) {
        incoming.begin(.trailers)  // what there is of a head goes
        if error == NGHTTP2_ERR_REFUSED_STREAM {
            count(.concurrentStreams)
            // A peer that has not seen our SETTINGS yet may not know better.
            if !isSettingsAcknowledged { return refusedEarly() }
        }
        let refused = stream(id)
        charge(refused)
        refused?.fail(ECONNRESET)
    }

    /// Body bytes, as far as they have come.
    func dataReceived(_ id: Int32, _ bytes: UnsafeBufferPointer<UInt8>) {
        unsafe nghttp2_session_consume_connection(handle, bytes.count)
        withStream(id) { unsafe dataReceived($0, bytes) }
    }

    private func dataReceived(_ stream: HTTP2Stream, _ bytes: UnsafeBufferPointer<UInt8>) {
        guard !stream.isDetached, stream.failure == 0 else { return }
        guard unsafe stream.take(body: Span(_unsafeElements: bytes)) else {
            count(.memory)
            return reset(stream, .internalError)
        }
        stream.note(.readable)
    }

    /// The stream of that id, if libnghttp2 and we know one.
    func stream(_ id: Int32) -> HTTP2Stream? {
        guard let known = unsafe nghttp2_session_get_stream_user_data(handle, id) else { return nil }
        return unsafe Unmanaged<HTTP2Stream>.fromOpaque(known).takeUnretainedValue()
    }

    /// Calls with it, if there is one. The session holds it meanwhile.
    ///
    /// libnghttp2 tells of a request that it could not send before it closes its stream: ours may be another's by then.
    @inline(__always)
    func withStream(_ id: Int32, _ body: (HTTP2Stream) -> Void) {
        guard let known = unsafe nghttp2_session_get_stream_user_data(handle, id) else { return }
        unsafe Unmanaged<HTTP2Stream>.fromOpaque(known)._withUnsafeGuaranteedRef {
            if $0.id == id { body($0) }
        }
    }

    private func end(_ stream: HTTP2Stream) {
        stream.endReceived = true
        stream.note(.readable)
    }

    private func headEnds(_ frame: FrameNote) {
        incoming.finish()
        if incoming.kind == .request { return requestEnds(frame.id, endsStream: frame.endsStream) }
        withStream(frame.id) { headEnds($0, frame) }
    }

    private func headEnds(_ stream: HTTP2Stream, _ frame: FrameNote) {
        guard incoming.flaw == nil, take(into: stream) else {
            if case .tooLarge = incoming.flaw { count(.headerList) }
            charge(stream)
            reset(stream, .protocolError)
            return stream.fail(ECONNRESET)
        }
        if incoming.kind == .response, !incoming.isInterim { stream.endedWithHead = frame.endsStream }
        if frame.endsStream { stream.endReceived = true }
        stream.note(.readable)
    }

    /// The complete section goes to its stream; `false` when there is no room for it.
    private func take(into stream: HTTP2Stream) -> Bool {
        if incoming.kind == .trailers {
            swap(&incoming.text, &stream.trailers)
            return true
        }
        if stream.head.isEmpty {
            swap(&incoming.text, &stream.head)
            swap(&incoming.lines, &stream.lines)
            return true
        }
        stream.lines.removeAll()
        let count = incoming.text.count
        return append(incoming.text, to: &stream.head) == count
    }

    private func requestEnds(_ id: Int32, endsStream: Bool) {
        // Whoever reads that GOAWAY sends the request to somebody else.
        guard id <= lastStream else {
            unsafe nghttp2_submit_rst_stream(handle, 0, id, HTTP2ErrorCode.refusedStream.rawValue)
            return
        }
        switch incoming.flaw {
        case nil: break
        case .malformed: return refuse(id, .protocolError)
        case .noMemory:
            count(.memory)
            return refuse(id, .refusedStream)
        case .tooLarge:
            count(.headerList)
            charge(nil)  // reading one costs more than sending it
        }
        makeStream(id: id).use { requestEnds($0, endsStream: endsStream) }
    }

    private func requestEnds(_ stream: HTTP2Stream, endsStream: Bool) {
        unsafe nghttp2_session_set_stream_user_data(handle, stream.id, Unmanaged.passUnretained(stream).toOpaque())
        if incoming.flaw == nil {
            swap(&incoming.text, &stream.head)
            swap(&incoming.lines, &stream.lines)
        } else {
            stream.refusal = 431
        }
        stream.endReceived = endsStream
        stream.endedWithHead = endsStream
        stream.wasAnnounced = true
        stream.note(.readable)
    }

    private func refuse(_ id: Int32, _ code: HTTP2ErrorCode) {
        charge(nil)
        unsafe nghttp2_submit_rst_stream(handle, 0, id, code.rawValue)
    }

    private func refusedEarly() {
        earlyRefusals += 1
        if earlyRefusals > 10 * limits.concurrentStreams { exceed(.concurrentStreams) }
    }
}
