// SPDX-License-Identifier: Apache-2.0
import Foundation
import Propagation
import SpanEmitter
import Testing

@testable import PropagatingProxy

private let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

private func load(
    _ text: String, _ environment: [String: String] = [:]
) throws(ConfigurationLoader.Failure) -> Configuration {
    try ConfigurationLoader.load(text: Array(text.utf8), file: "p.yaml", environment: environment).configuration
}

private func mistakes(_ text: String, _ environment: [String: String] = [:]) -> [String] {
    do throws(ConfigurationLoader.Failure) {
        _ = try load(text, environment)
        return []
    } catch {
        return error.lines
    }
}

private let small = """
    listeners:
      - address: 127.0.0.1:5000
        routes:
          - { match: { path: / }, rewrite: { path: /productpage }, upstream: a }
          - { upstream: a }
    upstreams: { a: { endpoints: ["app.example:9080", "[::1]:80", "unix:/run/a.sock"] } }

    """

@Suite("Configuration files")
struct ConfigurationTests {
    @Test("The example that is shipped is valid but for the certificates it names, and so is every default of it")
    func example() throws {
        let text = try Data(contentsOf: repository.appending(path: "propagating-proxy.example.yaml"))
        let configuration = try ConfigurationLoader.load(text: Array(text), file: "p.yaml", readsFiles: false)
            .configuration
        #expect(configuration.listeners[0].routes.count == 5)
        #expect(configuration.tracing.exporters.count == 2)
        let short = try load(small)
        #expect(configuration.limits == short.limits)
        #expect(configuration.shutdown == short.shutdown)
        #expect(configuration.log == short.log)
        #expect(configuration.admin == short.admin)
        #expect(configuration.listeners[0].timeouts == short.listeners[0].timeouts)
        #expect(configuration.upstreams[0].settings == short.upstreams[0].settings)
    }

    @Test("A small file means what it says")
    func meaning() throws {
        let configuration = try load(small)
        let route = configuration.listeners[0].routes[0]
        #expect(route.match.path == .exact(Array("/".utf8)))
        #expect(route.rewrite == .path(Array("/productpage".utf8)))
        #expect(route.upstream == 0)
        let upstream = configuration.upstreams[0]
        #expect(upstream.endpoints.prefix(2) == [.host("app.example", port: 9080), .host("::1", port: 80)])
        #expect(upstream.authority == Array("app.example:9080".utf8))
        #expect(configuration.workers >= 1)
    }

