// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// Starts connections to upstreams and collectors.
public enum Connecting {
    /// What a non-blocking connect gave at once.
    public enum Outcome: ~Copyable {
        /// Writable once the handshake has ended; then ``Socket/takeError()`` tells how.
        case inProgress(Descriptor)
        /// Connected at once, as unix sockets do.
        case connected(Descriptor)
        case failed(errno: CInt)
    }

    public static func start(_ address: SocketAddress) -> Outcome {
        let family =
            switch address.family {
            case .ipv4: AF_INET
            case .ipv6: AF_INET6
            case .unix: AF_UNIX
            case .none: CInt(-1)
            }
        guard family >= 0 else { return .failed(errno: EAFNOSUPPORT) }
        let number = sys_stream_socket(family)
        guard number >= 0 else { return .failed(errno: errno) }
        let descriptor = Descriptor(owning: number)
        if family != AF_UNIX { _ = sys_no_delay(number) }
        let status = unsafe address.withPointer { unsafe connect(number, $0, $1) }
        if status == 0 { return .connected(descriptor) }
        return errno == EINPROGRESS ? .inProgress(descriptor) : .failed(errno: errno)
    }
}
