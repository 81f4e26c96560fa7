// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2

/// What a worker lends each HTTP/2 session of its own.
struct SessionSupplies {
    let buffers: BufferPool
    let memory: SessionMemory
    /// `nil`: nobody counts.
    let metrics: WorkerMetrics?

    init(buffers: BufferPool, metrics: WorkerMetrics? = nil) {
        self.buffers = buffers
        self.metrics = metrics
        memory = SessionMemory()
    }

    func session(_ role: HTTP2Session.Role) throws(HTTP2Error) -> HTTP2Session {
        try HTTP2Session(role, limits: HTTP2Limits(), buffers: buffers, memory: memory)
    }
}
