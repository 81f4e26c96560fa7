// SPDX-License-Identifier: Apache-2.0

/// The text of the IP address that was asked for last: callers and endpoints are mostly those of the span before.
final class AddressMemo {
    private var address = EndpointAddress()
    /// Nothing if there is none. Needs no escaping in any format.
    private(set) var text = ByteWriter(capacity: 64)

    /// Leaves the address in ``text``.
    @inline(__always)
    func look(_ other: EndpointAddress) {
        if address.byteCount != other.byteCount || address.quad != other.quad || other.byteCount == 16 { take(other) }
    }

    @inline(never)
    private func take(_ other: EndpointAddress) {
        address = other
        text.truncate(to: 0)
        text.append(ipText: other)
    }
}
