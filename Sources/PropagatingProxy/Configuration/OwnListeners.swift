// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// Finds endpoints that are listeners of the same file: a request to such a one might never end.
/// Only what is written as an address is seen; what names lead to is not known before they are looked up.
struct OwnListeners {
    let mistakes: Mistakes
    let listeners: [Configuration.Listener]

    func check(_ root: MappingReader) {
        guard case .mapping(let upstreams) = root.value("upstreams")?.content else { return }
        for upstream in upstreams {
            guard case .sequence(let items) = upstream.value["endpoints"]?.content else { continue }
            for item in items { check(item) }
        }
    }

    private func check(_ item: YAMLNode) {
        guard case .scalar(let raw) = item.content, let text = mistakes.expand(raw, at: item.origin),
            let endpoint = AddressNotation.endpoint(text)
        else { return }
        for listener in listeners where isReached(listener.address.socketAddress, by: endpoint) {
            mistakes.add(
                item.origin,
                "'\(text)' is the listener '\(listener.name)' of this proxy, expected another address")
        }
    }

    private func isReached(_ own: SocketAddress, by endpoint: Configuration.EndpointName) -> Bool {
        switch endpoint {
        case .unix(let address): return address == own
        case .host(let host, let port):
            guard own.port == port, port != 0, let addresses = Resolver.withoutServer(host, port: port) else {
                return false
            }
            return addresses.contains { address in
                guard address.family == own.family else { return false }
                // A listener on all addresses is reached by loopback; and connecting to a wildcard is loopback too.
                return address == own || (address.isLoopback && own.isWildcard)
                    || (address.isWildcard && (own.isLoopback || own.isWildcard))
            }
        }
    }
}
