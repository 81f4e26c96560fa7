// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A collector on loopback: takes posts, answers as told, and reads the spans out of every encoding we write.
public final class FakeCollector: Sendable {
    /// How one post is answered.
    public struct Answer: Sendable {
        public var status: Int
        public var delayMilliseconds: UInt32
        public var fields: [String]

        public init(status: Int = 202, delayMilliseconds: UInt32 = 0, fields: [String] = []) {
            self.status = status
            self.delayMilliseconds = delayMilliseconds
            self.fields = fields
        }
    }

    private let upstream: FakeUpstream
    private let answers: Observed<(rule: @Sendable (Int) -> Answer, posts: Int)>
    private let accepted = Observed<[ReportedSpan]>([])
    private let failures = Observed<[String]>([])
    private let counted = Observed(0)

    /// `answer` gets the number of the post, from 0. Under load, `onlyCounts` keeps no span and reads v2 JSON only.
    public init(
        on address: SocketAddress = .ipv4(port: 0), onlyCounts: Bool = false,
        answer: @escaping @Sendable (Int) -> Answer = { _ in Answer() }
    ) throws {
        let answers = Observed((rule: answer, posts: 0))
        let (accepted, failures, counted) = (accepted, failures, counted)
        self.answers = answers
        upstream = try FakeUpstream(on: address, records: !onlyCounts) { exchange in
            let body = try exchange.body().bytes
            let answer = answers.change { state in
                state.posts += 1
                return state.rule(state.posts - 1)
            }
            if answer.delayMilliseconds > 0 { usleep(answer.delayMilliseconds * 1000) }
            if (200..<300).contains(answer.status), onlyCounts {
                let spans = Self.count(Array("\"traceId\"".utf8), in: body)
                counted.change { $0 += spans }
            } else if (200..<300).contains(answer.status) {
                do {
                    let spans = try ReportedSpan.decode(
                        body, path: exchange.head.target, type: exchange.head["content-type"] ?? "")
                    accepted.change { $0 += spans }
                } catch {
                    failures.change { $0.append("\(exchange.head.target): \(error)") }
                }
            }
            try exchange.reply(answer.status, fields: answer.fields)
        }
    }

    public var address: SocketAddress { upstream.address }
    public func url(_ path: String) -> String { "http://\(address)\(path)" }

    /// Answers the next posts by another rule.
    public func answer(_ rule: @escaping @Sendable (Int) -> Answer) {
        answers.change { $0 = (rule, 0) }
    }

    public var posts: [FakeUpstream.Received] { upstream.requests }
    /// The first post once its head is here.
    public func waitForPost() -> FakeUpstream.Received? {
        try? upstream.waitForHeads()
        return posts.first
    }

    /// Spans of posts that were answered with 2xx.
    public var spans: [ReportedSpan] { accepted.current }
    /// Posts whose body could not be read.
    public var unreadable: [String] { failures.current }

    /// The accepted spans once there are so many.
    public func spans(_ count: Int, within seconds: Double = 30) throws -> [ReportedSpan] {
        guard accepted.wait(seconds: seconds, until: { $0.count >= count }) else {
            throw SocketError.timeout(
                "\(spans.count) of \(count) spans; \(posts.count) posts; unreadable: \(unreadable)")
        }
        return spans
    }

    /// Spans of accepted posts where `onlyCounts` was asked for.
    public var count: Int { counted.current }

    public func stop() { upstream.stop() }

    private static func count(_ word: [UInt8], in bytes: [UInt8]) -> Int {
        var (found, index) = (0, 0)
        while index + word.count <= bytes.count {
            if bytes[index] == word[0], bytes[index..<index + word.count].elementsEqual(word) {
                found += 1
                index += word.count
            } else {
                index += 1
            }
        }
        return found
    }
}