    @Test("All mistakes of a file are told at once, each with its place")
    func allAtOnce() {
        let found = mistakes(
            """
            servce: x
            workers: 0
            listeners:
              - address: 127.0.0.1:5000
                protocol: http3
                routes: [ { upstream: gatway } ]
            upstreams: { gateway: { endpoints: ["a:1"], timeouts: { connect: 1 } } }
            """)
        #expect(
            found.map { $0.prefix { $0 != " " } } == [
                "p.yaml:1:1:", "p.yaml:2:10:", "p.yaml:5:15:", "p.yaml:6:27:", "p.yaml:7:66:",
            ])
        #expect(found.first?.contains("did you mean 'service'?") == true)
        #expect(found.allSatisfy { $0.contains("expected") })
    }

    struct Refusal: CustomTestStringConvertible {
        var added: String
        var message: String
        var testDescription: String { added }
    }

    @Test(
        "A wrong value is a mistake",
        arguments: [
            Refusal(added: "workers: 1\nworkers: 2", message: "given twice"),
            Refusal(added: "workers: [1]", message: "is a list"),
            Refusal(added: "service: ~", message: "is nothing"),
            Refusal(added: "service: ${NOPE}", message: "NOPE is not set"),
            Refusal(added: "service: ${NOPE", message: "has no end"),
            Refusal(added: "admin: { address: 0.0.0.0:9901 }", message: "allow_remote"),
            Refusal(added: "log: &a { level: info }\nshutdown: *a", message: "aliases"),
            Refusal(added: "limits: { body: 1XB }", message: "a size"),
            Refusal(added: "shutdown: { grace: 25h }", message: "a duration"),
            Refusal(added: "tracing: { sampling: { percent: 101 } }", message: "0 to 100"),
            Refusal(added: "tracing: { exporters: [ { zipkin: { endpoint: ftp://x } } ] }", message: "or https"),
            Refusal(added: "tracing: { propagation: { inject: [b3, tracecontext, b3multi] } }", message: "has both b3"),
            Refusal(added: "tracing: { sampling: { never_paths: [GETT /a] } }", message: "is no path"),
            Refusal(added: "tracing: { exporters: [ { jaeger: { endpoint: x } } ] }", message: "unknown key"),
            Refusal(added: "log: { level: loud }", message: "expected one of error, warn, info, debug"),
            Refusal(added: "log: {", message: "p.yaml:"),
        ])
    func refusals(_ refusal: Refusal) {
        #expect(mistakes(small + refusal.added).contains { $0.contains(refusal.message) })
    }

    /// A file whose only upstream has this line.
    private func withUpstream(_ line: String) -> String {
        small.replacing("upstreams: { a: { ", with: "upstreams: { a: { \(line), ")
    }

    @Test(
        "A wrong balancer, check or ejection is a mistake",
        arguments: [
            Refusal(added: "balance: random", message: "round_robin, least_request or a mapping"),
            Refusal(added: "balance: { hash: ip }", message: "one of source"),
            Refusal(added: "balance: { hash: { header: x, cookie: y } }", message: "both or neither"),
            Refusal(added: "balance: { hash: {} }", message: "both or neither"),
            Refusal(added: "balance: { hash: { header: 'a b' } }", message: "the name of a field"),
            Refusal(added: "balance: { hsh: source }", message: "did you mean 'hash'?"),
            Refusal(added: "balance: {}", message: "'hash' is missing"),
            Refusal(added: "panic_threshold: 101", message: "0 to 100"),
            Refusal(added: "health_check: tcp", message: "expected a mapping"),
            Refusal(added: "health_check: { type: grpc }", message: "http, tcp"),
            Refusal(added: "health_check: { type: tcp, path: /x }", message: "for type http"),
            Refusal(added: "protocol: http2, health_check: { path: /x }", message: "speak HTTP/1.1"),
            Refusal(added: "health_check: { path: healthz }", message: "a path such as"),
            Refusal(added: "health_check: { path: '/a?b#c' }", message: "a path such as"),
            Refusal(added: "health_check: { host: 'a b' }", message: "a host"),
            Refusal(added: "health_check: { expect: [] }", message: "is empty"),
            Refusal(added: "health_check: { expect: [299-200] }", message: "no status"),
            Refusal(added: "health_check: { expect: [100] }", message: "no status"),
            Refusal(added: "health_check: { expect: [200-] }", message: "no status"),
            Refusal(added: "health_check: { expect: ['200-299-300'] }", message: "no status"),
            Refusal(added: "health_check: { interval: 1ms }", message: "from 10ms"),
            Refusal(added: "health_check: { healthy_threshold: 0 }", message: "1 to 100"),
            Refusal(added: "outlier_detection: { max_ejection_percent: 101 }", message: "0 to 100"),
            Refusal(added: "outlier_detection: { consecutive_5xx: -1 }", message: "0 to 10000"),
        ])
    func upstreamRefusals(_ refusal: Refusal) {
        let found = mistakes(withUpstream(refusal.added))
        #expect(found.contains { $0.contains(refusal.message) && $0.hasPrefix("p.yaml:6:") }, "\(found)")
    }

    @Test("Balancer, check and ejection mean what they say, and are off without their keys")
    func endpoints() throws {
        let plain = try load(small).upstreams[0]
        #expect(plain.balance == .roundRobin && plain.healthCheck == nil && plain.outlierDetection == nil)
        #expect(plain.panicPercent == 50)
        #expect(try load(withUpstream("balance: { hash: source }")).upstreams[0].balance == .hash(.source))
        let header = try load(withUpstream("balance: { hash: { header: X-User } }")).upstreams[0].balance
        #expect(header == .hash(.header(Array("x-user".utf8))))
        let check = try load(withUpstream("health_check: { path: '/a?b=/?c', expect: [204, 300-399] }")).upstreams[0]
            .healthCheck
        #expect(check?.path == Array("/a?b=/?c".utf8))
        #expect([200, 204, 299, 300, 399, 400].map { check?.accepts($0) } == [false, true, false, true, true, false])
        let rule = try load(withUpstream("outlier_detection: {}")).upstreams[0].outlierDetection
        #expect(rule == Configuration.OutlierDetection())
    }

    @Test(
        "An endpoint that is a listener of the file is a mistake, with its place",
        arguments: [
            ("127.0.0.1:5000", "127.0.0.1:5000", true), ("0.0.0.0:5000", "127.0.0.9:5000", true),
            ("0.0.0.0:5000", "localhost:5000", true), ("[::]:5000", "[::1]:5000", true),
            ("[::1]:5000", "localhost:5000", true), ("127.0.0.1:5000", "0.0.0.0:5000", true),
            ("unix:/run/a", "unix:/run/a", true), ("127.0.0.1:5000", "127.0.0.2:5000", false),
            ("127.0.0.1:5000", "127.0.0.1:5001", false), ("0.0.0.0:5000", "10.0.0.1:5000", false),
            ("[::]:5000", "127.0.0.1:5000", false), ("unix:/run/a", "unix:/run/b", false),
            ("0.0.0.0:0", "127.0.0.1:1", false),
        ])
    func ownListener(_ listener: String, _ endpoint: String, _ isOwn: Bool) {
        let found = mistakes(
            """
            listeners: [ { name: front, address: "\(listener)", routes: [ { upstream: a } ] } ]
            upstreams: { a: { endpoints: ["app.example:5000", "\(endpoint)"] } }
            """)
        let message = "p.yaml:2:51: '\(endpoint)' is the listener 'front' of this proxy, expected another address"
        #expect(found == (isOwn ? [message] : []))
    }

    @Test("Trusted networks are read, and what is none is a mistake with its place")
    func trustedNetworks() throws {
        func text(_ list: String) -> String {
            """
            listeners: [ { address: "127.0.0.1:5000", trusted_cidrs: \(list), routes: [ { upstream: a } ] } ]
            upstreams: { a: { endpoints: ["app.example:5000"] } }
            """
        }
        #expect(try load(small).listeners[0].trustedPeers == nil)
        #expect(try load(text("[]")).listeners[0].trustedPeers?.blocks == [])
        let peers = try #require(try load(text("[10.0.0.0/8, \"::1/128\", unix]")).listeners[0].trustedPeers)
        #expect(peers.includesUnix && peers.blocks.count == 2)
        #expect(
            mistakes(text("[10.0.0.1/8]")) == [
                "p.yaml:1:59: '10.0.0.1/8' is no network, expected a network such as 10.0.0.0/8 or ::1/128, or unix"
            ])
    }

    @Test(
        "A wrong value of a route's retry or an upstream's bounds is a mistake",
        arguments: [
            ("{ attempts: 1 }", "{ percent: 20 }", "'on' is missing"),
            ("{ on: [6xx] }", "{ percent: 20 }", "is no reason to try again"),
            ("{ on: [retriable_status] }", "{ percent: 20 }", "'statuses' is missing"),
            ("{ on: [5xx], statuses: [429] }", "{ percent: 20 }", "without 'retriable_status'"),
            ("{ on: [retriable_status], statuses: [200] }", "{ percent: 20 }", "from 400 to 599"),
            ("{ on: [5xx], attempts: 6 }", "{ percent: 20 }", "from 0 to 5"),
            ("{ on: [5xx], back_off: { base: 2s, max: 1s } }", "{ percent: 20 }", "'max' below its 'base'"),
            ("{ on: [5xx] }", "{ percent: 101 }", "from 0 to 100"),
        ])
    func retryRefusals(retry: String, budget: String, message: String) {
        let found = mistakes(
            """
            listeners: [ { address: "127.0.0.1:5000", routes: [ { upstream: a, retry: \(retry) } ] } ]
            upstreams: { a: { endpoints: ["b:1"], retry_budget: \(budget) } }
            """)
        #expect(found.count == 1)
        #expect(found.allSatisfy { $0.contains(message) && $0.hasPrefix("p.yaml:") })
    }

    @Test("A file nested deeper than 32 levels, or with an alias bomb, is refused")
    func bounds() {
        #expect(mistakes(String(repeating: "[", count: 5000)).first?.contains("nested deeper") == true)
        #expect(mistakes("").first?.contains("empty") == true)
        #expect(mistakes(String(repeating: "- a\n", count: 100_001)).first?.contains("more than 100000") == true)
    }

    @Test("Variables are replaced, and what they hold is not read as YAML")
    func variables() throws {
        let text = small + "service: \"a-${X}-${Y:-d}-$${Z}\""
        #expect(try load(text, ["X": "{ b: [c"]).service == "a-{ b: [c-d-${Z}")
    }

    @Test("The schema that is shipped names exactly the keys that are read")
    func schema() throws {
        let text = try Data(contentsOf: repository.appending(path: "propagating-proxy.example.yaml"))
        let mistakes = Mistakes(file: "p.yaml", environment: [:])
        _ = try ConfigurationLoader.load(
            text: Array(text), file: "p.yaml", LaunchOptions(), environment: [:], mistakes, readsFiles: false)
        let schema = try JSONSerialization.jsonObject(
            with: Data(contentsOf: repository.appending(path: "docs/configuration.schema.json")))
        var keys: [String: Set<String>] = [:]
        collect(schema, "", into: &keys)
        #expect(keys == mistakes.knownKeys)
    }

    private func collect(_ schema: Any, _ path: String, into keys: inout [String: Set<String>]) {
        guard let object = schema as? [String: Any] else { return }
        for one in object["oneOf"] as? [Any] ?? [] { collect(one, path, into: &keys) }
        if let items = object["items"] { collect(items, path + "[]", into: &keys) }
        if let values = object["additionalProperties"] as? [String: Any] { collect(values, path + ".*", into: &keys) }
        guard let properties = object["properties"] as? [String: Any] else { return }
        keys[path] = Set(properties.keys)
        for (key, value) in properties { collect(value, path.isEmpty ? key : "\(path).\(key)", into: &keys) }
    }

    @Test("Every key stands in docs/configuration.md")
    func documented() throws {
        let docs = try String(contentsOf: repository.appending(path: "docs/configuration.md"), encoding: .utf8)
        let schema = try JSONSerialization.jsonObject(
            with: Data(contentsOf: repository.appending(path: "docs/configuration.schema.json")))
        var keys: [String: Set<String>] = [:]
        collect(schema, "", into: &keys)
        let absent = Set(keys.values.joined()).filter { !docs.contains("`\($0)`") }
        #expect(absent == [])
    }
}

