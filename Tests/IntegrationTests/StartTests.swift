// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("Starting")
struct StartTests {
    private func run(_ arguments: [String], environment: [String: String] = [:]) throws -> (
        status: Int32?, output: String
    ) {
        let proxy = try ProxyProcess(arguments, environment: environment)
        return (proxy.program.waitForExit(), proxy.log)
    }

    private func check(_ yaml: String, environment: [String: String] = [:]) throws -> (status: Int32?, output: String) {
        let folder = try TemporaryFolder()
        return try run(["--config", folder.write(yaml, to: "proxy.yaml"), "--check"], environment: environment)
    }

    private let good = ConfigurationText(upstream: .ipv4(port: 9080))

    @Test("--version names our version and the libraries it runs with")
    func version() throws {
        let (status, output) = try run(["--version"])
        #expect(status == 0)
        #expect(output.hasPrefix("propagating-proxy "))
        #expect(output.contains("libevent 2.") && output.contains("libyaml 0."))
        #expect(output.contains("libnghttp2 1.") && output.contains("OpenSSL 3."))
    }

    @Test("--help lists the options")
    func help() throws {
        let (status, output) = try run(["--help"])
        #expect(status == 0)
        for option in ["--config", "--check", "--version", "--listen", "--upstream", "--zipkin", "--otlp"] {
            #expect(output.contains(option))
        }
    }

    struct Misuse: CustomTestStringConvertible {
        var arguments: [String]
        var message: String
        var testDescription: String { arguments.joined(separator: " ") }
    }

    @Test(
        "Wrong usage exits 64 and says what is wrong",
        arguments: [
            Misuse(arguments: ["--nonsense"], message: "unknown or ambiguous option --nonsense"),
            Misuse(arguments: ["--nonsense=c4n4ry"], message: "unknown or ambiguous option --nonsense\n"),
            Misuse(arguments: ["--lo", "x"], message: "ambiguous option --lo"),
            Misuse(arguments: ["-x"], message: "unknown option -x"),
            Misuse(arguments: ["--config"], message: "--config needs a value"),
            Misuse(arguments: ["-c"], message: "--config needs a value"),
            Misuse(arguments: ["--listen="], message: "--listen has an empty value"),
            Misuse(arguments: ["--check=yes"], message: "--check takes no value"),
            Misuse(arguments: ["--listen", "1", "--listen=2"], message: "--listen is given twice"),
            Misuse(arguments: ["stray"], message: "unexpected argument stray"),
            Misuse(arguments: ["--", "--help"], message: "unexpected argument --help"),
            Misuse(arguments: ["--config", "a", "--zipkin", "http://b"], message: "cannot be used together"),
            Misuse(arguments: ["--workers", "x", "--listen", "0"], message: "--upstream is missing"),
            Misuse(arguments: [], message: "nothing to do"),
        ])
    func usage(_ misuse: Misuse) throws {
        let (status, output) = try run(misuse.arguments)
        #expect(status == 64)
        #expect(output.contains(misuse.message), "\(output)")
        #expect(output.contains("--help shows the options"))
    }

    @Test("A value that is wrong on the command line exits 1 and names its option")
    func wrongValue() throws {
        let (status, output) = try run(["--listen", "0", "--upstream", "http://127.0.0.1:9", "--workers", "x"])
        #expect(status == 1)
        #expect(output.contains("--workers") && output.contains("'x'"))
    }

    @Test("--check of a good file exits 0")
    func checkGood() throws {
        #expect(try check(good.yaml).status == 0)
    }

