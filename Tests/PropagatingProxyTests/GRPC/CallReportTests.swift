// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Propagation
import Testing

@testable import PropagatingProxy
@testable import SpanEmitter

@Suite("What an exchange reports of a gRPC call")
struct CallReportTests {
    private final class Stage {
        let worker: Worker
        let listener: ListenerContext
        var report = ExchangeReport()
        var call = GRPCCall()

        init() throws {
            let text = "listeners: [{address: '127.0.0.1:1', routes: [{respond: {status: 200}}]}]"
            let configuration = try ConfigurationLoader.load(text: Array(text.utf8), file: "stage").configuration
            let loop = try EventLoop()
            let log = try Log(level: .error)
            worker = Worker(
                loop: loop, bufferPages: 64, connectionLimit: 1, sampler: Sampler(threshold: .always),
                metrics: WorkerMetrics(
                    MetricNames(routes: [], upstreams: [], upstreamErrors: [], localReplies: [])),
                ring: SpanRing(capacity: 64), wakeReporter: try WakeUp(on: loop) {}.bell, log: log)
            listener = ListenerContext(
                number: 0, configuration.listeners[0], tls: nil,
                routes: RouteContexts([], upstreams: [], configuration), firstRoute: 1, connectionLimit: 1,
                wishesPerSecond: 0,
                configuration
            )
            begin()
            report.grpcBegan()
            attempt(0)
        }

        func begin() {
            report.beginRefused(listener: listener, peer: EndpointAddress(), worker: worker, overHTTP2: true)
        }

        func attempt(_ number: UInt8) {
            report.beginAttempt(number, to: EndpointAddress(), worker: worker, overHTTP2: true, security: .plain)
        }

        /// The callee's answer: 200, some messages, and a status if there is one.
        func answer(_ status: GRPCStatus = .missing, httpStatus: UInt16 = 200) {
            report.responseBegan(httpStatus)
            call.passed(request: [0, 0, 0, 0, 1, 7].span)
            for _ in 0..<2 { call.passed(response: [0, 0, 0, 0, 0].span) }
            call.status = status
            report.note(call)
        }

        /// Statuses of the spans reported since last asked, SERVER before its CLIENT; earlier attempts before them.
        func statuses() -> [GRPCStatus] { records().flatMap { $0 } }

        func records() -> [[GRPCStatus]] {
            var found: [[GRPCStatus]] = []
            let count = worker.ring.waiting(limit: 10).records
            worker.ring.visit(count) {
                found.append($0.hasAttempt ? [$0.grpcStatus, $0.attempt.grpcStatus] : [$0.grpcStatus])
            }
            worker.ring.free(count)
            return found
        }

        func counted(_ status: GRPCStatus) -> UInt64 {
            worker.metrics.cells[worker.metrics.names.grpcCalls + Int(status.rawValue)]
        }
    }

    @Test("A whole response gives both spans the callee's status and the messages, and is counted")
    func whole() throws {
        let stage = try Stage()
        stage.answer(.notFound)
        stage.report.ended(requestBytes: 6, responseBytes: 10, worker: stage.worker)
        stage.worker.ring.visit(1) { record in
            #expect(record.messages.request.count == 1 && record.messages.response.count == 2)
            #expect(record.requestBytes == 6 && record.responseBytes == 10 && record.httpVersion == .http2)
            #expect(record.messages.response.firstMicroseconds <= record.messages.response.lastMicroseconds)
            #expect(record.messages.response.lastMicroseconds <= record.durationMicroseconds)
        }
        #expect(stage.statuses() == [.notFound, .notFound])
        #expect(stage.counted(.notFound) == 1 && stage.counted(.ok) == 0)
    }

    @Test("A response without grpc-status has that of its HTTP status")
    func missing() throws {
        let stage = try Stage()
        stage.answer(httpStatus: 404)
        stage.report.ended(requestBytes: 6, responseBytes: 10, worker: stage.worker)
        #expect(stage.statuses() == [.unimplemented, .unimplemented])
        #expect(stage.counted(.unimplemented) == 1)
    }

    @Test("A failure of ours gives both spans its status")
    func failed() throws {
        let stage = try Stage()
        stage.report.endAttempt(error: .upstreamClosed, worker: stage.worker)
        stage.report.answered(status: 200, error: .upstreamClosed, worker: stage.worker)
        #expect(stage.statuses() == [.unavailable, .unavailable])
    }

    @Test("A caller that leaves cancels the call, and what has passed is told")
    func left() throws {
        let stage = try Stage()
        stage.answer()
        stage.report.endAttempt(error: .downstreamGone, worker: stage.worker)
        stage.report.aborted(error: .downstreamGone, worker: stage.worker)
        stage.worker.ring.visit(1) { record in
            #expect(!record.isError && record.messages.response.count == 2 && record.responseBytes == 10)
        }
        #expect(stage.statuses() == [.cancelled, .cancelled])
    }

    @Test("Each attempt has its own status; the SERVER span has the last one's")
    func attempts() throws {
        let stage = try Stage()
        stage.report.endAttempt(error: .connectTimedOut, worker: stage.worker)
        stage.attempt(1)
        stage.report.endAttempt(status: 503)
        stage.attempt(2)
        stage.answer(.ok)
        stage.report.ended(requestBytes: 6, responseBytes: 10, worker: stage.worker)
        #expect(stage.records() == [[.unavailable], [.unavailable], [.ok, .ok]])
        #expect(stage.counted(.ok) == 1 && stage.counted(.unavailable) == 0)
    }

    @Test("The next exchange of the same object is no call")
    func next() throws {
        let stage = try Stage()
        stage.answer(.ok)
        stage.report.ended(requestBytes: 6, responseBytes: 10, worker: stage.worker)
        stage.begin()
        stage.attempt(0)
        stage.report.responseBegan(200)
        stage.report.ended(requestBytes: 0, responseBytes: 1, worker: stage.worker)
        #expect(stage.records() == [[.ok, .ok], [.notGRPC, .notGRPC]])
        #expect(stage.counted(.ok) == 1)
    }
}
