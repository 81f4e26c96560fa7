// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2

/// One end of an HTTP/2 connection, whatever the other end and the streams' sockets do: it neither traps nor leaks, its
/// memory is bounded by its streams, every stream ends once, and what it writes is well-formed. And both ends of one:
/// what a stream is given on one side arrives unchanged on the other.
///
/// Input: a byte that chooses what is done and the pieces, a byte for the limits; then frames as a peer writes them, or
/// steps as `SessionScript` or `RoundTrip` reads them.
final class SessionTarget: FuzzTarget {
    /// Shared by sessions, as a worker's are; others ask `malloc`, which AddressSanitizer watches.
    private let memory = SessionMemory()
    private let buffers = BufferPool(limit: 2000)
    private let fewBuffers = BufferPool(limit: 6)

    func check(_ input: [UInt8]) throws(BrokenLaw) {
        guard input.count > 2 else { return }
        let memory = input[1] & 64 == 0 ? nil : memory
        let isTrip = input[0] >> 4 & 7 > 5
        let pool = isTrip || input[1] & 8 == 0 ? buffers : fewBuffers
        weak var left: HTTP2Session?
        do {
            let limits = Self.limits(input[1])
            let size = Pieces.size(input[0], of: input.count)
            switch input[0] >> 4 & 7 {
            case 0, 1:
                let owner = try Self.owner(.server, limits, pool, memory)
                left = owner.session
                try receive(input, size, owner)
            case 2:
                let owner = try Self.owner(.client, limits, pool, memory)
                left = owner.session
                try receive(input, size, owner)
            case 3, 4:
                let owner = try Self.owner(.server, limits, pool, memory)
                left = owner.session
                var script = SessionScript(input[2...], owner, size: size)
                try script.run()
            case 5:
                let owner = try Self.owner(.client, limits, pool, memory)
                left = owner.session
                var script = SessionScript(input[2...], owner, size: size)
                try script.run()
            default:
                let trip = try RoundTrip(input[2...], pool, self.memory, size: size)
                left = trip.client
                try trip.run()
            }
        }
        try hold(left == nil, "a session outlives its end")
        try hold(pool.inUse == 0, "\(pool.inUse) buffers are left")
    }

    private static func limits(_ choice: UInt8) -> HTTP2Limits {
        var limits = HTTP2Limits()
        guard choice & 1 != 0 else { return limits }
        limits.concurrentStreams = 3
        limits.openStreams = 4
        limits.fieldCount = 8
        limits.fieldBytes = 1024
        limits.streamWindow = 256
        limits.unreadAcknowledgements = 20
        limits.resets = HTTP2Limits.Rate(burst: 5, perSecond: 1)
        limits.controlFrames = HTTP2Limits.Rate(burst: 10, perSecond: 1)
        return limits
    }

    private static func owner(
        _ role: HTTP2Session.Role, _ limits: HTTP2Limits, _ pool: BufferPool, _ memory: SessionMemory?
    ) throws(BrokenLaw) -> SessionOwner {
        do {
            return try SessionOwner(role, limits, pool, memory)
        } catch { throw BrokenLaw(law: "no session: \(error)") }
    }

    /// Bytes as they are, to an owner that does what is usual.
    private func receive(_ input: [UInt8], _ size: Int, _ owner: SessionOwner) throws(BrokenLaw) {
        var start: [UInt8] = []
        if owner.isServer, input[1] & 2 != 0 { start = Frames.preface + Frames.settings }
        if !owner.isServer {
            if input[1] & 2 != 0 { start = Frames.settings }
            for _ in 0..<3 {
                owner.open()
                guard let stream = owner.held.last?.stream else { break }
                _ = stream.send(Array("POST /a HTTP/1.1\r\nhost: a.test\r\n\r\nbody".utf8).span)
                if input[1] & 4 != 0 { stream.shutdownWrite() }
            }
            try owner.writeAll()
        }
        let body = [UInt8](repeating: 7, count: input[1] & 16 == 0 ? 10 : 40_000)
        var rest = (start + input[2...])[...]
        while !rest.isEmpty {
            try owner.receive(rest.prefix(size), size: .max)
            rest = rest.dropFirst(size)
            try owner.answer(body: body)
            try owner.write(taking: input[1] & 32 == 0 ? .max : 1000)
        }
        try owner.finish()
    }
}
