// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// What we look at of a frame that libnghttp2 tells of.
struct FrameNote: BitwiseCopyable {
    let type: nghttp2_frame_type
    let id: Int32
    private let flags: UInt8
    /// Of RST_STREAM and GOAWAY.
    let code: HTTP2ErrorCode

    init(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = unsafe frame.pointee.hd
        type = nghttp2_frame_type(UInt32(header.type))
        id = header.stream_id
        flags = header.flags
        switch type {
        case NGHTTP2_RST_STREAM: code = HTTP2ErrorCode(rawValue: unsafe frame.pointee.rst_stream.error_code)
        case NGHTTP2_GOAWAY: code = HTTP2ErrorCode(rawValue: unsafe frame.pointee.goaway.error_code)
        default: code = .noError
        }
    }

    var endsStream: Bool { UInt32(flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0 }
    var acknowledges: Bool { UInt32(flags) & NGHTTP2_FLAG_ACK.rawValue != 0 }
}
