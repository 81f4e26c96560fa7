// SPDX-License-Identifier: Apache-2.0
import CLibevent
import CSystem

/// One thread's loop over libevent. Not `Sendable`: it lives and dies on its worker's thread.
@safe
public final class EventLoop {
    let base: OpaquePointer  // event_base *
    /// Expires the deadlines of this loop's sockets, every 100 ms.
    let wheel: TimerWheel
    private var wheelEvent: UnsafeMutablePointer<event>?
    private var resumption: LoopTimer?
    /// Tells sockets of their deadlines, after those that are ready had their turn.
    private var expiry: LoopTimer?
    private var resuming: [Socket] = []
    private var endingTurn: [Socket] = []
    /// Closed in this pass: what is on the stack may still use them.
    private var departed: [AnyObject] = []
    private var isInPass = false
    private var isStopping = false
    /// How many times the loop has gone round. Between two changes the kernel has been asked what is ready.
    public private(set) var passCount: UInt64 = 0
    /// What evdns may call with: it can do so after the end of a ``Resolver``.
    var nameQuestions: [ObjectIdentifier: NameQuestion] = [:]

    /// A base without locks, because one thread owns it.
    public convenience init() throws(EventLoopError) {
        try self.init(wheel: TimerWheel())
    }

    /// - Parameter wheel: tests give it a clock of their own.
    init(wheel: TimerWheel) throws(EventLoopError) {
        guard let config = unsafe event_config_new() else { throw .outOfMemory }
        defer { unsafe event_config_free(config) }
        _ = unsafe event_config_set_flag(config, Int32(EVENT_BASE_FLAG_NOLOCK.rawValue))
        guard let base = unsafe event_base_new_with_config(config) else { throw .outOfMemory }
        unsafe self.base = base
        // The wheel turns before the sockets of the same pass are served: after a stall they must
        // not set deadlines from an old time. Deadlines are told after them.
        _ = unsafe event_base_priority_init(base, 2)
        self.wheel = wheel
        let context = unsafe Unmanaged.passUnretained(wheel).toOpaque()
        guard let event = unsafe event_new(base, -1, Int16(EV_PERSIST), wheelTurned, context) else {
            unsafe event_base_free(base)
            throw .outOfMemory
        }
        unsafe wheelEvent = event
        _ = unsafe event_priority_set(event, 0)
        var interval = timeval(tv_sec: 0, tv_usec: TimerWheel.tickMilliseconds * 1000)
        _ = unsafe event_add(event, &interval)
        expiry = try LoopTimer(ownedBy: self) { [unowned wheel] in wheel.tellSome() }
        wheel.onDue = { [unowned self] in expiry?.start(milliseconds: 0) }
    }

    /// Fires no sooner than the next pass, so the sockets that are ready now go first.
    func resumeSoon(_ socket: Socket) {
        if resumption == nil {
            resumption = try? LoopTimer(ownedBy: self) { [unowned self] in resume() }
        }
        if resuming.isEmpty { resumption?.start(milliseconds: 0) }
        resuming.append(socket)
    }

    private func resume() {
        let waiting = resuming
        resuming.removeAll(keepingCapacity: true)
        for socket in waiting where socket.isOpen { socket.fired(.readable) }
    }

    func atEndOfTurn(_ socket: Socket) { endingTurn.append(socket) }

    /// Those that come meanwhile are told too.
    private func endTurn() {
        var next = 0
        while next < endingTurn.count {
            let socket = endingTurn[next]
            next += 1
            if socket.isOpen { socket.turnEnded() }
        }
        endingTurn.removeAll(keepingCapacity: true)
    }

    /// Runs until ``stop()`` is called.
    public func run() {
        isStopping = false
        while !isStopping, pass(EVLOOP_ONCE) == 0 {}
    }

    private func pass(_ flags: CInt) -> CInt {
        asPass {
            let result = unsafe event_base_loop(base, flags)
            passCount += 1
            if !endingTurn.isEmpty { endTurn() }
            return result
        }
    }

    /// Runs `body` as events are told: what closes in it lasts until it has ended.
    public func asPass<Result>(_ body: () -> Result) -> Result {
        guard !isInPass else { return body() }
        isInPass = true
        let result = body()
        isInPass = false
        if !departed.isEmpty { letGo() }
        return result
    }

    /// They may take others along.
    private func letGo() {
        let gone = departed
        departed = []
        _ = gone
    }

    /// Keeps what an owner lets go of while events are told, until all of this pass have been.
    public func keepForThisPass(_ object: AnyObject) {
        if isInPass { departed.append(object) }
    }

    /// Runs what is ready now, once, and returns; tests drive the loop with it.
    ///
    /// `EVLOOP_NONBLOCK` alone would go on for as long as a handler leaves bytes unread.
    public func runOnce() {
        _ = pass(EVLOOP_ONCE | EVLOOP_NONBLOCK)
    }

    /// Ends ``run()`` after the current callback.
    public func stop() {
        isStopping = true
        _ = unsafe event_base_loopbreak(base)
    }

    /// The version of the linked libevent, such as `2.1.12-stable`.
    public static var libraryVersion: String {
        guard let text = unsafe event_get_version() else { return "unknown" }
        return unsafe String(cString: text)
    }

    deinit {
        resumption = nil  // leave the base before it ends
        expiry = nil
        if let event = unsafe wheelEvent { unsafe event_free(event) }
        unsafe event_base_free(base)
    }
}
