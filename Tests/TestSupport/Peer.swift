// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Synchronization

/// One end of a connection, as a test holds it: a blocking socket with a receive buffer and a deadline per call.
///
/// One thread uses a peer at a time; `close` and `reset` may come from any.
public final class Peer: @unchecked Sendable {
    private let descriptor: Atomic<Int32>
    /// Held to close, and to act on the descriptor from another thread: a number just closed may be a stranger's socket.
    private let ending = NSLock()
    private var buffer: [UInt8] = []
    private var start = 0
    private var scratch = [UInt8](repeating: 0, count: 1 << 16)
    /// Seconds that one call may take as a whole: more than either end may stand still for.
    public var timeout = 60.0

    init(adopting descriptor: Int32) {
        self.descriptor = Atomic(descriptor)
        setOption(IPPROTO_TCP.integer, TCP_NODELAY, 1)
    }

    public convenience init(to address: SocketAddress) throws {
        let descriptor = socket(address.family, SOCK_STREAM.integer | SOCK_CLOEXEC.integer, 0)
        guard descriptor >= 0 else { throw SocketError.last("socket") }
        self.init(adopting: descriptor)
        guard unsafe address.withKernelForm({ unsafe Glibc.connect(descriptor, $0, $1) }) == 0 else {
            throw SocketError.last("connect to \(address)")
        }
    }

    deinit { close() }

    // MARK: Sending

    public func send(_ text: String) throws {
        try send(Array(text.utf8))
    }

