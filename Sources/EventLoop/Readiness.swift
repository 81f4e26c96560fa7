// SPDX-License-Identifier: Apache-2.0
import CLibevent

/// What happened to a socket. libevent reports one or more at a time.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: Int16
    public init(rawValue: Int16) { self.rawValue = rawValue }

    /// Bytes, an end of stream or an error wait to be read.
    public static let readable = Readiness(rawValue: Int16(EV_READ))
    /// The peer has ended its direction; comes with ``readable``.
    public static let ended = Readiness(rawValue: Int16(EV_CLOSED))
    /// The kernel takes bytes again, or a connect has ended.
    public static let writable = Readiness(rawValue: Int16(EV_WRITE))
}
