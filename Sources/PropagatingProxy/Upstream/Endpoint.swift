// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// Where an endpoint of the configuration is: a name to be looked up, or a unix socket.
enum EndpointName: Equatable, Sendable {
    case host(String, port: UInt16)
    case unix(SocketAddress)

    static func == (a: Self, b: Self) -> Bool {
        switch (a, b) {
        case (.host(let x, let p), .host(let y, let q)): x == y && p == q
        case (.unix(let x), .unix(let y)): x == y
        default: false
        }
    }
}

/// One endpoint's present addresses.
final class Endpoint {
    private let name: EndpointName
    private var watch: NameWatch?
    private(set) var addresses: [SocketAddress] = []
    /// Whether the name was looked up once, with or without success.
    private(set) var isSettled = false

    init(_ name: EndpointName) { self.name = name }

    /// - Parameters:
    ///   - changed: called whenever ``addresses`` changed.
    ///   - failed: called with the name and the reason of a failed query.
    func start(
        resolver: Resolver, on loop: EventLoop, changed: @escaping () -> Void,
        failed: @escaping (String, String) -> Void
    ) throws(EventLoopError) {
        switch name {
        case .unix(let address):
            addresses = [address]
            isSettled = true
            changed()
        case .host(let host, let port):
            watch = try NameWatch(
                host, port: port, with: resolver, on: loop,
                changed: { [unowned self] found in
                    addresses = found
                    isSettled = true
                    changed()
                },
                failed: { [unowned self] reason in
                    isSettled = true
                    failed(host, reason)
                })
            watch?.start()
        }
    }
}