    public func send(_ bytes: [UInt8]) throws {
        let deadline = Deadline(timeout)
        var sent = 0
        while sent < bytes.count {
            try wait(for: POLLOUT, until: deadline, "sending byte \(sent) of \(bytes.count)")
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.send(
                    descriptor.load(ordering: .relaxed), $0.baseAddress?.advanced(by: sent),
                    min(bytes.count - sent, 1 << 18),
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count >= 0 {
                sent += count
            } else if errno != EAGAIN && errno != EINTR {
                throw SocketError.last("send")
            }
        }
    }

    /// Sends the bytes in pieces of so many, each one a segment of its own as far as the kernel allows.
    public func send(_ bytes: [UInt8], pieces: Int) throws {
        var sent = 0
        while sent < bytes.count {
            let end = min(sent + pieces, bytes.count)
            try send(Array(bytes[sent..<end]))
            sent = end
        }
    }

    // MARK: Receiving

    /// The next bytes, at most so many; empty at the end of the stream.
    public func receive(atMost limit: Int = 1 << 16) throws -> [UInt8] {
        if start == buffer.count, try !fill(Deadline(timeout), "receiving") { return [] }
        return take(min(limit, buffer.count - start))
    }

    public func receive(exactly count: Int) throws -> [UInt8] {
        let deadline = Deadline(timeout)
        while buffer.count - start < count {
            guard try fill(deadline, "\(buffer.count - start) of \(count) bytes came") else {
                throw SocketError.closed("\(buffer.count - start) of \(count) bytes came")
            }
        }
        return take(count)
    }

    /// All bytes up to and with the mark.
    public func receive(through mark: [UInt8]) throws -> [UInt8] {
        let deadline = Deadline(timeout)
        var searched = start
        while true {
            while searched + mark.count <= buffer.count {
                if buffer[searched] == mark[0], buffer[searched..<searched + mark.count].elementsEqual(mark) {
                    return take(searched + mark.count - start)
                }
                searched += 1
            }
            let before = start
            guard try fill(deadline, "have \(shown(buffer[start...]))") else {
                throw SocketError.closed("have \(shown(buffer[start...]))")
            }
            searched -= before - start
        }
    }

    public func receiveToEnd() throws -> [UInt8] {
        let deadline = Deadline(timeout)
        while try fill(deadline, "the end of the stream; have \(buffer.count - start) bytes") {}
        return take(buffer.count - start)
    }

    /// Whether the other side has closed, or does within the time; bytes that come first are an answer of no.
    public func isClosed(within seconds: Double = 30) -> Bool {
        guard start == buffer.count else { return false }
        do {
            return try !fill(Deadline(seconds), "the end of the stream")
        } catch SocketError.failed(_, ECONNRESET) {
            return true
        } catch {
            return false
        }
    }

    /// Whether no byte and no close comes for so long. The one wait that has to be waited out.
    public func isSilent(for seconds: Double) -> Bool {
        guard start == buffer.count else { return false }
        do {
            _ = try fill(Deadline(seconds), "silence")
            return false
        } catch SocketError.timeout {
            return true
        } catch {
            return false
        }
    }

    // MARK: Ending

    /// No more bytes from here; the other direction stays open.
    public func closeWriting() {
        _ = shutdown(descriptor.load(ordering: .relaxed), Int32(SHUT_WR))
    }

    public func close() {
        ending.withLock {
            let old = descriptor.exchange(-1, ordering: .relaxed)
            if old >= 0 { _ = Glibc.close(old) }
        }
    }

    /// Wakes a thread that is blocked in this peer; it sees the end of the stream.
    public func abandon() {
        ending.withLock { _ = shutdown(descriptor.load(ordering: .relaxed), Int32(SHUT_RDWR)) }
    }

    /// Closes with RST instead of FIN.
    public func reset() {
        var now = linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(
            descriptor.load(ordering: .relaxed), SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    /// Shrinks the kernel's receive buffer, so that a slow reader is felt soon.
    public func limitReceiveBuffer(to bytes: Int32) {
        setOption(SOL_SOCKET, SO_RCVBUF, bytes)
    }

    // MARK: How

    private func setOption(_ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        unsafe setsockopt(
            descriptor.load(ordering: .relaxed), level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private func take(_ count: Int) -> [UInt8] {
        defer {
            start += count
            if start == buffer.count {
                buffer.removeAll(keepingCapacity: true)
                start = 0
            }
        }
        return Array(buffer[start..<start + count])
    }

    /// Appends what has come; false at the end of the stream.
    private func fill(_ deadline: Deadline, _ what: @autoclosure () -> String) throws -> Bool {
        if start > 1 << 20 {
            buffer.removeFirst(start)
            start = 0
        }
        while true {
            try wait(for: POLLIN, until: deadline, what())
            let count = unsafe scratch.withUnsafeMutableBytes {
                unsafe recv(descriptor.load(ordering: .relaxed), $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
            }
            if count > 0 {
                buffer += scratch[..<count]
                return true
            }
            if count == 0 { return false }
            if errno != EAGAIN && errno != EINTR { throw SocketError.last("receive") }
        }
    }

    private func wait(for readiness: Int32, until deadline: Deadline, _ what: @autoclosure () -> String) throws {
        var request = pollfd(fd: descriptor.load(ordering: .relaxed), events: Int16(readiness), revents: 0)
        while true {
            let ready = unsafe poll(&request, 1, deadline.millisecondsLeft)
            if ready > 0 { return }
            if ready == 0 { throw SocketError.timeout(what()) }
            if errno != EINTR { throw SocketError.last("poll") }
        }
    }
}

extension __socket_type {
    var integer: Int32 { Int32(rawValue) }
}

extension Int {
    var integer: Int32 { Int32(self) }
}

/// The first bytes as text with visible line ends, for messages.
func shown(_ bytes: some Collection<UInt8>) -> String {
    String(decoding: bytes.prefix(300), as: UTF8.self).debugDescription + (bytes.count > 300 ? "…" : "")
}

/// A moment on the monotonic clock.
struct Deadline {
    private let moment: ContinuousClock.Instant

    init(_ seconds: Double) {
        moment = .now + .seconds(seconds)
    }

    /// For `poll`: 0 when past.
    var millisecondsLeft: Int32 {
        let left = ContinuousClock.now.duration(to: moment) / .milliseconds(1)
        return left <= 0 ? 0 : Int32(min(left.rounded(.up), 1e9))
    }
}
