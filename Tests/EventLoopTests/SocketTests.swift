// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import EventLoop

@Suite("Sockets on edge-triggered events")
struct SocketTests {
    let loop: EventLoop
    let pool = BufferPool(limit: 4)

    init() throws { loop = try EventLoop() }

    @Test("Bytes are reported once, and again only when more arrive")
    func edgeTriggered() {
        let (near, far) = socketPair()
        defer { close(far) }
        let socket = NotingSocket(number: near, on: loop)
        say("one", to: far)
        drive(loop) { !socket.seen.isEmpty }
        for _ in 0..<10 { loop.runOnce() }
        #expect(socket.seen.count == 1)
        #expect(socket.seen.first?.contains(.readable) == true)
        #expect(socket.mayRead)
        say("two", to: far)
        drive(loop) { socket.seen.count == 2 }
        var buffer = Buffer(pool: pool)
        #expect(socket.receive(into: &buffer) == .bytes(6))
        #expect(!socket.mayRead, "a read that left room has emptied the queue")
        #expect(socket.receive(into: &buffer) == .wouldBlock)
    }

    @Test("An end of stream behind bytes is known without another event")
    func endBehindBytes() {
        let (near, far) = socketPair()
        let socket = NotingSocket(number: near, on: loop)
        say("last", to: far)
        close(far)
        drive(loop) { !socket.seen.isEmpty }
        var buffer = Buffer(pool: pool)
        #expect(socket.peerHasEnded)
        #expect(socket.receive(into: &buffer) == .bytes(4))
        #expect(socket.mayRead)
        #expect(socket.receive(into: &buffer) == .endOfStream)
    }

    @Test("A send that fills the kernel would block, and writable is reported once it drains")
    func backpressure() {
        let (near, far) = socketPair()
        defer { close(far) }
        let socket = NotingSocket(number: near, on: loop)
        let piece = [UInt8](repeating: 7, count: 65_536)
        var sent = 0
        while case .sent(let count) = socket.send(piece.span) { sent += count }
        #expect(socket.send(piece.span) == .wouldBlock)
        socket.awaitWritable()
        for _ in 0..<5 { loop.runOnce() }
        #expect(socket.seen.isEmpty)
        var got = 0
        var room = [UInt8](repeating: 0, count: 65_536)
        while got < sent {
            let count = read(far, &room, room.count)
            if count <= 0 { break }
            got += count
        }
        #expect(got == sent)
        drive(loop) { !socket.seen.isEmpty }
        #expect(socket.seen.first?.contains(.writable) == true)
        let before = socket.seen.count
        for _ in 0..<5 { loop.runOnce() }
        #expect(socket.seen.count == before)
    }

    @Test("A kept socket that closes inside its own event lasts until all events of the pass were told")
    func keptForThePass() {
        let (near, far) = socketPair()
        defer { close(far) }
        var ended = false
        var endedWithin: Bool?
        var owner: NotingSocket? = NotingSocket(number: near, on: loop)
        owner?.isKept = true
        owner?.onEnd = { ended = true }
        owner?.onReady = { [loop] socket, _ in
            socket.onReady = { _, _ in }
            socket.close()
            loop.keepForThisPass(socket)
            owner = nil
            endedWithin = ended
        }
        say("x", to: far)
        drive(loop) { ended }
        #expect(endedWithin == false)
        #expect(ended)
    }

    @Test("Two pieces arrive in order from one send")
    func twoPieces() {
        let (near, far) = socketPair()
        defer { close(far) }
        let socket = NotingSocket(number: near, on: loop)
        #expect(socket.send(Array("head ".utf8).span, Array("body".utf8).span) == .sent(9))
        var room = [UInt8](repeating: 0, count: 16)
        #expect(read(far, &room, 16) == 9)
        #expect(String(decoding: room.prefix(9), as: UTF8.self) == "head body")
    }

    @Test("A write to a gone peer is an outcome and no signal")
    func brokenPipe() {
        let (near, far) = socketPair()
        close(far)
        let socket = NotingSocket(number: near, on: loop)
        #expect(socket.send(Array("x".utf8).span) == .failed(errno: EPIPE))
    }

