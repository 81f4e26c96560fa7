// SPDX-License-Identifier: Apache-2.0
import EventLoop

extension ByteWriter {
    /// The IP address as text, such as `192.0.2.10` or `2001:db8::1`; nothing if there is none.
    mutating func append(ipText address: EndpointAddress) {
        switch address.byteCount {
        case 4: append(dottedQuad: address.quad)
        case 16: append(ip6Text(address).span)
        default: break
        }
    }

    /// The address in network order, 4 or 16 bytes; nothing if there is none.
    mutating func append(ipBytes address: EndpointAddress) {
        if address.byteCount == 4 { return append(littleEndian: address.quad) }
        let ip = address.ip
        append(ip.span.extracting(first: Int(address.byteCount)))
    }
}

private func ip6Text(_ address: EndpointAddress) -> [UInt8] {
    let ip = address.ip
    let socket = SocketAddress(ip: ip.span, port: 0)
    return [UInt8](capacity: 48) { socket.writeIP(into: &$0) }
}
