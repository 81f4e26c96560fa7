// SPDX-License-Identifier: Apache-2.0
import CLibevent
import CSystem
import Glibc

/// A non-blocking stream socket and its registrations with a loop: the base class of every
/// connection.
///
/// A base class and not a protocol, because libevent hands back one pointer and a class reference
/// is one pointer. The read event is edge-triggered and stays registered for life, so a request
/// costs no `epoll_ctl`: while ``mayRead`` is set the kernel may hold bytes, and no event will come
/// before they are read. A read that leaves free space emptied the kernel's queue, so no second
/// `recv` asks for EAGAIN; an end of stream that lay behind those bytes is known from EPOLLRDHUP.
/// The loop does not retain a socket; whoever opened it does, until ``close()`` (see ``isKept``).
@safe
open class Socket {
    /// The loop whose thread owns this socket.
    public let loop: EventLoop
    /// The loop's; reached through it, it would be counted for each call.
    private let wheel: TimerWheel
    /// -1 once closed, and when the bytes are carried by something else.
    private var descriptor: CInt
    /// For reading; `nil` without a descriptor.
    private let readEvent: UnsafeMutablePointer<event>?
    /// For writing, made when it is first needed: most connections never wait for that.
    private var writeEvent: UnsafeMutablePointer<event>?
    /// Between the kernel and the owner; `nil` for a plain socket.
    public final private(set) var carrier: Carrier?
    /// In place of the kernel. Not retained: whoever owns this socket holds it, by its connection, for as long.
    private var stream: Unmanaged<Carrier>?
    /// Whether ``close()`` has not been called.
    public final private(set) var isOpen = true
    private var timer: TimerWheel.Index
    /// Whether ``receive(into:)`` may find something; cleared when it found the queue empty.
    public final private(set) var mayRead = false
    /// Whether the peer has ended its direction; unread bytes may still wait.
    public final private(set) var peerHasEnded = false
    /// For a carrier over a descriptor: what ``mayRead`` is to the owner of a plain socket.
    public final private(set) var kernelMayRead = false
    private var shutdownIsDue = false
    /// Its owner keeps it while it is open, and then hands it to ``EventLoop/keepForThisPass(_:)``: its events need not
    /// count a reference to it. Never taken back.
    public final var isKept = false

    /// Whether the loop knows of something to read that ``ioReady(_:)`` has not been told yet, in this pass.
    public final var isReported: Bool {
        guard let readEvent = unsafe readEvent else { return false }
        return unsafe readEvent.pointee.ev_evcallback.evcb_flags & Int16(EVLIST_ACTIVE) != 0
    }

    /// Registers a connected, connecting or accepted socket.
    ///
    /// - Parameter carrier: what every byte goes through on its way to and from the kernel, such as TLS; what it holds
    ///   already is told soon.
    public init(_ descriptor: consuming Descriptor, carrier: Carrier? = nil, on loop: EventLoop) {
        self.loop = loop
        wheel = loop.wheel
        self.descriptor = descriptor.release()
        let readEvent = UnsafeMutablePointer<event>.allocate(capacity: 1)
        unsafe self.readEvent = readEvent
        timer = -1
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        let onRead = Int16(EV_READ | EV_CLOSED | EV_PERSIST | EV_ET)
        unsafe event_assign(readEvent, loop.base, self.descriptor, onRead, socketReady, context)
        unsafe event_add(readEvent, nil)
        timer = wheel.add(self)
        if let carrier { put(carrier) }
    }

    private func put(_ carrier: Carrier) {
        self.carrier = carrier
        carrier.socket = self
        if carrier.holdsUnsent { awaitWritable() }
        guard carrier.hasNews else { return }
        mayRead = true
        resumeSoon()
    }

    /// A socket without a descriptor: every byte goes through the carrier, which must last as long as this socket or
    /// until it is closed or at rest.
    public init(carrier: Carrier, on loop: EventLoop) {
        self.loop = loop
        wheel = loop.wheel
        descriptor = -1
        unsafe readEvent = nil
        timer = -1
        unsafe stream = Unmanaged.passUnretained(carrier)
        carrier.socket = self
        timer = wheel.add(self)
    }

