// SPDX-License-Identifier: Apache-2.0
import CLibevent
import Glibc

/// What a name turned out to be.
public enum ResolveOutcome: Equatable, Sendable {
    /// At least one address, IPv4 before IPv6. ``Resolver/forever`` is the time to live of a literal.
    case addresses([SocketAddress], timeToLiveSeconds: Int)
    /// `reason` is half a line for the log, such as `name does not exist`.
    case failed(reason: String)
}

/// Turns host names into addresses without blocking its loop: hosts file first, then the name
/// servers of resolv.conf, through libevent's evdns.
///
/// evdns speaks UDP only: a name with more addresses than fit into one datagram fails as truncated.
@safe
public final class Resolver {
    /// A time to live that never ends.
    public static let forever = Int.max
    /// How long an answer of the hosts file holds.
    private static let hostsSeconds = 60

    private let loop: EventLoop
    private let base: OpaquePointer  // evdns_base *
    private let hostsPath: String
    private let resolvConfPath: String?
    private var search: NameSearch

    /// Reads resolv.conf; that it is absent is an error of later queries only.
    public convenience init(on loop: EventLoop) throws(EventLoopError) {
        try self.init(on: loop, hosts: "/etc/hosts", resolvConf: "/etc/resolv.conf")
    }

    /// - Parameters:
    ///   - resolvConf: path of a file, read again while it names no server; `nil` for no file.
    ///   - servers: `address:port` of further name servers.
    init(on loop: EventLoop, hosts: String, resolvConf: String?, servers: [String] = []) throws(EventLoopError) {
        self.loop = loop
        hostsPath = hosts
        resolvConfPath = resolvConf
        search = NameSearch(resolvConf: resolvConf.flatMap(SmallFile.text) ?? "")
        _ = Self.isSilenced
        guard let base = unsafe evdns_base_new(loop.base, EVDNS_BASE_DISABLE_WHEN_INACTIVE) else {
            throw .outOfMemory
        }
        unsafe self.base = base
        // Unless resolv.conf says otherwise, a lost datagram is repeated sooner than after evdns's 5 s.
        _ = unsafe evdns_base_set_option(base, "timeout:", "2")
        _ = unsafe evdns_base_set_option(base, "attempts:", "3")
        readNameServers()
        for server in servers { _ = unsafe evdns_base_nameserver_ip_add(base, server) }
    }

    /// Finds the addresses of `host`: a literal (with or without brackets) or a name.
    ///
    /// - Parameter then: called once on the loop's thread, before this returns if no name server
    ///   is needed; never after ``NameQuery/cancel()`` or the resolver's end.
    @discardableResult
    public func resolve(_ host: String, port: UInt16, then: @escaping (ResolveOutcome) -> Void) -> NameQuery? {
        if let known = Self.withoutServer(host, port: port) {
            then(.addresses(known, timeToLiveSeconds: Self.forever))
            return nil
        }
        if let hosts = SmallFile.text(hostsPath) {
            let found = NameSearch.addresses(of: host, inHosts: hosts, port: port)
            if !found.isEmpty {
                then(.addresses(found, timeToLiveSeconds: Self.hostsSeconds))
                return nil
            }
        }
        if unsafe evdns_base_count_nameservers(base) == 0 { readNameServers() }
        guard unsafe evdns_base_count_nameservers(base) > 0 else {
            then(.failed(reason: "no name server is configured"))
            return nil
        }
        let names = search.candidates(for: host)
        guard !names.isEmpty else {
            then(.failed(reason: "not a host name"))
            return nil
        }
        let query = unsafe NameQuery(names, port: port, resolver: self, base: base, loop: loop, then: then)
        query.askNext()
        return query
    }

    /// The addresses of a literal or of `localhost` (RFC 6761 §6.3); `nil` for other names.
    public static func withoutServer(_ host: String, port: UInt16) -> [SocketAddress]? {
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        let bare = isBracketed ? String(host.dropFirst().dropLast()) : host
        if let address = SocketAddress(literal: bare, port: port) { return [address] }
        let name = (host.hasSuffix(".") ? String(host.dropLast()) : host).lowercased()
        guard name == "localhost" || name.hasSuffix(".localhost") else { return nil }
        return ["127.0.0.1", "::1"].compactMap { SocketAddress(literal: $0, port: port) }
    }

    private func readNameServers() {
        guard let path = resolvConfPath else { return }
        let wanted = DNS_OPTION_NAMESERVERS | DNS_OPTION_MISC | DNS_OPTION_NAMESERVERS_NO_DEFAULT
        _ = unsafe evdns_base_resolv_conf_parse(base, wanted, path)
        search = NameSearch(resolvConf: SmallFile.text(path) ?? "")
    }

    /// evdns reports failing servers on stderr; the failed query says it too, and in our form.
    private static let isSilenced: Bool = {
        unsafe evdns_set_log_fn(resolverLogged)
        return true
    }()

    deinit {
        // evdns drops the queries under way, but still calls for an answer it already has: the
        // loop keeps the question it calls with.
        for question in loop.nameQuestions.values { question.abandon(ifAskedBy: ObjectIdentifier(self)) }
        unsafe evdns_base_free(base, 0)
    }
}
