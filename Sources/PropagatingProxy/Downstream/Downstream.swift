// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// A connection a listener has accepted, as its worker sees it: HTTP/1.1 or HTTP/2.
protocol Downstream: Socket {
    var listener: ListenerContext { get }
    /// Its place in the worker's table.
    var slot: Int { get }
    /// Between two requests.
    var isIdle: Bool { get }
    /// The worker drains: further requests are to come on another connection.
    func beginDrain()
    /// Called every ten seconds: time to look for streams whose peer takes nothing.
    func sweep()
    /// Called once a second: see ``HTTP2Connection/lookBehind()``.
    func lookBehind()
    /// The worker stops now.
    func abandon()
}
