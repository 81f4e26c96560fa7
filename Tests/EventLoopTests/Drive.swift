// SPDX-License-Identifier: Apache-2.0
import Glibc

@testable import EventLoop

/// Runs the loop until something holds; answers whether it came to hold in time.
@discardableResult
func drive(_ loop: EventLoop, seconds: Double = 60, until condition: () -> Bool) -> Bool {
    let end = Clock.monotonicMicroseconds + UInt64(seconds * 1_000_000)
    while !condition() {
        if Clock.monotonicMicroseconds > end { return false }
        loop.runOnce()
        usleep(200)
    }
    return true
}

/// A connected pair of unix stream sockets: one for a ``NotingSocket``, one for the test to close.
func socketPair() -> (CInt, CInt) {
    var numbers: [CInt] = [-1, -1]
    let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
    _ = socketpair(AF_UNIX, kind, 0, &numbers)
    return (numbers[0], numbers[1])
}

/// Sends from the test's end; answers what the kernel took, -1 when the other end has gone.
@discardableResult
func say(_ text: String, to number: CInt) -> Int {
    Array(text.utf8).withUnsafeBytes { send(number, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
}

/// A socket that notes what it is told and then does what the test says.
final class NotingSocket: Socket {
    var seen: [Readiness] = []
    var deadlines = 0
    var onReady: (NotingSocket, Readiness) -> Void = { _, _ in }
    var onDeadline: (NotingSocket) -> Void = { _ in }
    var onEnd: () -> Void = {}

    convenience init(number: CInt, on loop: EventLoop) {
        self.init(Descriptor(owning: number), on: loop)
    }

    override func ioReady(_ readiness: Readiness) {
        seen.append(readiness)
        onReady(self, readiness)
    }

    override func deadlinePassed() {
        deadlines += 1
        onDeadline(self)
    }

    deinit { onEnd() }
}

/// A port of 127.0.0.1 that refuses, and that the kernel gives to nobody who does not ask for it, while this lives.
final class HeldPort {
    let address: SocketAddress
    private let descriptor: Descriptor

    init() {
        let number = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        descriptor = Descriptor(owning: number)
        var one: CInt = 1
        setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<CInt>.size))
        _ = SocketAddress(literal: "127.0.0.1", port: 0)!.withPointer { bind(number, $0, $1) }
        address = SocketAddress.local(of: number)!
    }
}

/// A clock that moves when told to.
final class ManualNanoseconds {
    var now: UInt64 = 1_000_000_000
    func advance(milliseconds: Int) { now += UInt64(milliseconds) * 1_000_000 }
}

/// A directory that ends with the test.
final class TemporaryDirectory {
    let path: String
    init() {
        var name = Array("/tmp/loop-test-XXXXXX".utf8CString)
        path = name.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    }
    /// Writes a file of that text; answers its path.
    func file(_ name: String, _ text: String) -> String {
        let whole = "\(path)/\(name)"
        let descriptor = open(whole, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        _ = Array(text.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
        return whole
    }
    deinit {
        for name in ["hosts", "resolv.conf", "socket", "plain"] { unlink("\(path)/\(name)") }
        rmdir(path)
    }
}