    /// Ends what this socket carries and keeps its registrations, for ``reopen(carrier:)``. Only of a socket
    /// without a descriptor.
    ///
    /// - Parameter isCut: see ``Carrier/close(isCut:)``.
    public final func rest(isCut: Bool) {
        guard isOpen, let stream = unsafe stream else { return }
        wheel.setDeadline(timer, milliseconds: nil)
        isOpen = false
        unsafe self.stream = nil
        unsafe end(stream, isCut: isCut)
    }

    private func end(_ stream: Unmanaged<Carrier>, isCut: Bool) {
        unsafe stream._withUnsafeGuaranteedRef {
            $0.socket = nil
            $0.close(isCut: isCut)
        }
    }

    /// As if made anew.
    public final func reopen(carrier: Carrier) {
        guard !isOpen, timer >= 0 else { return }
        isOpen = true
        mayRead = false
        peerHasEnded = false
        unsafe stream = Unmanaged.passUnretained(carrier)
        carrier.socket = self
    }

    /// Called by the carrier, like an event of the kernel.
    public final func carrierReady(_ readiness: Readiness) { if isOpen { fired(readiness) } }

    /// Notes what an event says about the receive queue, then tells the subclass.
    final func fired(_ readiness: Readiness) {
        if readiness.contains(.ended) {
            peerHasEnded = true
            mayRead = true
        }
        if readiness.contains(.readable) { mayRead = true }
        if descriptor >= 0, let carrier { tell(carrier, readiness) }
        ioReady(readiness)
    }

    private func tell(_ carrier: Carrier, _ readiness: Readiness) {
        if readiness.contains(.readable) || readiness.contains(.ended) { kernelMayRead = true }
        guard readiness.contains(.writable) else { return }
        carrier.kernelWritable()
        shutdownIfDue()
    }

    /// Called on the loop's thread. The socket stays alive until this returns, even when it closes itself.
    open func ioReady(_ readiness: Readiness) {}

    /// Called once when the deadline has passed; it is cleared then.
    open func deadlinePassed() {}

    /// Called once after ``atEndOfTurn()``, when every socket that was ready has been served.
    open func turnEnded() {}

    /// Asks for ``turnEnded()``: what many events of one turn have to say can leave in one send.
    public final func atEndOfTurn() { loop.atEndOfTurn(self) }

    /// Reports ``Readiness/writable`` once: after a connect, or after a send that would block.
    public final func awaitWritable() {
        guard isOpen else { return }
        if let stream = unsafe stream { return unsafe stream._withUnsafeGuaranteedRef { $0.awaitWritable() } }
        _ = unsafe event_add(backedWriteEvent(), nil)
    }

    private func backedWriteEvent() -> UnsafeMutablePointer<event> {
        if let writeEvent = unsafe writeEvent { return unsafe writeEvent }
        let made = UnsafeMutablePointer<event>.allocate(capacity: 1)
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe event_assign(made, loop.base, descriptor, Int16(EV_WRITE | EV_ET), socketReady, context)
        unsafe writeEvent = made
        return unsafe made
    }

    /// Calls ``deadlinePassed()`` after so many milliseconds, up to 300 ms late; `nil` clears it.
    public final func setDeadline(milliseconds: Int?) {
        guard isOpen else { return }
        wheel.setDeadline(timer, milliseconds: milliseconds)
    }

    /// One `recv` into the buffer's free space.
    public final func receive(into buffer: inout Buffer) -> ReadOutcome {
        if let stream = unsafe stream {
            return unsafe stream._withUnsafeGuaranteedRef { receive(into: &buffer, from: $0) }
        }
        if let carrier { return receive(into: &buffer, from: carrier) }
        return receive(into: &buffer, mayRead: &mayRead)
    }

