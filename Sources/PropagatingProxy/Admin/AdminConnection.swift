// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// One caller of the admin listener: reads a head, sends the reply, closes.
final class AdminConnection: Socket {
    private static let deadlineMilliseconds = 10_000
    /// How long the caller may take to close after our end of stream.
    private static let lingerMilliseconds = 1000

    private unowned let server: AdminServer
    private var buffer: Buffer
    private var seen = 0
    /// What is left to send; `nil` while reading the head.
    private var reply: ArraySlice<UInt8>?
    private var isLingering = false

    init(_ descriptor: consuming Descriptor, on loop: EventLoop, pool: BufferPool, server: AdminServer) {
        self.server = server
        buffer = Buffer(pool: pool)
        super.init(descriptor, on: loop)
        setDeadline(milliseconds: Self.deadlineMilliseconds)
    }

    override func ioReady(_ readiness: Readiness) {
        while mayRead, isOpen, reply == nil || isLingering { readOnce() }
        if isOpen, reply?.isEmpty == false { sendReply() }
    }

    override func deadlinePassed() { end() }

    private func readOnce() {
        switch receive(into: &buffer) {
        case .bytes:
            if isLingering {
                buffer.consume(buffer.count)
            } else if let bytes = server.reply(to: buffer.readable, alreadySeen: seen) {
                reply = bytes[...]
                sendReply()
            } else {
                seen = buffer.count
            }
        case .wouldBlock: break
        case .endOfStream, .full, .failed: end()
        }
    }

    private func sendReply() {
        guard let rest = reply, !rest.isEmpty else { return }
        switch send(rest.span) {
        case .sent(let count):
            reply = rest.dropFirst(count)
            if count < rest.count { awaitWritable() } else { linger() }
        case .wouldBlock: awaitWritable()
        case .failed: end()
        }
    }

    /// Closing with bytes unread would reset the connection, and the reply could be lost with it
    /// (RFC 9112 §9.6): what still comes is read and dropped.
    private func linger() {
        isLingering = true
        buffer.consume(buffer.count)
        shutdownWrite()
        setDeadline(milliseconds: Self.lingerMilliseconds)
    }

    private func end() {
        close()
        server.ended(self)
    }
}
