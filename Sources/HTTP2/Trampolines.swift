// SPDX-License-Identifier: Apache-2.0
import CNghttp2
import EventLoop

/// Answers that go on.
private let goOn: CInt = 0

/// A session of libnghttp2 with our callbacks; `nil` without memory.
func makeSession(_ role: HTTP2Session.Role, _ limits: HTTP2Limits, _ memory: SessionMemory?) -> OpaquePointer? {
    var callbacks: OpaquePointer?
    guard unsafe nghttp2_session_callbacks_new(&callbacks) == 0, let callbacks = unsafe callbacks else { return nil }
    defer { unsafe nghttp2_session_callbacks_del(callbacks) }
    var option: OpaquePointer?
    guard unsafe nghttp2_option_new(&option) == 0, let option = unsafe option else { return nil }
    defer { unsafe nghttp2_option_del(option) }
    unsafe set(callbacks)
    unsafe set(option, limits)
    var session: OpaquePointer?
    let create = unsafe role == .server ? nghttp2_session_server_new3 : nghttp2_session_client_new3
    guard let memory else { return unsafe create(&session, callbacks, nil, option, nil) == 0 ? session : nil }
    var functions = unsafe memory.functions
    return unsafe create(&session, callbacks, nil, option, &functions) == 0 ? session : nil
}

private func set(_ option: OpaquePointer, _ limits: HTTP2Limits) {
    // A body is credited as it is used, not as it comes.
    unsafe nghttp2_option_set_no_auto_window_update(option, 1)
    // Only for the priorities of RFC 7540, at the price of one closed stream kept for each open one.
    unsafe nghttp2_option_set_no_closed_streams(option, 1)
    // Our own budget for resets knows of streams that ended well; the library's would end connections it lets live.
    unsafe nghttp2_option_set_stream_reset_rate_limit(option, 1 << 30, 1 << 30)
    unsafe nghttp2_option_set_max_outbound_ack(option, limits.unreadAcknowledgements)
    unsafe nghttp2_option_set_max_settings(option, limits.settingsEntries)
    unsafe nghttp2_option_set_max_continuations(option, limits.continuations)
    unsafe nghttp2_option_set_max_send_header_block_length(option, 2 * BufferPool.blockSize)
}

private func set(_ callbacks: OpaquePointer) {
    unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, headBegins)
    unsafe nghttp2_session_callbacks_set_on_header_callback2(callbacks, fieldReceived)
    unsafe nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, fieldRefused)
    unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frameReceived)
    unsafe nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, frameRefused)
    unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, dataReceived)
    unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, streamClosed)
    unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, frameSent)
    unsafe nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, frameNotSent)
    unsafe nghttp2_session_callbacks_set_send_data_callback(callbacks, dataDue)
}

/// The session lives as long as its handle, so nobody has to count a reference for a call.
@inline(__always)
private func withSession<Result>(
    _ context: UnsafeMutableRawPointer?, otherwise: Result, _ body: (HTTP2Session) -> Result
) -> Result {
    guard let context = unsafe context else { return otherwise }
    return unsafe Unmanaged<HTTP2Session>.fromOpaque(context)._withUnsafeGuaranteedRef { body($0) }
}

private func headBegins(
    _: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ context: UnsafeMutableRawPointer?
) -> CInt {
    guard let frame = unsafe frame else { return goOn }
    return unsafe withSession(context, otherwise: goOn) {
        unsafe $0.headBegins(frame.pointee.headers.cat)
        return goOn
    }
}

private func fieldReceived(
    _: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ name: OpaquePointer?, _ value: OpaquePointer?,
    _: UInt8, _ context: UnsafeMutableRawPointer?
) -> CInt {
    guard let name = unsafe name, let value = unsafe value else { return goOn }
    return unsafe withSession(context, otherwise: goOn) {
        if unsafe $0.incoming.add(name, value) { return goOn }
        if let frame = unsafe frame { unsafe $0.headAbandoned(FrameNote(frame).id) }
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
    }
}

