// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Every text that may hold a secret holds this word, and no output may.
private let canary = "c4n4ry"

@Suite("Secrets")
struct CanaryTests {
    /// Collectors that fail, each in its way, and how a secret gets to each.
    private final class Collectors {
        let good: FakeCollector
        /// Stopped; it holds its port, which nobody else gets.
        let gone: FakeUpstream
        var refused: SocketAddress { gone.address }
        let rejecting: FakeCollector
        let failing: FakeCollector
        let halving: FakeCollector
        let silent: FakeCollector
        let garbage: FakeUpstream

        init() throws {
            good = try FakeCollector()
            gone = try FakeUpstream()
            gone.stop()
            // What a collector says is untrusted: it may well repeat what it was sent.
            let echo = ["X-Token: \(canary)", "Retry-After: \(canary)"]
            rejecting = try FakeCollector { _ in .init(status: 400, fields: echo) }
            failing = try FakeCollector { _ in .init(status: 500, fields: echo) }
            halving = try FakeCollector { _ in .init(status: 413, fields: echo) }
            silent = try FakeCollector { _ in .init(delayMilliseconds: 5000) }
            garbage = try FakeUpstream { exchange in
                _ = try exchange.body()
                try exchange.send("\(canary) \(exchange.head.target) \(exchange.head["authorization"] ?? "")\r\n\r\n")
                exchange.close()
            }
        }

        func exporters(_ folder: TemporaryFolder) throws -> [String] {
            let header = try folder.write("Bearer \(canary)-from-file\n", to: "header")
            let url = try folder.write("http://nowhere.invalid/\(canary)-from-file/v1/traces?\(canary)", to: "url")
            return [
                "zipkin: { name: refused, endpoint: \"http://\(refused)/\(canary)/api/v2/spans\" }",
                "zipkin: { name: rejects, endpoint: \"\(rejecting.url("/api/v2/spans"))\", "
                    + "headers: { Authorization: \"Bearer \(canary)-literal\" } }",
                "zipkin: { name: fails, endpoint: \"\(failing.url("/api/v2/spans"))\", "
                    + "headers: { Authorization: \"file:\(header)\" } }",
                "zipkin: { name: halves, endpoint: \"\(halving.url("/api/v2/spans?\(canary)-query"))\" }",
                "zipkin: { name: garbage, endpoint: \"http://\(garbage.address)/\(canary)/api/v2/spans\", "
                    + "headers: { Authorization: \"Bearer ${CANARY_TOKEN}\" } }",
                "zipkin: { name: silent, timeout: 500ms, endpoint: \"${CANARY_URL}\" }",
                "otlp: { name: unresolved, endpoint: \"file:\(url)\" }",
                "otlp: { name: good, endpoint: \"http://\(good.address)/v1/traces\" }",
            ]
        }

        var environment: [String: String] {
            [
                "CANARY_TOKEN": "\(canary)-from-variable", "CANARY_URL": silent.url("/\(canary)/api/v2/spans"),
                "OTEL_EXPORTER_OTLP_HEADERS": "api-key=\(canary)-otel", "PLAIN": "visible",
            ]
        }

        /// Whether each secret was used for what it is.
        func expectSecretsOnTheWire() {
            #expect(rejecting.posts.first?["authorization"] == "Bearer \(canary)-literal")
            #expect(failing.posts.first?["authorization"] == "Bearer \(canary)-from-file")
            #expect(halving.posts.first?.head.target == "/api/v2/spans?\(canary)-query")
            #expect(garbage.requests.first?["authorization"] == "Bearer \(canary)-from-variable")
            // A post may run out of time before it has left; another follows.
            #expect(silent.waitForPost()?.head.target == "/\(canary)/api/v2/spans")
        }
    }

    /// What can be read of a running proxy by those who must not know its secrets.
    private func outputs(of proxy: ProxyProcess, _ collectors: Collectors, admin: SocketAddress) throws
        -> [String: String]
    {
        var outputs = ["command line": proxy.program.visibleArguments, "log": proxy.log]
        for path in ["/metrics", "/ready", "/live", "/", "/config", "/config_dump", "/debug", "/stats", "/clusters"] {
            let page = try get(path, from: admin)
            outputs["admin page \(path)"] = page.head.fields.map(\.description).joined(separator: "\n") + page.body.text
        }
        for (number, post) in collectors.good.posts.enumerated() {
            outputs["post \(number)"] = String(decoding: post.body.bytes, as: UTF8.self)
        }
        let environment = FileManager.default.contents(atPath: "/proc/\(proxy.program.pid)/environ") ?? Data()
        outputs["environment"] = String(decoding: environment, as: UTF8.self)
        return outputs
    }

