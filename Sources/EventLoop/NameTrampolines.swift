// SPDX-License-Identifier: Apache-2.0
import CLibevent

// Every function evdns calls; see Trampolines.swift.

/// `evdns_callback_type`. `context` is a ``NameQuestion``; `bytes` are `count` addresses of 4 or
/// 16 bytes, which end with this call.
func nameAnswered(
    _ code: CInt, _ type: CChar, _ count: CInt, _ seconds: CInt, _ bytes: UnsafeMutableRawPointer?,
    _ context: UnsafeMutableRawPointer?
) {
    guard let context = unsafe context else { return }
    let question = unsafe Unmanaged<NameQuestion>.fromOpaque(context).takeUnretainedValue()
    let size = type == CChar(DNS_IPv6_AAAA) ? 16 : 4
    var addresses: [SocketAddress] = []
    if code == DNS_ERR_NONE, let bytes = unsafe bytes {
        let all = unsafe Span<UInt8>(
            _unsafeElements: UnsafeBufferPointer(
                start: bytes.assumingMemoryBound(to: UInt8.self), count: max(0, Int(count)) * size))
        for start in stride(from: 0, to: all.count, by: size) {
            addresses.append(SocketAddress(ip: all.extracting(start..<start + size), port: 0))
        }
    }
    question.answered(code: code, addresses: addresses, seconds: Int(seconds))
}

/// `evdns_debug_log_fn_type`.
func resolverLogged(_: CInt, _: UnsafePointer<CChar>?) {}
