// SPDX-License-Identifier: Apache-2.0

/// Whether `bytes` are `lower` in any case. `lower` is a literal in lower case.
public func lowercasedEquals(_ bytes: Span<UInt8>, _ lower: String) -> Bool {
    let expected = lower.utf8
    guard bytes.count == expected.count else { return false }
    var index = 0
    // bounded: as many bytes as expected ones
    for byte in expected {
        guard lowercased(bytes[index]) == byte else { return false }
        index += 1
    }
    return true
}

/// The name of a protocol in Upgrade (RFC 9110 §7.8).
public enum UpgradeToken {
    /// Whether a 101 names the protocol that was asked for; names are compared in any case.
    public static func matches(_ asked: Span<UInt8>, _ granted: Span<UInt8>) -> Bool {
        equalsInAnyCase(asked, granted)
    }
}

func equalsInAnyCase(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    // bounded: of one length
    for index in left.indices where lowercased(left[index]) != lowercased(right[index]) { return false }
    return true
}
