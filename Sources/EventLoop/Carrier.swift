// SPDX-License-Identifier: Apache-2.0

/// What carries a ``Socket``'s bytes: one stream of an HTTP/2 connection, in place of the kernel; or TLS, between the
/// kernel and the owner of a socket that has a descriptor.
///
/// It has its socket's duties towards the owner of the connection: it answers at once, never blocks, and calls
/// ``Socket/carrierReady(_:)`` when something has changed since it last answered `wouldBlock`.
@safe
open class Carrier {
    /// The socket whose bytes these are; `nil` before one is made and after it has closed. Not retained: a socket
    /// takes itself away before it ends.
    public final var socket: Socket? {
        get { unsafe carried?.takeUnretainedValue() }
        set { unsafe carried = newValue.map { unsafe Unmanaged.passUnretained($0) } }
    }
    private var carried: Unmanaged<Socket>?

    /// Tells the socket, without counting a reference: for a carrier whose socket lasts for the pass of the loop in which
    /// it closes.
    public final func tellSocket(_ readiness: Readiness) {
        if let carried = unsafe carried { unsafe carried._withUnsafeGuaranteedRef { $0.carrierReady(readiness) } }
    }

    public init() {}

    /// As many of the bytes as can be taken now.
    open func send(_ bytes: Span<UInt8>) -> WriteOutcome { .failed(errno: 0) }

    /// The same of two pieces, `first` before `second`.
    open func send(_ first: Span<UInt8>, _ second: Span<UInt8>) -> WriteOutcome {
        let head = send(first)
        guard case .sent(first.count) = head, case .sent(let rest) = send(second) else { return head }
        return .sent(first.count + rest)
    }

    /// Bytes that have come, into the buffer's free space.
    open func receive(into buffer: inout Buffer) -> ReadOutcome { .failed(errno: 0) }

    /// Whether ``receive(into:)`` would tell something new: bytes, an end or a failure.
    open var hasNews: Bool { false }

    /// Looks for bytes without taking them.
    open func peek() -> PeekOutcome { hasNews ? .bytes : .nothing }

    /// A send would have blocked: the socket wants to hear when it would not. Not asked over a descriptor.
    open func awaitWritable() {}

    /// Over a descriptor: whether something of its own, such as its last words, waits for the kernel.
    open var holdsUnsent: Bool { false }

    /// Over a descriptor: the kernel takes bytes again. The owner is told next.
    open func kernelWritable() {}

    /// More field lines, each `name: value CRLF`, to go behind the body.
    open func sendTrailers(_ lines: Span<UInt8>) {}

    /// Lends the field lines that came behind the body, once it has ended.
    open func readTrailers(_ read: (Span<UInt8>) -> Void) { read(Span()) }

    /// Our direction ends behind what was sent.
    open func shutdownWrite() {}

    /// The `errno` the peer's failure stands for; 0 if there is none.
    open func takeError() -> CInt { 0 }

    /// The socket is done with it.
    ///
    /// - Parameter isCut: the peer must see that what was sent is not whole.
    open func close(isCut: Bool) {}
}