/// Without it libnghttp2 would leave such a field out and take the rest.
private func fieldRefused(
    _: OpaquePointer?, _: UnsafePointer<nghttp2_frame>?, _: OpaquePointer?, _: OpaquePointer?, _: UInt8,
    _: UnsafeMutableRawPointer?
) -> CInt {
    NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
}

private func frameReceived(
    _: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ context: UnsafeMutableRawPointer?
) -> CInt {
    guard let frame = unsafe frame else { return goOn }
    return unsafe withSession(context, otherwise: goOn) {
        unsafe $0.frameReceived(FrameNote(frame))
        return goOn
    }
}

private func frameRefused(
    _: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ error: CInt, _ context: UnsafeMutableRawPointer?
) -> CInt {
    guard let frame = unsafe frame else { return goOn }
    return unsafe withSession(context, otherwise: goOn) {
        unsafe $0.frameRefused(FrameNote(frame).id, nghttp2_error(error))
        return goOn
    }
}

private func dataReceived(
    _: OpaquePointer?, _: UInt8, _ id: Int32, _ bytes: UnsafePointer<UInt8>?, _ count: Int,
    _ context: UnsafeMutableRawPointer?
) -> CInt {
    unsafe withSession(context, otherwise: goOn) {
        unsafe $0.dataReceived(id, UnsafeBufferPointer(start: bytes, count: count))
        return goOn
    }
}

private func streamClosed(
    _: OpaquePointer?, _ id: Int32, _ code: UInt32, _ context: UnsafeMutableRawPointer?
) -> CInt {
    unsafe withSession(context, otherwise: goOn) {
        let session = $0
        session.withStream(id) { session.streamClosed($0, code: code) }
        return goOn
    }
}

private func frameSent(
    _: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ context: UnsafeMutableRawPointer?
) -> CInt {
    guard let frame = unsafe frame else { return goOn }
    return unsafe withSession(context, otherwise: goOn) {
        unsafe $0.frameSent(FrameNote(frame))
        return goOn
    }
}

private func frameNotSent(
    _: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _: CInt, _ context: UnsafeMutableRawPointer?
) -> CInt {
    guard let frame = unsafe frame else { return goOn }
    return unsafe withSession(context, otherwise: goOn) {
        unsafe $0.frameNotSent(FrameNote(frame))
        return goOn
    }
}

/// The bytes of a body that the next DATA frame is to carry.
func bodyDue(
    _: OpaquePointer?, _: Int32, _: UnsafeMutablePointer<UInt8>?, _ atMost: Int,
    _ flags: UnsafeMutablePointer<UInt32>?, _ source: UnsafeMutablePointer<nghttp2_data_source>?,
    _ context: UnsafeMutableRawPointer?
) -> Int {
    let failed = Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
    guard let flags = unsafe flags, let known = unsafe source?.pointee.ptr else { return failed }
    return unsafe withSession(context, otherwise: failed) { session in
        unsafe Unmanaged<HTTP2Stream>.fromOpaque(known)._withUnsafeGuaranteedRef {
            unsafe session.bodyAsked($0, atMost: atMost, flags: &flags.pointee)
        }
    }
}

private func dataDue(
    _: OpaquePointer?, _ frame: UnsafeMutablePointer<nghttp2_frame>?, _ header: UnsafePointer<UInt8>?, _ count: Int,
    _ source: UnsafeMutablePointer<nghttp2_data_source>?, _ context: UnsafeMutableRawPointer?
) -> CInt {
    let failed = NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
    guard let known = unsafe source?.pointee.ptr else { return failed }
    return unsafe withSession(context, otherwise: failed) { session in
        let isWritten = unsafe Unmanaged<HTTP2Stream>.fromOpaque(known)._withUnsafeGuaranteedRef {
            unsafe session.writeData($0, UnsafeBufferPointer(start: header, count: 9), count)
        }
        return isWritten ? goOn : NGHTTP2_ERR_WOULDBLOCK.rawValue
    }
}
