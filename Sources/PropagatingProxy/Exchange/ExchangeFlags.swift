// SPDX-License-Identifier: Apache-2.0

/// How far an exchange has come, and what it may still do.
struct ExchangeFlags: OptionSet, BitwiseCopyable {
    let rawValue: UInt32

    /// The downstream asked for, and this proxy agrees to, another request on the connection.
    static let keepsAlive = ExchangeFlags(rawValue: 1)
    /// The sent request may be sent again on another connection: nothing has come back yet.
    static let replayable = ExchangeFlags(rawValue: 2)
    /// The request head has been handed to the upstream connection's output.
    static let requestBegun = ExchangeFlags(rawValue: 4)
    /// The kernel has taken the whole request.
    static let requestSent = ExchangeFlags(rawValue: 8)
    /// A final response head has been passed on.
    static let responseBegun = ExchangeFlags(rawValue: 16)
    static let isTunnel = ExchangeFlags(rawValue: 32)
    /// The upstream connection may serve another exchange after this one.
    static let reusesUpstream = ExchangeFlags(rawValue: 64)
    /// The kernel may have taken at least one byte of the request.
    static let requestLeft = ExchangeFlags(rawValue: 128)
    /// A connect to another address has been tried.
    static let triedOther = ExchangeFlags(rawValue: 256)
    /// The response waits for the downstream's socket.
    static let responseBlocked = ExchangeFlags(rawValue: 512)
    /// The request waits for the upstream's socket.
    static let requestBlocked = ExchangeFlags(rawValue: 1024)
    static let continueSent = ExchangeFlags(rawValue: 2048)
    /// A reused connection broke as the request was written to it, and the request was sent again.
    static let raceLost = ExchangeFlags(rawValue: 4096)
    /// It waits in its upstream's ``UpstreamCapacity``.
    static let isPending = ExchangeFlags(rawValue: 8192)
    /// It waits in the worker's ``BackOffQueue``.
    static let backsOff = ExchangeFlags(rawValue: 16_384)
    /// The downstream's deadline is a step of ``BodyWatch``.
    static let bodyTimed = ExchangeFlags(rawValue: 32_768)
    /// A gRPC call: see ``GRPCCall``.
    static let isGRPC = ExchangeFlags(rawValue: 65_536)
}