    @Test("--check names every mistake at once, each with file, line and column")
    func checkBad() throws {
        var text = good
        text.listener = ["directoin: inbound", "trust: maybe"]
        text.routes = ["{ match: { prefix: / }, upstream: missing }"]
        text.further = ["unknown_key: 1"]
        let (status, output) = try check(text.yaml)
        #expect(status == 1)
        let lines = output.split(separator: "\n").filter { $0.contains("proxy.yaml:") }
        #expect(lines.count >= 4, "\(output)")
        for word in ["directoin", "maybe", "missing", "unknown_key"] { #expect(output.contains(word)) }
        for line in lines {
            #expect(line.firstMatch(of: #/proxy\.yaml:\d+:\d+: /#) != nil, "\(line)")
        }
    }

    @Test("A file that is no YAML, is absent or is not readable as text exits 1")
    func unreadable() throws {
        #expect(try check("listeners: [").status == 1)
        #expect(try check("\u{0}\u{1}").status == 1)
        #expect(try run(["--config", "/nonexistent/proxy.yaml"]).status == 1)
    }

    @Test("Variables are filled in from the environment; one that is missing is a mistake")
    func variables() throws {
        var text = good
        text.service = "${NAME_OF_IT}"
        #expect(try check(text.yaml, environment: ["NAME_OF_IT": "x"]).status == 0)
        let (status, output) = try check(text.yaml)
        #expect(status == 1)
        #expect(output.contains("NAME_OF_IT"))
    }

    @Test("A port in use exits 1 and names the address, however many workers would share it", arguments: [1, 2])
    func portInUse(workers: Int) throws {
        let taken = try FakeUpstream()
        var text = good
        text.address = "\(taken.address)"
        text.workers = workers
        let folder = try TemporaryFolder()
        let (status, output) = try run(["--config", folder.write(text.yaml, to: "proxy.yaml")])
        #expect(status == 1)
        #expect(output.contains("\(taken.address)"))
    }

    @Test("Two proxies cannot share a port, which SO_REUSEPORT would let them")
    func portOfAnotherProxy() throws {
        var text = good
        text.workers = 2
        let first = try ProxyProcess(configuration: text.yaml)
        text.address = "\(try first.address())"
        let folder = try TemporaryFolder()
        let (status, output) = try run(["--config", folder.write(text.yaml, to: "proxy.yaml")])
        #expect(status == 1)
        #expect(output.contains(text.address))
    }

    @Test("The process list shows where spans go but not the path, however the option is written")
    func visibleArguments() throws {
        let proxy = try ProxyProcess([
            "--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:9", "--admin", "127.0.0.1:0",
            "--zipkin=http://127.0.0.1:9/c4n4ry/x@y/api/v2/spans", "--otl", "http://127.0.0.1:9/c4n4ry?c4n4ry",
        ])
        try proxy.waitUntilReady()
        let visible = proxy.program.visibleArguments
        #expect(visible.contains("--zipkin=http://127.0.0.1:9/*"), "\(visible)")
        for word in ["c4n4ry", "@", "spans"] { #expect(!visible.contains(word), "\(visible)") }
    }

    @Test("Quick mode does the common job without a file")
    func quickMode() throws {
        let upstream = try FakeUpstream()
        let collector = try FakeCollector()
        let proxy = try ProxyProcess([
            "--listen", "127.0.0.1:0", "--upstream", "http://\(upstream.address)", "--zipkin",
            collector.url("/api/v2/spans"),
            "--service", "quick", "--admin", "127.0.0.1:0", "--workers", "1", "--log-format", "text",
        ])
        try proxy.waitUntilReady()
        let line = try #require(
            proxy.log.split(separator: "\n").first { $0.contains("listening") && !$0.contains("name=admin") })
        let address = try #require(
            line.split(separator: " ").first { $0.hasPrefix("address=") }.flatMap { SocketAddress($0.dropFirst(8)) })
        #expect(try Peer(to: address).exchange(request("POST", "/", body: "quick")).body.text == "quick")
        #expect(try collector.spans(2).allSatisfy { $0.service == "quick" })
    }

    @Test("OTEL_* variables fill what the file leaves out")
    func otelVariables() throws {
        let upstream = try FakeUpstream()
        let collector = try FakeCollector()
        var text = ConfigurationText(upstream: upstream.address)
        text.service = ""
        let yaml = text.yaml.split(separator: "\n").filter { !$0.hasPrefix("service:") }.joined(separator: "\n") + "\n"
        let proxy = try ProxyProcess(
            configuration: yaml,
            environment: [
                "OTEL_SERVICE_NAME": "from-env", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://\(collector.address)",
            ])
        #expect(try proxy.exchange(request()).status == 200)
        #expect(try collector.spans(2).allSatisfy { $0.service == "from-env" })
        #expect(collector.posts[0].head.target == "/v1/traces")
    }

