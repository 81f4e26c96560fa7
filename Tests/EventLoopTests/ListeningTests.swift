// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import EventLoop

@Suite("Listening sockets and accepting")
struct ListeningTests {
    let loop: EventLoop
    let any = SocketAddress(literal: "127.0.0.1", port: 0)!

    init() throws { loop = try EventLoop() }

    private func connected(to address: SocketAddress) throws -> NotingSocket {
        let started = Connecting.start(address).socket(on: loop)
        let socket = try #require(started)
        socket.awaitWritable()
        drive(loop) { !socket.seen.isEmpty }
        return socket
    }

    @Test("Several workers get one port", arguments: ["127.0.0.1", "::1"])
    func shared(literal: String) throws {
        let sockets = try Listening.open(SocketAddress(literal: literal, port: 0)!, count: 3)
        #expect(sockets.count == 3)
        let ports = Set(sockets.compactMap { $0.address?.port })
        #expect(ports.count == 1)
        #expect(!ports.contains(0))
    }

    @Test("A port that is taken is refused, with one worker and with several", arguments: [1, 2], [1, 2])
    func taken(holders: Int, count: Int) throws {
        let held = try Listening.open(any, count: holders)
        let address = try #require(held.first?.address)
        #expect(throws: EventLoopError.system(call: "bind", errno: EADDRINUSE)) {
            try Listening.open(address, count: count)
        }
        withExtendedLifetime(held) {}  // the optimizer would close it after its last use
    }

    @Test("A port is free again right after its listener has closed")
    func freed() throws {
        // Else another test could be given the port meanwhile.
        let port = HeldPort()
        for _ in 0..<2 { #expect(try Listening.open(port.address, count: 2).count == 2) }
        withExtendedLifetime(port) {}
    }

    @Test("The socket file of a dead process is replaced, that of a living one is not")
    func unixFile() throws {
        let directory = TemporaryDirectory()
        let address = try #require(SocketAddress(unixPath: directory.path + "/socket"))
        var held = try Listening.open(address, count: 2)
        #expect(held.count == 2)
        #expect(throws: EventLoopError.system(call: "bind", errno: EADDRINUSE)) {
            try Listening.open(address, count: 1)
        }
        withExtendedLifetime(held) {}
        held = []  // the file stays, as after a crash
        #expect(access(directory.path + "/socket", F_OK) == 0)
        held = try Listening.open(address, count: 1)
        let socket = try connected(to: address)
        #expect(socket.takeError() == 0)
        withExtendedLifetime(held) {}
    }

    @Test("A file that is no socket is not removed")
    func plainFile() throws {
        let directory = TemporaryDirectory()
        let path = directory.file("plain", "precious")
        let address = try #require(SocketAddress(unixPath: path))
        #expect(throws: EventLoopError.system(call: "bind", errno: EADDRINUSE)) {
            try Listening.open(address, count: 1)
        }
        #expect(SmallFile.text(path) == "precious")
    }

    @Test("An address of another machine is refused with its reason")
    func foreign() throws {
        let error = #expect(throws: EventLoopError.self) {
            try Listening.open(SocketAddress(literal: "192.0.2.1", port: 0)!, count: 1)
        }
        #expect(error?.text == "bind: Cannot assign requested address")
    }

    @Test("The acceptor hands over each connection with the peer's address", arguments: ["127.0.0.1", "::1"])
    func accepts(literal: String) throws {
        let listener = try #require(try Listening.open(SocketAddress(literal: literal, port: 0)!, count: 1).first)
        var accepted: [NotingSocket] = []
        var peers: [SocketAddress] = []
        let acceptor = try Acceptor(listener, on: loop) { [loop] descriptor, peer in
            accepted.append(NotingSocket(descriptor, on: loop))
            peers.append(peer)
        }
        let first = try connected(to: try #require(listener.address))
        let second = try connected(to: try #require(listener.address))
        drive(loop) { accepted.count == 2 }
        #expect(peers == [first.localAddress, second.localAddress].compactMap { $0 })
        acceptor.stop()
        _ = try connected(to: try #require(listener.address))
        for _ in 0..<5 { loop.runOnce() }
        #expect(accepted.count == 2)
    }

    @Test("An acceptor that finishes accepts what has connected before, and the port then refuses")
    func finishes() throws {
        var held = try Listening.open(any, count: 1)
        let address = try #require(held.first?.address)
        var count = 0
        var acceptor: Acceptor? = try Acceptor(try #require(held.first), on: loop) { _, _ in count += 1 }
        // Loopback connects at once; the loop has not run, so nobody has accepted.
        let waiting = (0..<100).map { _ in Connecting.start(address).socket(on: loop) }
        acceptor?.finish()
        #expect(count == waiting.count)
        held = []
        acceptor = nil
        #expect(try connected(to: address).takeError() == ECONNREFUSED)
    }

    @Test("An acceptor that ignores new connections still accepts those made before")
    func ignoresNew() throws {
        let listener = try #require(try Listening.open(any, count: 1).first)
        let address = try #require(listener.address)
        var count = 0
        let acceptor = try Acceptor(listener, on: loop) { _, _ in count += 1 }
        let before = Connecting.start(address).socket(on: loop)
        acceptor.ignoreNew()
        let after = Connecting.start(address).socket(on: loop)
        after?.awaitWritable()
        drive(loop) { count > 0 }
        #expect(before?.isOpen == true && count == 1)
        #expect(!drive(loop, seconds: 0.1) { after?.seen.isEmpty == false })
        acceptor.stop()
    }

    @Test("An acceptor stopped by the connection it reports accepts no more")
    func stopsInside() throws {
        let listener = try #require(try Listening.open(any, count: 1).first)
        var count = 0
        var acceptor: Acceptor?
        acceptor = try Acceptor(listener, on: loop) { _, _ in
            count += 1
            acceptor?.stop()
        }
        let address = try #require(listener.address)
        let waiting = [Connecting.start(address).socket(on: loop), Connecting.start(address).socket(on: loop)]
        #expect(waiting.allSatisfy { $0 != nil })
        drive(loop) { count > 0 }
        for _ in 0..<5 { loop.runOnce() }
        #expect(count == 1)
        acceptor = nil
    }
}

extension Connecting.Outcome {
    /// The connecting or connected socket.
    consuming func socket(on loop: EventLoop) -> NotingSocket? {
        switch consume self {
        case .inProgress(let descriptor): NotingSocket(descriptor, on: loop)
        case .connected(let descriptor): NotingSocket(descriptor, on: loop)
        case .failed: nil
        }
    }
}
