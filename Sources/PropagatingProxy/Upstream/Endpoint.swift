// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// One endpoint's present addresses.
final class Endpoint {
    private let name: Configuration.EndpointName
    private var watch: NameWatch?
    private(set) var addresses: [SocketAddress] = []
    /// Whether the name was looked up once, with or without success.
    private(set) var isSettled = false

    init(_ name: Configuration.EndpointName) { self.name = name }

    /// As the configuration has it; `localhost` for a unix socket.
    var host: String {
        switch name {
        case .host(let host, _): host
        case .unix: "localhost"
        }
    }

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

    /// Looks the name up no more.
    func end() {
        watch?.stop()
        watch = nil
    }
}
