// SPDX-License-Identifier: Apache-2.0

/// Whether what has come is a whole ClientHello (RFC 8446 §4.1.2), in one record or several; or already such that it never
/// will be one, which is for OpenSSL to say.
func isWholeHello(_ bytes: Span<UInt8>) -> Bool {
    let headCount = 5
    var place = 0
    var collected = 0
    var wanted: Int?
    while place + headCount <= bytes.count {
        let count = Int(bytes[place + 3]) << 8 | Int(bytes[place + 4])  // bounded: the record's head is here
        guard bytes[place] == handshakeRecord, 1...recordLimit ~= count else { return true }
        let start = place + headCount
        if wanted == nil {
            guard count >= 4 else { return true }
            guard start + 4 <= bytes.count else { return false }
            guard bytes[start] == clientHello else { return true }
            // bounded: four bytes behind the start are here
            wanted = 4 + (Int(bytes[start + 1]) << 16 | Int(bytes[start + 2]) << 8 | Int(bytes[start + 3]))
        }
        collected += min(count, bytes.count - start)
        if let wanted, collected >= wanted { return true }
        place = start + count
    }
    return false
}

private let handshakeRecord: UInt8 = 22
private let clientHello: UInt8 = 1
/// Of a record's content (RFC 8446 §5.1).
private let recordLimit = 1 << 14
