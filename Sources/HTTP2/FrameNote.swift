// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// What we look at of a frame that libnghttp2 tells of, for as long as its callback runs.
@safe
struct FrameNote: BitwiseCopyable {
    private let frame: UnsafePointer<nghttp2_frame>

    init(_ frame: UnsafePointer<nghttp2_frame>) { unsafe self.frame = unsafe frame }

    var type: nghttp2_frame_type { nghttp2_frame_type(UInt32(unsafe frame.pointee.hd.type)) }
    var id: Int32 { unsafe frame.pointee.hd.stream_id }
    private var flags: UInt32 { UInt32(unsafe frame.pointee.hd.flags) }
    var endsStream: Bool { flags & NGHTTP2_FLAG_END_STREAM.rawValue != 0 }
    var acknowledges: Bool { flags & NGHTTP2_FLAG_ACK.rawValue != 0 }

    /// Of RST_STREAM and GOAWAY.
    var code: HTTP2ErrorCode {
        switch type {
        case NGHTTP2_RST_STREAM: HTTP2ErrorCode(rawValue: unsafe frame.pointee.rst_stream.error_code)
        case NGHTTP2_GOAWAY: HTTP2ErrorCode(rawValue: unsafe frame.pointee.goaway.error_code)
        default: .noError
        }
    }
}
