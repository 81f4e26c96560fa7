// SPDX-License-Identifier: Apache-2.0

/// How the end of a body is known (RFC 9112 §6.3).
public enum BodyFraming: BitwiseCopyable, Equatable, Sendable {
    /// There is no body.
    case none
    /// Exactly so many bytes, from Content-Length; may be 0.
    case length(UInt64)
    /// The chunked coding; read it with ``ChunkedDecoder``.
    case chunked
    /// Everything until the peer closes. Responses only.
    case untilClose
}
