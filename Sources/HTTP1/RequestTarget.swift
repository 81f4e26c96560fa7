// SPDX-License-Identifier: Apache-2.0

/// A request target, taken apart (RFC 9112 §3.2).
struct RequestTarget: BitwiseCopyable {
    /// Path and query; without the path's bytes if an absolute-form has none.
    var path: ByteRange
    /// Bytes of `path` before the `?`.
    var pathCount: UInt32
    /// Empty unless the target is in absolute-form.
    var authority: ByteRange

    /// `target` holds only bytes of ``ByteClass/target``.
    ///
    /// - Parameters:
    ///   - isPlain: it has neither `?` nor `%`.
    ///   - takesHTTPS: see ``HeadLimits/takesHTTPS``.
    // bounded: `target` is not empty and lies in the bytes, as the cursor took it
    init(
        _ target: Range<Int>, isPlain: Bool, method: Method, takesHTTPS: Bool, in bytes: Span<UInt8>
    ) throws(SyntaxError) {
        var pathStart = target.lowerBound
        var authority = ByteRange.empty
        if bytes[pathStart] == UInt8(ascii: "*"), target.count == 1 {
            guard method == .options else { throw .invalidTarget }
        } else if bytes[pathStart] != UInt8(ascii: "/") {
            let absolute = try absoluteForm(target, takesHTTPS: takesHTTPS, in: bytes)
            authority = ByteRange(absolute)
            pathStart = absolute.upperBound
        }
        path = ByteRange(pathStart..<target.upperBound)
        pathCount =
            isPlain
            ? path.count : UInt32(truncatingIfNeeded: try pathLength(pathStart..<target.upperBound, in: bytes))
        self.authority = authority
    }
}

/// The authority of `http://host[:port]/…`, or of `https://…` to a peer that speaks TLS. Other schemes are refused: this
/// proxy would have to lie about them to the upstream.
// bounded: start and end are compared with the target's
private func absoluteForm(
    _ target: Range<Int>, takesHTTPS: Bool, in bytes: Span<UInt8>
) throws(SyntaxError) -> Range<Int> {
    var start = target.lowerBound + 7
    guard start < target.upperBound else { throw .invalidTarget }
    if !lowercasedEquals(bytes.extracting(target.lowerBound..<start), "http://") {
        start += 1
        guard takesHTTPS, start < target.upperBound,
            lowercasedEquals(bytes.extracting(target.lowerBound..<start), "https://")
        else { throw .invalidTarget }
    }
    var end = start
    while end < target.upperBound, bytes[end] != UInt8(ascii: "/"), bytes[end] != UInt8(ascii: "?") { end += 1 }
    guard isHost(bytes.extracting(start..<end)) else { throw .invalidTarget }
    return start..<end
}

/// The bytes before `?`. Throws if a `%` is not followed by two hex digits (RFC 3986 §2.1).
private func pathLength(_ path: Range<Int>, in bytes: Span<UInt8>) throws(SyntaxError) -> Int {
    var length: Int?
    for index in path {
        let byte = bytes[index]  // bounded: the path lies in the target
        if byte == UInt8(ascii: "?"), length == nil { length = index - path.lowerBound }
        if byte == UInt8(ascii: "%"), index + 2 >= path.upperBound || !isEscape(at: index, in: bytes) {
            throw .invalidTarget
        }
    }
    return length ?? path.count
}
