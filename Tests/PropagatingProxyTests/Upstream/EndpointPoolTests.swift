// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

import class TestSupport.TemporaryFolder

@testable import EventLoop
@testable import PropagatingProxy

@Suite("Idle connections to one address (RFC 9112 §6.3, §9.3.1)")
struct EndpointPoolTests {
    /// A pool whose connections end in this test's hands.
    private final class Stage {
        let loop: EventLoop
        let pool: EndpointPool
        private let folder: TemporaryFolder
        private let listener: SharedDescriptor
        private var peers: [ObjectIdentifier: CInt] = [:]
        private var connections: [UpstreamConnection] = []

        init() throws {
            folder = try TemporaryFolder()
            loop = try EventLoop()
            let address = try #require(SocketAddress(unixPath: "\(folder.path)/s"))
            let opened = try Listening.open(address, count: 1)
            listener = try #require(opened.first)
            var settings = Configuration.UpstreamSettings()
            settings.poolIdleMilliseconds = 3_600_000  // however long the test stands still between two lines
            pool = EndpointPool(
                address, id: EndpointID(number: 1), record: nil, judge: nil, settings: settings,
                capacity: UpstreamCapacity(settings),
                supplies: SessionSupplies(buffers: BufferPool(limit: 8)), on: loop)
        }

        deinit {
            pool.retire()
            for connection in connections { pool.close(connection) }
            for peer in peers.values { close(peer) }
        }

        /// A connection that has served one exchange, idle in the pool.
        func idle() throws -> UpstreamConnection {
            let connection = try connect()
            pool.giveBack(connection)
            return connection
        }

        func connect() throws -> UpstreamConnection {
            let connection = try pool.connect().get()
            connections.append(connection)
            peers[ObjectIdentifier(connection)] = accept(listener.descriptor.rawValue, nil, nil)
            return connection
        }

        func say(_ text: String, on connection: UpstreamConnection) throws {
            let peer = try #require(peers[ObjectIdentifier(connection)])
            let sent = Array(text.utf8).withUnsafeBytes {
                send(peer, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            #expect(sent == text.utf8.count)
        }

        func end(_ connection: UpstreamConnection) throws {
            let peer = peers.removeValue(forKey: ObjectIdentifier(connection))
            close(try #require(peer))
        }

        /// The loop asks the kernel and tells the sockets.
        func pass() { loop.runOnce() }
    }

    @Test("The connection used last goes first")
    func lastFirst() throws {
        let stage = try Stage()
        let connections = [try stage.idle(), try stage.idle(), try stage.idle()]
        stage.pass()
        for connection in connections.reversed() { #expect(stage.pool.takeIdle()?.object === connection) }
        #expect(stage.pool.takeIdle() == nil)
        #expect(stage.pool.openCount == 3)
    }

    @Test("One that came back in this pass of the loop waits for the next while there are others")
    func unseenLast() throws {
        let stage = try Stage()
        let old = [try stage.idle(), try stage.idle()]
        stage.pass()
        let new = [try stage.idle(), try stage.idle()]
        #expect(stage.pool.takeIdle()?.object === old[1])
        #expect(stage.pool.takeIdle()?.object === old[0])
        let last = [stage.pool.takeIdle()?.object, stage.pool.takeIdle()?.object]
        #expect(new.allSatisfy { connection in last.contains { $0 === connection } })
        #expect(stage.pool.idleCount == 0)
    }

    @Test("Bytes behind a response are found before the next request, even within one pass of the loop")
    func bytesWithinPass() throws {
        let stage = try Stage()
        let connection = try stage.idle()
        try stage.say("HTTP/1.1 200 OK\r\n\r\n", on: connection)
        #expect(stage.pool.takeIdle() == nil)
        #expect(!connection.isOpen)
        #expect(stage.pool.openCount == 0)
    }

    @Test("An idle connection that speaks is closed")
    func speaksIdle() throws {
        let stage = try Stage()
        let connection = try stage.idle()
        let quiet = try stage.idle()
        stage.pass()
        try stage.say("x", on: connection)
        stage.pass()
        #expect(!connection.isOpen && quiet.isOpen)
        #expect(stage.pool.idleCount == 1)
    }

    @Test("An end of stream that the loop knows of and has not passed on yet keeps a connection from being used")
    func reportedEnd() throws {
        let stage = try Stage()
        let asking = try stage.connect()
        let idle = try stage.idle()
        stage.pass()
        // Both become ready in one pass; whoever comes first asks for a connection.
        final class Asker: Socket {
            var ask: () -> Void = {}
            override func ioReady(_ readiness: Readiness) { ask() }
        }
        var numbers: [CInt] = [-1, -1]
        #expect(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &numbers) == 0)
        defer { close(numbers[1]) }
        let asker = Asker(Descriptor(owning: numbers[0]), on: stage.loop)
        var given: UpstreamConnection?
        asker.ask = { given = stage.pool.takeIdle()?.object }
        #expect(send(numbers[1], "x", 1, CInt(MSG_NOSIGNAL)) == 1)
        try stage.end(idle)
        stage.pass()
        #expect(given == nil)
        #expect(!idle.isOpen && asking.isOpen)
    }

    @Test("A connection that broke closes the idle ones that have not answered since, and no younger one")
    func distrust() throws {
        let stage = try Stage()
        let ghosts = [try stage.idle(), try stage.idle()]
        stage.pass()
        let broken = try stage.idle()
        stage.pass()
        #expect(stage.pool.takeIdle()?.object === broken)
        let proven = try stage.idle()
        #expect(stage.pool.distrust(olderThan: broken) == 2)
        #expect(ghosts.allSatisfy { !$0.isOpen })
        #expect(proven.isOpen && stage.pool.idleCount == 1)
    }

    @Test("A connection whose peer has ended is not kept")
    func endedAtReturn() throws {
        let stage = try Stage()
        let connection = try stage.connect()
        connection.exchange = nil
        try stage.end(connection)
        connection.assumeReadable()
        stage.pool.giveBack(connection)
        #expect(stage.pool.idleCount == 0 && !connection.isOpen)
    }
}
