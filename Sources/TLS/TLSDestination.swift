// SPDX-License-Identifier: Apache-2.0
public import EventLoop

/// A peer we open connections to again and again: the context in force, and the newest ticket it has given us.
///
/// Of one thread. A new version of the context begins without a ticket, so that no session goes on under another trust.
public final class TLSDestination {
    private let contexts: Published<ClientContext>
    private let host: String
    private let resumes: Bool
    private var version: Int
    private var memory: TLSDestinationMemory

    /// - Parameters:
    ///   - host: a name or the text of an IP address: what the certificate has to be for, and sent as SNI if a name.
    ///   - resumes: whether tickets are used.
    public init(_ contexts: Published<ClientContext>, host: String, resumes: Bool) {
        self.contexts = contexts
        self.host = host
        self.resumes = resumes
        version = contexts.version
        memory = TLSDestinationMemory(contexts.current())
    }

    /// TLS for one new connection, nothing sent yet; `nil` without memory.
    ///
    /// - Parameter protocols: offered by ALPN in place of those of the context.
    public func link(offering protocols: [ApplicationProtocol]? = nil, buffers: BufferPool) -> TLSLink? {
        if version != contexts.version {
            version = contexts.version
            memory = TLSDestinationMemory(contexts.current())
        }
        let ticket = resumes ? memory.ticket : nil
        guard let session = memory.context.session(host: host, resuming: ticket, offering: protocols, buffers: buffers)
        else { return nil }
        return TLSLink(session: session, memory: resumes ? memory : nil)
    }
}

/// What is remembered under one version of a context.
final class TLSDestinationMemory {
    let context: ClientContext
    var ticket: SessionTicket?

    init(_ context: ClientContext) { self.context = context }
}

/// Our side of one connection: its session, and where its tickets go.
public struct TLSLink {
    public let session: TLSSession
    /// `nil`: tickets are not used.
    let memory: TLSDestinationMemory?

    /// The next step of the handshake, see ``TLSSession/handshake()``. After a failure no ticket is offered again: it
    /// may have been the reason.
    public func handshake() -> TLSSession.Progress {
        let progress = session.handshake()
        switch progress {
        case .done: keepTicket()
        case .failed: memory?.ticket = nil
        case .waiting: break
        }
        return progress
    }

    /// Keeps the newest ticket, if one has come since. With TLS 1.3 they come after the handshake.
    public func keepTicket() {
        guard let memory, let ticket = session.takeTicket() else { return }
        memory.ticket = ticket
    }
}
