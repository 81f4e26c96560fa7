// SPDX-License-Identifier: Apache-2.0
import CLibevent

/// One name on its way through the name servers: IPv4 and IPv6 asked together, one candidate of
/// the search list after the other.
@safe
public final class NameQuery {
    /// How long IPv6 may lag behind IPv4 before it is left out.
    private static let skewMilliseconds = 500

    private enum Answer {
        case pending
        case addresses([SocketAddress], seconds: Int)
        /// The server knows that there is no such name or address.
        case absent(reason: String)
        case failed(reason: String)
    }

    private var names: ArraySlice<String>
    private let port: UInt16
    private weak var resolver: Resolver?
    let owner: ObjectIdentifier
    private let base: OpaquePointer  // evdns_base *; valid while `resolver` is
    private unowned let loop: EventLoop
    private var then: ((ResolveOutcome) -> Void)?
    private var four = Answer.pending
    private var six = Answer.pending
    private var skew: LoopTimer?

    init(
        _ names: [String], port: UInt16, resolver: Resolver, base: OpaquePointer, loop: EventLoop,
        then: @escaping (ResolveOutcome) -> Void
    ) {
        self.names = names[...]
        self.port = port
        self.resolver = resolver
        owner = ObjectIdentifier(resolver)
        unsafe self.base = base
        self.loop = loop
        self.then = then
    }

    /// The outcome is not reported any more.
    public func cancel() {
        then = nil
        skew = nil
    }

    func askNext() {
        guard let name = names.popFirst() else { return }
        (four, six) = (.pending, .pending)
        skew = nil
        ask(.four, name)
        ask(.six, name)
        settle()
    }

    private func ask(_ family: NameQuestion.Family, _ name: String) {
        let question = NameQuestion(family, of: self, on: loop)
        let resolve = unsafe family == .four ? evdns_base_resolve_ipv4 : evdns_base_resolve_ipv6
        let request = unsafe resolve(base, name, DNS_QUERY_NO_SEARCH, nameAnswered, question.registered())
        guard unsafe request == nil else { return }
        question.unregister()  // refused: evdns will not call
        set(family, .failed(reason: "the resolver has no memory"))
    }

    /// One family's answer has come.
    func answered(_ family: NameQuestion.Family, code: CInt, addresses: [SocketAddress], seconds: Int) {
        guard then != nil else { return }
        switch code {
        case DNS_ERR_NONE where !addresses.isEmpty:
            // A time to live above 31 bits counts as 0 (RFC 2181 §8).
            set(family, .addresses(addresses.map { $0.with(port: port) }, seconds: max(0, seconds)))
        case DNS_ERR_NONE, DNS_ERR_NODATA: set(family, .absent(reason: "name has no address"))
        case DNS_ERR_NOTEXIST: set(family, .absent(reason: "name does not exist"))
        default: set(family, .failed(reason: Self.text(code)))
        }
        settle()
    }

    private func set(_ family: NameQuestion.Family, _ answer: Answer) {
        switch family {
        case .four: four = answer
        case .six: six = answer
        }
    }

    private func settle() {
        switch (four, six) {
        case (.addresses, .pending): awaitSix()
        case (.pending, _), (_, .pending): break
        case (.addresses(let first, let seconds), .addresses(let second, let others)):
            finish(.addresses(first + second, timeToLiveSeconds: min(seconds, others)))
        case (.addresses(let found, let seconds), _), (_, .addresses(let found, let seconds)):
            finish(.addresses(found, timeToLiveSeconds: seconds))
        case (.failed(let reason), _), (_, .failed(let reason)): finish(.failed(reason: reason))
        case (.absent(let reason), .absent):
            if names.isEmpty || resolver == nil { finish(.failed(reason: reason)) } else { askNext() }
        }
    }

    private func awaitSix() {
        skew = try? LoopTimer(on: loop) { [weak self] in
            guard let self, case .addresses(let found, let seconds) = four else { return }
            finish(.addresses(found, timeToLiveSeconds: seconds))
        }
        skew?.start(milliseconds: Self.skewMilliseconds)
    }

    private func finish(_ outcome: ResolveOutcome) {
        guard let then, resolver != nil else { return }
        cancel()
        then(outcome)
    }

    private static func text(_ code: CInt) -> String {
        switch code {
        case DNS_ERR_TIMEOUT: return "name server timed out or failed"  // evdns does not tell which
        case DNS_ERR_REFUSED: return "name server refused"
        case DNS_ERR_TRUNCATED: return "answer is malformed or too large for UDP"
        default:
            guard let text = unsafe evdns_err_to_string(code) else { return "error \(code)" }
            return unsafe String(cString: text)
        }
    }
}

/// What evdns holds while it asks: one family of one query. The loop keeps it alive, because evdns
/// may call after its base has ended.
@safe
final class NameQuestion {
    enum Family { case four, six }

    let family: Family
    /// A query that nobody else holds lives until its answers are in.
    private var held: NameQuery?
    private unowned let loop: EventLoop

    init(_ family: Family, of query: NameQuery, on loop: EventLoop) {
        self.family = family
        held = query
        self.loop = loop
    }

    /// A pointer for evdns, valid until ``unregister()`` or the loop's end.
    func registered() -> UnsafeMutableRawPointer {
        loop.nameQuestions[ObjectIdentifier(self)] = self
        return unsafe Unmanaged.passUnretained(self).toOpaque()
    }

    /// Lets go of a query that `resolver` was asked, because it ends.
    func abandon(ifAskedBy resolver: ObjectIdentifier) {
        guard held?.owner == resolver else { return }
        held?.cancel()
        held = nil
    }

    func unregister() { loop.nameQuestions[ObjectIdentifier(self)] = nil }

    /// - Parameter seconds: time to live.
    func answered(code: CInt, addresses: [SocketAddress], seconds: Int) {
        unregister()
        held?.answered(family, code: code, addresses: addresses, seconds: seconds)
        held = nil
    }
}
