// SPDX-License-Identifier: Apache-2.0

/// How much of a head is read before the peer is refused.
public struct HeadLimits: BitwiseCopyable, Sendable {
    /// The whole head in bytes, from the first line to the empty line.
    public var headBytes: Int
    /// Field lines; at most ``FieldTable/capacity``.
    public var fieldCount: Int
    /// The request target in bytes.
    public var targetBytes: Int
    /// The method in bytes.
    public var methodBytes: Int
    /// Empty lines tolerated before a request line (RFC 9112 §2.2).
    public var emptyLines: Int
    /// Whether a target in absolute form may begin with `https://`: the peer has spoken TLS to us.
    public var takesHTTPS = false

    public init(
        headBytes: Int = 65_536,
        fieldCount: Int = FieldTable.capacity,
        targetBytes: Int = 16_384,
        methodBytes: Int = 32,
        emptyLines: Int = 2
    ) {
        self.headBytes = headBytes
        self.fieldCount = fieldCount
        self.targetBytes = targetBytes
        self.methodBytes = methodBytes
        self.emptyLines = emptyLines
    }
}
