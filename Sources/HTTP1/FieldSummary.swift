// SPDX-License-Identifier: Apache-2.0

/// What the field lines of one head say about framing and the connection.
struct FieldSummary: BitwiseCopyable {
    var host: ByteRange?
    var contentLength: UInt64?
    /// Content-Length is spelled as we would spell it.
    var isLengthCanonical = true
    var isChunked = false
    var connection = ConnectionOptions()
    var upgrade = ByteRange.empty
    var expectsContinue = false
    /// At least one line is not forwarded as it is.
    var isAnyRemoved = false

    private var upgradeLines = 0

    /// Takes note of one line; `index` is its place in the table. Duplicates that would let two
    /// readers see two messages are refused.
    mutating func note(
        _ field: FieldTable.Field, in bytes: Span<UInt8>, ofRequest isRequest: Bool
    ) throws(SyntaxError) {
        let value = bytes.extracting(field.value.range)
        switch field.kind {
        case .host where isRequest:
            guard host == nil else { throw .duplicateHost }
            guard isHost(value) else { throw .invalidHost }
            host = field.value
        case .contentLength:
            guard contentLength == nil else { throw .duplicateContentLength }
            contentLength = try decimalLength(value)
            isLengthCanonical = value.count == 1 || value[0] != UInt8(ascii: "0")
        case .transferEncoding:
            guard !isChunked else { throw .duplicateTransferEncoding }
            guard lowercasedEquals(value, "chunked") else { throw .unsupportedTransferCoding }
            isChunked = true
        case .connection:
            try connection.note(value)
        case .upgrade:
            upgradeLines += 1
            upgrade = upgradeLines == 1 ? field.value : .empty
        case .expect where isRequest:
            guard lowercasedEquals(value, "100-continue") else { throw .unsupportedExpectation }
            expectsContinue = true
        default: break
        }
        if !field.isForwarded { isAnyRemoved = true }
    }

    /// Rules that need all lines: length fields exclude each other, and nominated lines go.
    mutating func finish(
        minorVersion: UInt8, in bytes: Span<UInt8>, fields: inout FieldTable
    ) throws(SyntaxError) {
        guard contentLength == nil || !isChunked else { throw .conflictingLength }
        guard minorVersion == 1 || !isChunked else { throw .transferEncodingInOldVersion }
        if connection.nominatesFields {
            removeNominatedFields(in: bytes, fields: &fields)
            isAnyRemoved = true
        }
    }

    /// Whether the connection lasts beyond this message (RFC 9112 §9.3).
    func keepAlive(minorVersion: UInt8) -> Bool {
        !connection.close && (minorVersion == 1 || connection.keepAlive)
    }
}

/// 1 to 19 digits below 2^63 (RFC 9110 §8.6).
private func decimalLength(_ digits: Span<UInt8>) throws(SyntaxError) -> UInt64 {
    guard 1...19 ~= digits.count else { throw .invalidContentLength }
    var length: UInt64 = 0
    for index in digits.indices {
        guard isDigit(digits[index]) else { throw .invalidContentLength }
        // 19 digits are below 10^19, which fits 64 bits.
        length = length &* 10 &+ UInt64(digits[index] &- UInt8(ascii: "0"))
    }
    guard length <= UInt64(Int64.max) else { throw .invalidContentLength }
    return length
}