    @Test("No secret shows in the log, the metrics or the command line")
    func secrets() throws {
        let canary = "c4n4ry"
        let upstream = try FakeUpstream()
        let collector = try FakeCollector { _ in FakeCollector.Answer(status: 400) }
        let proxy = try ProxyProcess([
            "--listen", "127.0.0.1:0", "--upstream", "http://\(upstream.address)",
            "--zipkin", collector.url("/adapt_\(canary)@x/api/v2/spans"), "--admin", "127.0.0.1:0", "--log-level",
            "debug",
            "--log-format", "text",
        ])
        try proxy.waitUntilReady()
        let line = try #require(
            proxy.log.split(separator: "\n").first { $0.contains("listening") && !$0.contains("name=admin") })
        let address = try #require(
            line.split(separator: " ").first { $0.hasPrefix("address=") }.flatMap { SocketAddress($0.dropFirst(8)) })
        _ = try Peer(to: address).exchange(request("GET", "/?token=\(canary)", ["Authorization: \(canary)"]))
        let metrics = try proxy.metrics { SpanCounts($0).dropped == 2 }.description
        #expect(collector.posts.first?.head.target.contains(canary) == true)
        #expect(!metrics.contains(canary))
        #expect(!proxy.program.visibleArguments.contains(canary))
        #expect(proxy.terminate() == 0)
        #expect(!proxy.log.contains(canary))
    }
}

@Suite("Admin listener")
struct AdminTests {
    @Test("/ready, /live and /metrics answer; other paths and methods do not")
    func paths() throws {
        let stage = try Stage()
        #expect(try stage.proxy.get("/ready", listener: "admin").status == 200)
        #expect(try stage.proxy.get("/live", listener: "admin").status == 200)
        #expect(
            try stage.proxy.get("/metrics", listener: "admin")["content-type"]?.hasPrefix("text/plain; version=0.0.4")
                == true)
        #expect(try stage.proxy.get("/quitquitquit", listener: "admin").status == 404)
        let post = "POST /ready HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        #expect(try stage.proxy.exchange(post, listener: "admin").status == 405)
    }

    @Test("The metrics count requests by route and status class, and their time")
    func counters() throws {
        let stage = try Stage.configured {
            $0.routes = ["{ name: main, match: { prefix: /a }, upstream: app }"]
        }
        for _ in 0..<3 { _ = try stage.proxy.exchange(request("GET", "/a")) }
        _ = try stage.proxy.exchange(request("GET", "/none"))
        // A response is here before its request is counted, and a scrape may come between the two counts of one.
        let metrics = try stage.proxy.metrics { metrics in
            ["requests_total", "duration_seconds_count"].allSatisfy { name in
                metrics.samples.filter { $0.name.hasSuffix(name) }.reduce(0) { $0 + $1.value } >= 4
            }
        }
        let requests = metrics.samples.filter { $0.name.hasSuffix("requests_total") }
        #expect(requests.filter { $0.labels["route"] == "front/main" }.reduce(0) { $0 + $1.value } == 3)
        #expect(requests.reduce(0) { $0 + $1.value } == 4)
        let counts = metrics.samples.filter { $0.name.hasSuffix("duration_seconds_count") }
        #expect(counts.reduce(0) { $0 + $1.value } == 4)
        for sample in metrics.samples { #expect(sample.value >= 0, "\(sample.name)") }
    }

    @Test("A request whose Host is no loopback name is refused, against DNS rebinding")
    func rebinding() throws {
        let stage = try Stage()
        let response = try stage.proxy.exchange(
            "GET /metrics HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n", listener: "admin")
        #expect(response.status == 403 || response.status == 421 || response.status == 400)
    }
}