    /// One `recv` past the carrier. For the carrier.
    public final func kernelReceive(into buffer: inout Buffer) -> ReadOutcome {
        receive(into: &buffer, mayRead: &kernelMayRead)
    }

    @inline(__always)
    private func receive(into buffer: inout Buffer, mayRead: inout Bool) -> ReadOutcome {
        unsafe buffer.fill { bytes in
            let count = unsafe sys_receive(descriptor, bytes.baseAddress, bytes.count)
            if count > 0 {
                mayRead = count == bytes.count || peerHasEnded
                return .bytes(count)
            }
            if count < 0, errno == EINTR { return .wouldBlock }
            mayRead = false
            if count == 0 { return .endOfStream }
            return errno == EAGAIN ? .wouldBlock : .failed(errno: errno)
        }
    }

    private func receive(into buffer: inout Buffer, from carrier: Carrier) -> ReadOutcome {
        let outcome = carrier.receive(into: &buffer)
        mayRead = carrier.hasNews
        return outcome
    }

    /// Sets ``mayRead`` before an event says so: a failed send may have left a response to read.
    public final func assumeReadable() { (mayRead, kernelMayRead) = (isOpen, isOpen) }

    /// Sends what the buffer holds, once; what the kernel took is consumed.
    public final func flush(_ buffer: inout Buffer) -> WriteOutcome {
        let outcome = send(buffer.readable)
        if case .sent(let count) = outcome { buffer.consume(count) }
        return outcome
    }

    /// Calls ``ioReady(_:)`` with ``Readiness/readable`` in a later turn of the loop, after others had theirs.
    public final func resumeSoon() { loop.resumeSoon(self) }

    /// One `send`. Never raises SIGPIPE.
    public final func send(_ bytes: Span<UInt8>) -> WriteOutcome {
        if let stream = unsafe stream { return unsafe stream._withUnsafeGuaranteedRef { $0.send(bytes) } }
        if let carrier { return carrier.send(bytes) }
        return kernelSend(bytes)
    }

    /// One `send` past the carrier. For the carrier.
    public final func kernelSend(_ bytes: Span<UInt8>) -> WriteOutcome {
        unsafe bytes.withUnsafeBufferPointer { bytes in
            unsafe outcome(sys_send(descriptor, bytes.baseAddress, bytes.count))
        }
    }

    /// One `sendmsg` of two pieces, `first` before `second`.
    public final func send(_ first: Span<UInt8>, _ second: Span<UInt8>) -> WriteOutcome {
        if let stream = unsafe stream { return unsafe stream._withUnsafeGuaranteedRef { $0.send(first, second) } }
        if let carrier { return carrier.send(first, second) }
        return unsafe first.withUnsafeBufferPointer { first in
            unsafe second.withUnsafeBufferPointer { second in
                unsafe outcome(
                    sys_send_two(descriptor, first.baseAddress, first.count, second.baseAddress, second.count))
            }
        }
    }

    /// Field lines for behind the body, of a carrier that has such a place; the last thing before ``shutdownWrite()``.
    public final func sendTrailers(_ lines: Span<UInt8>) {
        if let stream = unsafe stream { unsafe stream._withUnsafeGuaranteedRef { $0.sendTrailers(lines) } }
    }

    /// Ends our direction; the peer reads an end of stream after what was sent.
    public final func shutdownWrite() {
        guard isOpen else { return }
        if let stream = unsafe stream { return unsafe stream._withUnsafeGuaranteedRef { $0.shutdownWrite() } }
        carrier?.shutdownWrite()
        guard descriptor >= 0 else { return }
        shutdownIsDue = true
        shutdownIfDue()
    }

    /// Behind the last words of the carrier.
    private func shutdownIfDue() {
        guard shutdownIsDue, !holdsUnsent else { return }
        shutdownIsDue = false
        _ = shutdown(descriptor, CInt(SHUT_WR))
    }

    /// Whether something that was said by a carrier still waits for the kernel, which will tell when it takes it.
    public final var holdsUnsent: Bool { carrier?.holdsUnsent ?? false }