    @Test("A socket may close itself and lose its last owner inside its own callback")
    func endsItself() {
        let (near, far) = socketPair()
        defer { close(far) }
        var ended = false
        var owner: NotingSocket? = NotingSocket(number: near, on: loop)
        owner?.onEnd = { ended = true }
        owner?.onReady = { socket, _ in
            socket.close()
            owner = nil
            #expect(!socket.isOpen)
        }
        say("x", to: far)
        drive(loop) { ended }
        #expect(ended)
        for _ in 0..<3 { loop.runOnce() }
    }

    @Test("A socket closed by another's callback in the same pass hears nothing more")
    func closedByAnother() {
        let (nearA, farA) = socketPair()
        let (nearB, farB) = socketPair()
        defer {
            close(farA)
            close(farB)
        }
        let a = NotingSocket(number: nearA, on: loop)
        let b = NotingSocket(number: nearB, on: loop)
        a.onReady = { _, _ in b.close() }
        b.onReady = { _, _ in a.close() }
        say("x", to: farA)
        say("x", to: farB)
        drive(loop) { !a.seen.isEmpty || !b.seen.isEmpty }
        for _ in 0..<3 { loop.runOnce() }
        #expect(a.seen.count + b.seen.count == 1)
        (a.onReady, b.onReady) = ({ _, _ in }, { _, _ in })  // they hold each other
    }

    @Test("Closing twice closes one descriptor")
    func closeTwice() {
        let (near, far) = socketPair()
        defer { close(far) }
        let number = near
        let socket = NotingSocket(number: near, on: loop)
        socket.close()
        let reused = dup(far)
        socket.close()
        #expect(fcntl(reused, F_GETFD) >= 0, "descriptor \(number) was closed under its new owner")
        close(reused)
        #expect(!socket.isOpen)
        socket.setDeadline(milliseconds: 1)
        socket.awaitWritable()
        #expect(socket.send(Array("x".utf8).span) == .failed(errno: EBADF))
    }

    @Test("Peeking tells a quiet connection, one with bytes and one that has ended apart")
    func peek() throws {
        let (near, far) = socketPair()
        let socket = NotingSocket(number: near, on: loop)
        #expect(socket.peek() == .nothing)
        say("x", to: far)
        #expect(socket.peek() == .bytes)
        close(far)
        var buffer = Buffer(pool: pool)
        #expect(socket.receive(into: &buffer) == .bytes(1))
        #expect(socket.peek() == .endOfStream)
    }

    @Test("What the loop has learned of a socket is known before its turn comes")
    func reported() {
        let (first, firstFar) = socketPair()
        let (second, secondFar) = socketPair()
        defer { close(firstFar) }
        let sockets = [NotingSocket(number: first, on: loop), NotingSocket(number: second, on: loop)]
        var known: [Bool] = []
        for (socket, other) in zip(sockets, sockets.reversed()) {
            socket.onReady = { [unowned other] _, _ in known.append(other.isReported) }
        }
        say("x", to: firstFar)
        close(secondFar)
        // Nothing else holds them; an optimizer may end them with their last use.
        withExtendedLifetime(sockets) { _ = drive(loop) { known.count == 2 } }
        #expect(known == [true, false])
    }

    @Test("A pass of the loop is counted after the sockets it served")
    func passes() {
        let (near, far) = socketPair()
        defer { close(far) }
        let socket = NotingSocket(number: near, on: loop)
        var seen: [UInt64] = []
        socket.onReady = { socket, _ in seen.append(socket.loop.passCount) }
        say("x", to: far)
        drive(loop) { seen.count == 1 }
        #expect(seen[0] < loop.passCount)
    }

    @Test("A socket that yields is called again after the others")
    func resumes() {
        let (near, far) = socketPair()
        defer { close(far) }
        let socket = NotingSocket(number: near, on: loop)
        socket.onReady = { socket, _ in if socket.seen.count < 4 { socket.resumeSoon() } }
        say("x", to: far)
        drive(loop) { socket.seen.count == 4 }
        #expect(socket.seen.count == 4)
    }

    @Test("A refused connect reports its error once writable")
    func refusedConnect() throws {
        let held = HeldPort()
        switch Connecting.start(held.address) {
        case .inProgress(let descriptor):
            let socket = NotingSocket(descriptor, on: loop)
            socket.awaitWritable()
            drive(loop) { !socket.seen.isEmpty }
            #expect(socket.takeError() == ECONNREFUSED)
        case .connected: Issue.record("nobody listens there")
        case .failed(let number): #expect(number == ECONNREFUSED)
        }
        withExtendedLifetime(held) {}
    }
}
