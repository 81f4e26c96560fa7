// SPDX-License-Identifier: Apache-2.0

/// An upstream that speaks HTTP/2 with prior knowledge, frame by frame as a test says; streams have ids up to 255.
public final class FakeStreams: Sendable {
    public typealias Answer = @Sendable (_ stream: UInt8) -> [FakeFrame]

    private let socket: ListeningSocket
    private let state = Observed<[FakeFrame]>([])

    /// - Parameter answer: what a request gets whose stream the other side has ended.
    public init(answer: @escaping Answer) throws {
        socket = try ListeningSocket(.ipv4(port: 0))
        let state = state
        socket.accept { peer in try? Self.serve(peer, state, answer) }
    }

    deinit { socket.stop() }

    public var address: SocketAddress { socket.address }

    /// All frames that have come.
    public var frames: [FakeFrame] { state.current }

    private static func serve(_ peer: Peer, _ state: Observed<[FakeFrame]>, _ answer: Answer) throws {
        _ = try peer.receive(exactly: 24)
        try peer.send(FakeFrame.greeting)
        while true {
            let head = try peer.receive(exactly: 9)
            let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
            let frame = FakeFrame(head[3], flags: head[4], stream: head[8], try peer.receive(exactly: length))
            state.change { $0.append(frame) }
            if frame.endsStream { try peer.send(answer(frame.stream).flatMap(\.bytes)) }
        }
    }
}
