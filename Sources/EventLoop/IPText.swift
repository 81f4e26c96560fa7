// SPDX-License-Identifier: Apache-2.0

/// An IP address as text, formatted once per connection: at most 45 bytes, empty for a unix socket.
public struct IPText: BitwiseCopyable, Sendable {
    private var bytes = InlineArray<46, UInt8>(repeating: 0)
    private var count: UInt8 = 0

    public init(_ address: SocketAddress) {
        var length = 0
        bytes = InlineArray<46, UInt8> { out in
            address.writeIP(into: &out)
            length = out.count
            while out.freeCapacity > 0 { out.append(0) }
        }
        count = UInt8(truncatingIfNeeded: length)
    }

    public var isEmpty: Bool { count == 0 }

    /// The text.
    public var span: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { bytes.span.extracting(first: Int(count)) }
    }
}
