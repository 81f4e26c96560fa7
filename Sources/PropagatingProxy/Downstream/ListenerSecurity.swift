// SPDX-License-Identifier: Apache-2.0
import EventLoop
import TLS

/// A listener's TLS as one worker uses it: the context in force, asked for again only when another has been published.
final class ListenerSecurity {
    private let published: Published<ServerContext>
    private var version: Int
    private var current: ServerContext

    init(_ published: Published<ServerContext>) {
        self.published = published
        version = published.version
        current = published.current()
    }

    /// For a connection that has just been accepted.
    func context() -> ServerContext {
        let newest = published.version
        if newest != version {
            version = newest
            current = published.current()
        }
        return current
    }
}