    /// The result of a connect, once writable: 0, or the `errno` it failed with.
    public final func takeError() -> CInt {
        if let stream = unsafe stream { return unsafe stream._withUnsafeGuaranteedRef { $0.takeError() } }
        return sys_take_error(descriptor)
    }

    /// Looks at the receive queue without reading; an empty one clears ``mayRead``.
    public final func peek() -> PeekOutcome {
        if let stream = unsafe stream { return unsafe stream._withUnsafeGuaranteedRef { peek(at: $0) } }
        if let carrier { return peek(at: carrier) }
        switch sys_peek(descriptor) {
        case 1: return .bytes
        case 0: return .endOfStream
        case -EAGAIN, -EINTR:
            mayRead = false
            return .nothing
        case let broken: return .failed(errno: -broken)
        }
    }

    private func peek(at carrier: Carrier) -> PeekOutcome {
        let outcome = carrier.peek()
        mayRead = carrier.hasNews
        return outcome
    }

    /// Closes by RST instead of FIN, so that a peer cannot take a cut message for a whole one.
    public final func reset() {
        guard isOpen else { return }
        if descriptor >= 0 { _ = sys_reset_on_close(descriptor) }
        close(isCut: true)
    }

    /// Takes the descriptor away from this socket, which is closed then. Its carrier can be given to another socket.
    public final func handOver() -> Descriptor? {
        guard isOpen, descriptor >= 0 else { return nil }
        let handed = Descriptor(owning: descriptor)
        leaveLoop()
        carrier?.socket = nil
        carrier = nil
        return handed
    }

    /// Leaves the loop, then closes. May be called from inside ``ioReady(_:)``, and twice.
    public final func close() { close(isCut: false) }

    private func close(isCut: Bool) {
        guard isOpen else { return }
        let held = descriptor
        if let carrier {  // it may have last words for the kernel
            carrier.close(isCut: isCut)
            self.carrier = nil
            carrier.socket = nil
        }
        leaveLoop()
        if held >= 0 { _ = Glibc.close(held) }
        if let stream = unsafe stream.take() { unsafe end(stream, isCut: isCut) }
    }

    private func leaveLoop() {
        isOpen = false
        if let readEvent = unsafe readEvent { _ = unsafe event_del(readEvent) }
        if let writeEvent = unsafe writeEvent { _ = unsafe event_del(writeEvent) }
        forgetDeadline()
        descriptor = -1
    }

    private func forgetDeadline() {
        if timer >= 0 { wheel.remove(timer) }
        timer = -1
    }

    /// The local address, for a listener bound to port 0 or a wildcard.
    public final var localAddress: SocketAddress? { SocketAddress.local(of: descriptor) }

    private func outcome(_ count: Int) -> WriteOutcome {
        if count >= 0 { return .sent(count) }
        return errno == EAGAIN || errno == EINTR ? .wouldBlock : .failed(errno: errno)
    }

    deinit {
        close()
        forgetDeadline()
        if let readEvent = unsafe readEvent { unsafe readEvent.deallocate() }
        if let writeEvent = unsafe writeEvent { unsafe writeEvent.deallocate() }
    }
}

/// What one attempt to read gave.
public enum ReadOutcome: BitwiseCopyable, Equatable, Sendable {
    case bytes(Int)
    case wouldBlock
    case endOfStream
    /// The buffer has no free space, or no memory could be had for it.
    case full
    case failed(errno: CInt)
}

/// What one attempt to write gave.
public enum WriteOutcome: BitwiseCopyable, Equatable, Sendable {
    /// The kernel took so many bytes, possibly fewer than were offered.
    case sent(Int)
    case wouldBlock
    case failed(errno: CInt)
}

/// What a look at the receive queue gave.
public enum PeekOutcome: BitwiseCopyable, Equatable, Sendable {
    case nothing
    case bytes
    case endOfStream
    case failed(errno: CInt)
}
