// SPDX-License-Identifier: Apache-2.0

/// What a peer sent that this proxy refuses to relay. Each case says which rule was broken.
public enum SyntaxError: Error, Equatable, BitwiseCopyable, Sendable {
    // Request line
    /// More empty lines before the request line than tolerated (RFC 9112 §2.2).
    case tooManyEmptyLines
    /// The method is empty or holds a byte that is no `tchar`, or is not followed by one space (RFC 9112 §3).
    case invalidMethod
    /// A method longer than any we would pass on (RFC 9112 §3).
    case methodTooLong
    /// CONNECT: a reverse proxy opens no tunnels (RFC 9110 §9.3.6).
    case connectRefused
    /// TRACE would show fields added on the way (RFC 9110 §9.3.8).
    case traceRefused
    /// The target is empty, in no known form, or holds a byte outside the URI grammar (RFC 9112 §3.2).
    case invalidTarget
    /// A target above the limit (RFC 9112 §3).
    case targetTooLong
    /// A request line without a version: HTTP/0.9 (RFC 9112 §2.3).
    case missingVersion
    /// The version is not of the form `HTTP/1.1` (RFC 9112 §2.3).
    case invalidVersion
    /// A well-formed version that is neither 1.0 nor 1.1 (RFC 9110 §15.6.6).
    case unsupportedVersion

    // Status line
    /// The status line has no version, no three-digit code from 100 on, or a bad reason (RFC 9112 §4).
    case invalidStatusLine

    // Head
    /// A carriage return or line feed that does not belong to a CRLF (RFC 9112 §2.2).
    case invalidLineEnd
    /// A line that begins with a blank: obsolete folding, or a blank before the first field (RFC 9112 §§2.2, 5.2).
    case foldedField
    /// A field name that is empty or holds a byte that is no `tchar` (RFC 9110 §5.1).
    case invalidFieldName
    /// A blank between field name and colon (RFC 9112 §5.1).
    case blankBeforeColon
    /// A control byte in a field value (RFC 9110 §5.5).
    case invalidFieldValue
    /// More field lines than ``HeadLimits/fieldCount`` (RFC 6585 §5).
    case tooManyFields
    /// A head above ``HeadLimits/headBytes`` (RFC 6585 §5).
    case headTooLarge

    // Host
    /// HTTP/1.1 without Host (RFC 9112 §3.2).
    case missingHost
    /// More than one Host (RFC 9112 §3.2).
    case duplicateHost
    /// Host is no `host[:port]` (RFC 9110 §7.2).
    case invalidHost
    /// Host and the authority of an absolute-form target differ (RFC 9112 §3.2.2).
    case hostMismatch

    // Framing
    /// Content-Length is not 1 to 19 digits, or does not fit 63 bits (RFC 9110 §8.6).
    case invalidContentLength
    /// More than one Content-Length (RFC 9112 §6.3).
    case duplicateContentLength
    /// Content-Length beside Transfer-Encoding: a smuggling attempt (RFC 9112 §6.3).
    case conflictingLength
    /// A transfer coding other than a lone `chunked` (RFC 9112 §6.1).
    case unsupportedTransferCoding
    /// More than one Transfer-Encoding (RFC 9112 §6.1).
    case duplicateTransferEncoding
    /// Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1).
    case transferEncodingInOldVersion
    /// A length field in an interim response, which has no body (RFC 9110 §§6.4.1, 8.6).
    case lengthInInterimResponse

    // Connection
    /// Connection names more options than we are willing to look up (RFC 9110 §7.6.1).
    case tooManyConnectionOptions
    /// A WebSocket handshake with a body, which would be read as frames (RFC 6455 §4.1).
    case upgradeWithBody
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    case unsupportedExpectation

    // Chunked coding
    /// A chunk size that is not 1 to 15 hex digits, or is not followed by CRLF or an extension (RFC 9112 §7.1).
    case invalidChunkSize
    /// A chunk extension outside the grammar (RFC 9112 §7.1.1).
    case invalidChunkExtension
    /// More than ``ChunkedDecoder/maximumExtensionBytes`` of extensions in one message (RFC 9112 §7.1.1).
    case chunkExtensionsTooLarge
    /// Chunk data that is not followed by CRLF (RFC 9112 §7.1).
    case invalidChunkEnd
    /// A framing, routing or credential field in the trailers (RFC 9110 §6.5.1).
    case forbiddenTrailer
    /// Trailers above ``ChunkedDecoder/maximumTrailerBytes`` (RFC 6585 §5).
    case trailersTooLarge
}

extension SyntaxError {
    /// The status of our reply when a request broke the rule. A response that breaks one is a 502.
    public var status: UInt16 {
        switch self {
        case .connectRefused, .traceRefused: 405
        case .targetTooLong: 414
        case .unsupportedExpectation: 417
        case .tooManyFields, .headTooLarge, .trailersTooLarge: 431
        case .methodTooLong, .unsupportedTransferCoding: 501
        case .unsupportedVersion: 505
        default: 400
        }
    }

    /// One line for the local reply, the span and the log; fixed text, so nothing the peer sent is repeated.
    public var reason: StaticString {
        switch self {
        case .tooManyEmptyLines: "too many empty lines before the request line"
        case .invalidMethod: "malformed method"
        case .methodTooLong: "method too long"
        case .connectRefused: "CONNECT is not allowed"
        case .traceRefused: "TRACE is not allowed"
        case .invalidTarget: "malformed request target"
        case .targetTooLong: "request target too long"
        case .missingVersion: "request line without a version"
        case .invalidVersion: "malformed HTTP version"
        case .unsupportedVersion: "unsupported HTTP version"
        case .invalidStatusLine: "malformed status line"
        case .invalidLineEnd: "line end other than CRLF"
        case .foldedField: "line begins with a blank"
        case .invalidFieldName: "malformed field name"
        case .blankBeforeColon: "blank before the colon of a field"
        case .invalidFieldValue: "control byte in a field value"
        case .tooManyFields: "too many fields"
        case .headTooLarge: "head too large"
        case .missingHost: "Host is missing"
        case .duplicateHost: "more than one Host"
        case .invalidHost: "malformed Host"
        case .hostMismatch: "Host differs from the request target"
        case .invalidContentLength: "malformed Content-Length"
        case .duplicateContentLength: "more than one Content-Length"
        case .conflictingLength: "Content-Length beside Transfer-Encoding"
        case .unsupportedTransferCoding: "unsupported transfer coding"
        case .duplicateTransferEncoding: "more than one Transfer-Encoding"
        case .transferEncodingInOldVersion: "Transfer-Encoding in HTTP/1.0"
        case .lengthInInterimResponse: "length in an interim response"
        case .tooManyConnectionOptions: "too many connection options"
        case .upgradeWithBody: "upgrade with a body"
        case .unsupportedExpectation: "unsupported expectation"
        case .invalidChunkSize: "malformed chunk size"
        case .invalidChunkExtension: "malformed chunk extension"
        case .chunkExtensionsTooLarge: "chunk extensions too large"
        case .invalidChunkEnd: "chunk data not followed by CRLF"
        case .forbiddenTrailer: "forbidden field in the trailers"
        case .trailersTooLarge: "trailers too large"
        }
    }
}