@Suite("Command line and environment")
struct LaunchTests {
    private func quick(_ options: [String: String], _ environment: [String: String] = [:]) throws -> Configuration {
        var launch = LaunchOptions()
        for (name, text) in options { launch[name] = text }
        #expect(launch.conflict == nil)
        return try ConfigurationLoader.load(launch, environment: environment).configuration
    }

    @Test("Quick mode needs no file")
    func quickMode() throws {
        let configuration = try quick([
            "listen": "5000", "upstream": "http://127.0.0.1:9080/", "zipkin": "http://127.0.0.1:9411/api/v1/spans",
            "admin": "off",
        ])
        #expect(configuration.listeners[0].address.description == "0.0.0.0:5000")
        #expect(configuration.upstreams[0].endpoints == [.host("127.0.0.1", port: 9080)])
        #expect(configuration.tracing.exporters[0].encoding == .zipkinV1Thrift)
        #expect(configuration.admin == nil)
        #expect(
            try quick(["listen": "[::]:5", "upstream": "http://[::1]"]).upstreams[0].endpoints == [
                .host("::1", port: 80)
            ])
    }

    @Test("OTEL variables fill what nobody said")
    func otel() throws {
        let environment = [
            "OTEL_SERVICE_NAME": "s", "OTEL_PROPAGATORS": "tracecontext,b3,jaeger",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.125",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_EXPORTER_OTLP_HEADERS": "a=b%20c",
        ]
        let options = ["listen": "5000", "upstream": "http://127.0.0.1:9080"]
        let configuration = try quick(options, environment)
        #expect(configuration.service == "s")
        #expect(configuration.tracing.inject.contains(.b3Single))
        #expect(!configuration.tracing.inject.contains(.b3Multi))
        #expect(configuration.tracing.sampling.threshold == SamplingThreshold(percentText: "12.5"))
        #expect(configuration.tracing.exporters.map(\.encoding) == [.otlpProtobuf])
        #expect(try quick(options.merging(["service": "t"]) { $1 }, environment).service == "t")
    }

    @Test("OTEL_PROPAGATORS with both forms of B3 reads both and writes the one of several fields")
    func bothFamilies() throws {
        let tracing = try quick(
            ["listen": "5000", "upstream": "http://127.0.0.1:9080"], ["OTEL_PROPAGATORS": "b3,b3multi,tracecontext"]
        ).tracing
        #expect(tracing.extract.contains(.b3Single) && tracing.extract.contains(.b3Multi))
        #expect(!tracing.inject.contains(.b3Single))
        #expect(tracing.inject.contains(.b3Multi) && tracing.inject.contains(.traceContext))
    }

    @Test(
        "A ratio becomes a percentage without rounding",
        arguments: [
            ("1", "100"), ("0.5", "50"), ("0.000001", "0.0001"), (".25", "25"), ("1.0", "100"), ("1.1", nil),
            ("x", nil),
        ])
    func ratio(_ text: String, _ percent: String?) {
        #expect(OTelEnvironment.percent(ofRatio: text) == percent)
    }
}