    private func get(_ path: String, from admin: SocketAddress) throws -> Response {
        try Peer(to: admin).exchange("GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    }

    private func expectNoCanary(_ outputs: [String: String]) {
        for (place, text) in outputs where text.contains(canary) {
            let at = text.firstRange(of: canary)?.lowerBound ?? text.startIndex
            let start = text.index(at, offsetBy: -80, limitedBy: text.startIndex) ?? text.startIndex
            Issue.record("\(place) tells a secret: …\(text[start...].prefix(200))…")
        }
    }

    @Test(
        "However collectors fail, no secret shows in logs, spans, metrics, admin pages, command line or environment",
        arguments: [("debug", "text", SIGTERM), ("debug", "json", SIGSEGV), ("error", "text", SIGABRT)])
    func running(level: String, format: String, end: Int32) throws {
        let collectors = try Collectors()
        let folder = try TemporaryFolder()
        let upstream = try FakeUpstream { exchange in
            switch exchange.head.target.split(separator: "?")[0] {
            case "/reset": exchange.reset()
            case "/garbage": try exchange.send("\(canary) nonsense\r\n\r\n")
            default: try exchange.reply(fields: ["Set-Cookie: \(canary)"], text: "fine")
            }
        }
        let (front, admin) = (
            SocketAddress.unix(path: "\(folder.path)/front"), SocketAddress.unix(path: "\(folder.path)/admin")
        )
        var text = ConfigurationText(upstream: upstream.address)
        text.address = "\(front)"
        text.exporters = try collectors.exporters(folder)
        text.shutdown = "{ drain_delay: 0s, flush: 100ms }"
        let yaml = text.yaml.replacing("127.0.0.1:0\" }", with: "\(admin)\" }")
            .replacing("level: info, format: text", with: "level: \(level), format: \(format)")
        let proxy = try ProxyProcess(
            ["--config", folder.write(yaml, to: "proxy.yaml")], environment: collectors.environment, folder: folder)
        #expect(eventually { try get("/ready", from: admin).status == 200 }, "\(proxy.log)")

        for path in ["/a", "/reset", "/garbage"] {
            let fields = ["Authorization: Bearer \(canary)", "Cookie: \(canary)", "X-Api-Key: \(canary)"]
            _ = try Peer(to: front).exchange(request("GET", "\(path)?token=\(canary)", fields))
        }
        _ = try Peer(to: front).exchange("GET http://u:\(canary)@app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n")
        let failing = ["refused", "rejects", "fails", "halves", "garbage", "silent", "unresolved"]
        let allFailed = eventually {
            let metrics = try Metrics(get("/metrics", from: admin).body.text)
            return failing.allSatisfy { metrics["propagating_proxy_span_posts_failed_total", ["exporter": $0]] > 0 }
        }
        #expect(allFailed, "\(proxy.log)")
        #expect(try collectors.good.spans(6).allSatisfy { $0.service == "edge" })
        collectors.expectSecretsOnTheWire()
        // Lines that wait to be written are lost in a crash.
        if level == "debug" { #expect(proxy.program.waitForOutput { $0.contains("refused with status 400") }) }
        let outputs = try outputs(of: proxy, collectors, admin: admin)
        expectNoCanary(outputs)
        #expect(outputs["environment"]?.contains("PLAIN=visible") == true)
        proxy.program.signal(end)
        let status = proxy.program.waitForExit(seconds: 60)
        // Under a sanitizer the signals of a crash are its own.
        #expect(isSanitized && end != SIGTERM ? status != nil : status == (end == SIGTERM ? 0 : -end))
        expectNoCanary(["log to the end": proxy.log])
    }

    /// Whether it comes to hold; what throws does not hold yet.
    private func eventually(_ seconds: Double = 90, _ holds: () throws -> Bool) -> Bool {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while .now < deadline {
            if (try? holds()) == true { return true }
            usleep(20_000)
        }
        return false
    }

    // MARK: Mistakes

    /// One mistake in or beside a secret.
    struct Mistake: CustomTestStringConvertible, Sendable {
        let name: String
        /// In place of the exporter's `{ endpoint: http://127.0.0.1:9/ }`.
        var exporter: String?
        /// Further lines at the top level.
        var further: [String] = []
        var endpoint = "127.0.0.1:9"
        var environment: [String: String] = [:]
        /// What the file `secret` holds.
        var secret = "Bearer \(canary)"

        var testDescription: String { name }
    }

    static let mistakes: [Mistake] = [
        Mistake(name: "no scheme", exporter: "{ endpoint: \(canary) }"),
        Mistake(name: "https", exporter: "{ endpoint: \"https://\(canary)@h/\(canary)?\(canary)\" }"),
        Mistake(name: "userinfo", exporter: "{ endpoint: \"http://u:\(canary)@h/\" }"),
        Mistake(name: "port", exporter: "{ endpoint: \"http://h:0/\(canary)\" }"),
        Mistake(name: "blank in the path", exporter: "{ endpoint: \"http://h/a \(canary)\" }"),
        Mistake(name: "host", exporter: "{ endpoint: \"http://h[\(canary)/\" }"),
        Mistake(name: "a list", exporter: "{ endpoint: [ \(canary) ] }"),
        Mistake(name: "a mapping", exporter: "{ endpoint: { \(canary): \(canary) } }"),
        Mistake(name: "key mistyped", exporter: "{ endpiont: \"http://h/\(canary)\" }"),
        Mistake(name: "key forgotten", exporter: "{ \"http://h/\(canary)\" }"),
        Mistake(name: "kind forgotten", exporter: "http://h/\(canary)"),
        Mistake(name: "a blank forgotten", exporter: "{ endpoint:http://h/\(canary) }"),
        Mistake(name: "header as text", exporter: "{ endpoint: http://h/, headers: \"a: \(canary)\" }"),
        Mistake(name: "headers as a list", exporter: "{ endpoint: http://h/, headers: [ \"a: \(canary)\" ] }"),
        Mistake(name: "header without colon", exporter: "{ endpoint: http://h/, headers: { a b \(canary) } }"),
        Mistake(name: "header as a list", exporter: "{ endpoint: http://h/, headers: { a: [ \(canary) ] } }"),
        Mistake(name: "header of ours", exporter: "{ endpoint: http://h/, headers: { Host: \(canary) } }"),
        Mistake(name: "line feed", exporter: "{ endpoint: http://h/, headers: { a: \"\(canary)\\n\" } }"),
        Mistake(name: "blank in front", exporter: "{ endpoint: http://h/, headers: { a: \" \(canary)\" } }"),
        Mistake(name: "no end", exporter: "{ endpoint: http://h/, headers: { a: \"\(canary) } }"),
        Mistake(name: "quotes inside", exporter: "{ endpoint: http://h/, headers: { a: \"\"\(canary)\" } }"),
        Mistake(name: "alias", exporter: "{ endpoint: http://h/, headers: { a: *\(canary) } }"),
        Mistake(name: "tag", exporter: "{ endpoint: http://h/, headers: { a: !\(canary)! b } }"),
        Mistake(name: "brace inside", exporter: "{ endpoint: http://h/, headers: { a: \"${\(canary)\" } }"),
        Mistake(name: "no variable", exporter: "{ endpoint: http://h/, headers: { a: \"${\(canary)!}\" } }"),
        Mistake(name: "empty file", exporter: "{ endpoint: \"file:FOLDER/secret\" }", secret: " \n"),
        Mistake(
            name: "long file", exporter: "{ endpoint: http://h/, headers: { a: \"file:FOLDER/secret\" } }",
            secret: String(repeating: canary, count: 20_000)),
        Mistake(
            name: "lines in a file", exporter: "{ endpoint: http://h/, headers: { a: \"file:FOLDER/secret\" } }",
            secret: "a\n\(canary)"),
        Mistake(name: "no URL in a file", exporter: "{ endpoint: \"file:FOLDER/secret\" }"),
        Mistake(name: "no file", exporter: "{ endpoint: \"file:FOLDER/none\", headers: { a: \(canary) } }"),
        Mistake(name: "variable", exporter: "{ endpoint: \"${V}\" }", environment: ["V": "\(canary)"]),
        Mistake(name: "workers", further: ["limits: { fields: \"${V}\" }"], environment: ["V": canary]),
        Mistake(name: "word", further: ["log: { level: \"${V}\" }"], environment: ["V": "inf\(canary)"]),
        Mistake(name: "flag", further: ["admin: { allow_remote: \"x${V}\" }"], environment: ["V": canary]),
        Mistake(name: "path of a file", exporter: "{ endpoint: \"file:${V}\" }", environment: ["V": "/\(canary)"]),
        Mistake(name: "upstream", endpoint: "${V}", environment: ["V": "u:\(canary)@h/\(canary)"]),
        Mistake(name: "upstream with user", endpoint: "http://u:\(canary)@h:80/\(canary)?\(canary)"),
        Mistake(
            name: "OTEL endpoint", further: ["x: 1"],
            environment: ["OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:\(canary)@h/\(canary)"]),
        Mistake(
            name: "OTEL headers",
            environment: [
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_EXPORTER_OTLP_HEADERS": "a b \(canary)=x,\(canary)",
            ]),
        Mistake(
            name: "OTEL header value",
            environment: [
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_EXPORTER_OTLP_HEADERS": "a=\(canary)%0a",
            ]),
    ]

    @Test("No mistake in a configuration makes its message tell a secret", arguments: mistakes)
    func configuration(_ mistake: Mistake) throws {
        let folder = try TemporaryFolder()
        _ = try folder.write(mistake.secret, to: "secret")
        var text = ConfigurationText(upstream: .ipv4(port: 9))
        text.upstreams = ["app": ["endpoints: [ \"\(mistake.endpoint)\" ]"]]
        if let exporter = mistake.exporter {
            text.exporters = ["zipkin: " + exporter.replacing("FOLDER", with: folder.path)]
        }
        text.further = mistake.further
        var yaml = text.yaml
        for line in mistake.further.map({ $0.prefix { $0 != ":" } }) where ["admin", "log"].contains(line) {
            let given = yaml.split(separator: "\n").first { $0.hasPrefix("\(line):") } ?? ""
            yaml = yaml.replacing("\(given)\n", with: "")
        }
        let file = try folder.write(yaml, to: "proxy.yaml")
        for arguments in [["--config", file, "--check"], ["--config", file]] {
            let proxy = try ProxyProcess(arguments, environment: mistake.environment, folder: folder)
            #expect(proxy.program.waitForExit() == 1, "\(proxy.log)")
            #expect(proxy.log.contains("expected") || proxy.log.contains("proxy.yaml:"), "\(proxy.log)")
            expectNoCanary(["message": proxy.log])
        }
    }

    @Test(
        "No mistake on the command line makes its message tell a secret",
        arguments: [
            ["--zipkin", "http://u:\(canary)@h/"], ["--zipkin", "https://u:\(canary)@h/"], ["--otlp=\(canary)"],
            ["--zipkin", "http://h/\(canary)", "--zipkin", "http://h/\(canary)"], ["http://u:\(canary)@h/\(canary)"],
            ["--zipkn=http://h/\(canary)"], ["--check=\(canary)"], ["--upstream", "http://u:\(canary)@h:80"],
            ["--upstream", "http://h:80/\(canary)"], ["--upstream", "u:\(canary)@h?\(canary)"],
            ["--upstream", "https://h?\(canary)"],
        ])
    func commandLine(_ arguments: [String]) throws {
        var usual = ["--listen", "127.0.0.1:0", "--admin", "off"]
        if arguments.first != "--upstream" { usual += ["--upstream", "http://127.0.0.1:9"] }
        let proxy = try ProxyProcess(usual + arguments)
        #expect([1, 64].contains(proxy.program.waitForExit()), "\(proxy.log)")
        expectNoCanary(["message": proxy.log])
    }

    @Test("What is secret in a URL leaves the command line, where its path begins or not")
    func commandLineMasked() throws {
        let proxy = try ProxyProcess([
            "--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:9", "--admin", "127.0.0.1:0",
            "--zipkin=http://127.0.0.1:9?\(canary)", "--otlp", "http://127.0.0.1:9/?\(canary)",
        ])
        #expect(proxy.program.waitForOutput { $0.contains("started") }, "\(proxy.log)")
        expectNoCanary(["command line": proxy.program.visibleArguments, "log": proxy.log])
    }

    @Test("No core file can be written of a process that knows secrets")
    func coreDumps() throws {
        let stage = try Stage()
        let limits = try String(contentsOfFile: "/proc/\(stage.proxy.program.pid)/limits", encoding: .utf8)
        let core = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") })
        #expect(core.split(separator: " ").compactMap { Int($0) }.allSatisfy { $0 <= 1 }, "\(core)")
    }
}
