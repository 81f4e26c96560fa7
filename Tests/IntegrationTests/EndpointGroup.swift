// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// Several scripted endpoints of one upstream behind the real binary. Each says its number in `X-Endpoint`.
struct EndpointGroup {
    let endpoints: [FakeUpstream]
    let proxy: ProxyProcess

    /// - Parameters:
    ///   - lines: of the upstream, such as `balance: least_request`.
    ///   - routes: that come before the one of all requests.
    ///   - script: gets the endpoint's number.
    init(
        _ count: Int, workers: Int = 1, _ lines: [String] = [], routes: [String] = [],
        script: @escaping @Sendable (Int, UpstreamExchange) throws -> Void = EndpointGroup.tell
    ) throws {
        endpoints = try (0..<count).map { number in try FakeUpstream { try script(number, $0) } }
        var text = ConfigurationText(upstream: .ipv4(port: 0))
        text.workers = workers
        text.routes = routes + text.routes
        text.upstreams["app"] = [Self.line(endpoints.map(\.address))] + lines
        proxy = try ProxyProcess(configuration: text.yaml)
    }

    static func line(_ addresses: [SocketAddress]) -> String {
        "endpoints: [\(addresses.map { "\"\($0)\"" }.joined(separator: ", "))]"
    }

    static func tell(_ number: Int, _ exchange: UpstreamExchange) throws {
        try exchange.reply(fields: ["X-Endpoint: \(number)"])
    }

    /// Which endpoint answered, for so many requests on connections of their own.
    func ask(_ count: Int, _ fields: [String] = []) throws -> [Int?] {
        try (0..<count).map { _ in try proxy.exchange(request("GET", "/", fields))["x-endpoint"].flatMap { Int($0) } }
    }

    /// Whether requests come to go to these endpoints and no other. A verdict is in the metrics just before the
    /// workers hear of it.
    func comesToUse(_ endpoints: Set<Int?>) throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(30)
        while true {
            if try Set(ask(20)) == endpoints { return true }
            if .now > deadline { return false }
        }
    }

    func statuses(_ count: Int) throws -> [Int] {
        try (0..<count).map { _ in try proxy.exchange(request()).status }
    }

    /// Requests that reached each endpoint, without those for `/healthz`.
    var counts: [Int] { endpoints.map { $0.requests.count { $0.head.target != "/healthz" } } }

    /// Waits until the gauge has this value for the endpoint.
    func waits(for gauge: String, _ endpoint: Int, _ value: Int) throws -> Bool {
        try waits(until: gauge, ["endpoint": "\(endpoints[endpoint].address)"], is: value)
    }

    /// Waits until the figure has this value.
    func waits(until name: String, _ labels: [String: String] = [:], is value: Int) throws -> Bool {
        let name = "propagating_proxy_" + name
        return try proxy.metrics { $0[name, labels] == value }[name, labels] == value
    }

    func metric(_ name: String, _ labels: [String: String] = [:]) throws -> Int {
        try proxy.metrics()["propagating_proxy_" + name, labels]
    }
}
