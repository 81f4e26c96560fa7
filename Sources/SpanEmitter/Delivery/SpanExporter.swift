// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import TLS

/// Brings spans to one collector: queue, batches, posts, retries. Lives on the reporter's thread.
final class SpanExporter {
    /// Batches kept for their memory.
    private static let spareLimit = 3
    /// The longest wait a collector may ask for.
    private static let longestRetryAfterSeconds = 300

    private let index: Int
    private let configuration: ExporterConfiguration
    /// `nil`: plain text.
    private let tls: TLSDestination?
    private let ledger: SpanLedger
    private let loop: EventLoop
    private let resolver: Resolver
    /// For the response, and what TLS holds.
    private let buffers = BufferPool(limit: 6)
    private let log: @Sendable (ReporterLogLevel, String) -> Void
    private let head: [UInt8]
    private var encoder: SpanEncoder
    private let callNames = CallNames()

    /// Oldest first; the last one is open for more.
    private var queue: [SpanBatch] = []
    private var spareBatches: [SpanBatch] = []
    /// What stands between the head and the spans of a post.
    private var framePrefix = ByteWriter(capacity: 64)
    private var queuedSpans = 0
    private var queuedBytes = 0
    /// The flush interval has passed since a post: what there is may go.
    private var isFlushDue = false
    private var inFlight: SpanBatch?
    private var connection: CollectorConnection?
    private var query: NameQuery?
    private var retryTimer: LoopTimer?
    private var isWaiting = false
    private var failuresInRow = 0
    /// Those since a connection last failed to come about: an outage says nothing about how busy the collector is after it.
    private var answersInRow = 0
    private var triedStale = false
    private var isStopping = false
    private var lastComplaint: UInt64 = 0
    /// Called when the queue has become empty.
    var onEmpty: () -> Void = {}

    init(
        _ configuration: ExporterConfiguration, context: Published<ClientContext>?, index: Int, names: SpanNames,
        ledger: SpanLedger, loop: EventLoop,
        resolver: Resolver, log: @escaping @Sendable (ReporterLogLevel, String) -> Void
    ) throws(EventLoopError) {
        self.index = index
        self.configuration = configuration
        tls = context.map {
            TLSDestination($0, host: configuration.tls?.serverName ?? configuration.endpoint.host, resumes: true)
        }
        self.ledger = ledger
        self.loop = loop
        self.resolver = resolver
        self.log = log
        head = Self.head(configuration, version: names.version)
        encoder = SpanEncoder(
            configuration.encoding, profile: configuration.profile, names: names, callNames: callNames)
        retryTimer = try LoopTimer(on: loop) { [unowned self] in
            isWaiting = false
            post()
        }
    }

    var isEmpty: Bool { queuedSpans == 0 }

    // MARK: Queue

    /// Encodes and queues the spans of so many waiting records, as far as there is room.
    ///
    /// - Returns: what was queued.
    func enqueue(_ records: Int, of ring: SpanRing) -> (spans: Int, bytes: Int) {
        let (spans, bytes) = (queuedSpans, queuedBytes)
        let encoder = encoder
        var batch = openBatch()
        ring.visit(records) { record in
            batch = enqueue(&record, encoder, batch)
            guard record.hasAttempt else { return }
            record.swapAttempt()
            batch = enqueue(&record, encoder, batch)
            record.swapAttempt()
        }
        return (queuedSpans - spans, queuedBytes - bytes)
    }

    /// - Returns: the batch to go on with.
    private func enqueue(_ span: inout SpanRecord, _ encoder: SpanEncoder, _ batch: SpanBatch) -> SpanBatch {
        guard queuedSpans < configuration.queueSpans else { return batch }
        let added = batch.append(&span, encoder: encoder, room: configuration.queueBytes - queuedBytes)
        guard added > 0 else { return batch }
        queuedSpans += 1
        queuedBytes += added
        return batch.byteCount < configuration.batchBytes ? batch : openBatch()
    }

    private func openBatch() -> SpanBatch {
        if let last = queue.last, last.byteCount < configuration.batchBytes { return last }
        let batch = spareBatches.popLast() ?? SpanBatch()
        queue.append(batch)
        return batch
    }

    /// Half a megabyte that came and went with each post would be page faults.
    private func recycle(_ batch: SpanBatch) {
        guard spareBatches.count < Self.spareLimit else { return }
        batch.removeAll()
        spareBatches.append(batch)
    }

    /// The flush interval has passed.
    func flush() {
        isFlushDue = true
        post()
    }

    // MARK: Posts

    /// Sends the oldest batch if it is full or due and nothing is under way.
    func post() {
        guard inFlight == nil, !isWaiting, let first = queue.first, first.count > 0 else { return }
        guard isFlushDue || isStopping || first.byteCount >= configuration.batchBytes else { return }
        if queue.count == 1 { isFlushDue = false }
        queue.removeFirst()
        inFlight = first
        ledger.change(index) {
            $0.inFlight = UInt64(first.count)
            $0.posts += 1
            $0.renamed = callNames.refusedCount
        }
        if let connection, connection.isOpen, connection.isIdle { send(over: connection) } else { connect() }
    }

    private func connect() {
        connection?.close()
        connection = nil
        let query = resolver.resolve(configuration.endpoint.host, port: configuration.endpoint.port) {
            [unowned self] outcome in
            self.query = nil
            switch outcome {
            case .addresses(let addresses, _): connect(to: addresses[failuresInRow % addresses.count])
            case .failed(let reason): failed(reason, .broken)
            }
        }
        if inFlight != nil, connection == nil, !isWaiting { self.query = query }
    }

    private func connect(to address: SocketAddress) {
        switch Connecting.start(address) {
        case .inProgress(let descriptor): use(descriptor, isConnecting: true)
        case .connected(let descriptor): use(descriptor, isConnecting: false)
        case .failed(let error): failed(errorText(error), .unreachable)
        }
    }

    private func use(_ descriptor: consuming Descriptor, isConnecting: Bool) {
        let link = tls?.link(buffers: buffers)
        // Never in the clear what was to be secret.
        guard (link != nil) == configuration.endpoint.isSecure else { return failed("out of memory", .broken) }
        let connection = CollectorConnection(
            descriptor, isConnecting: isConnecting, tls: link, on: loop, buffers: buffers,
            timeoutMilliseconds: configuration.timeoutMilliseconds)
        self.connection = connection
        send(over: connection)
    }

    private func send(over connection: CollectorConnection) {
        guard let batch = inFlight else { return }
        framePrefix.truncate(to: 0)
        batch.putInto(encoder.frame, prefix: &framePrefix)
        var post = connection.takeHead()
        post.append(head)
        post.append(decimal: UInt64(framePrefix.count + batch.framedCount))
        post.append("\r\n\r\n")
        post.append(framePrefix)
        connection.send(post, batch, isOTLP: configuration.encoding == .otlpProtobuf) { [unowned self] in ended($0) }
    }

    /// Everything up to the value of Content-Length. `b3: 0` keeps a mesh from tracing our reports.
    private static func head(_ configuration: ExporterConfiguration, version: String) -> [UInt8] {
        var text = "POST \(configuration.endpoint.path.exposed) HTTP/1.1\r\n"
        let own = ["host", "content-type", "content-length", "transfer-encoding", "connection", "b3"]
        let given = configuration.headers.filter { !own.contains($0.name.lowercased()) }
        text += "Host: \(configuration.endpoint.authority)\r\n"
        text += "Content-Type: \(configuration.encoding.contentType)\r\nb3: 0\r\n"
        if !given.contains(where: { $0.name.lowercased() == "user-agent" }) {
            text += "User-Agent: propagating-proxy/\(version)\r\n"
        }
        for field in given { text += "\(field.name): \(field.value.exposed)\r\n" }
        return Array((text + "Content-Length: ").utf8)
    }

    // MARK: Outcomes

    private func ended(_ outcome: CollectorConnection.Outcome) {
        switch outcome {
        case .unreachable(let reason):
            failed(reason, .unreachable)
        case .failed(let reason, let mayBeStale):
            if mayBeStale, !triedStale {
                triedStale = true  // once, at once: an idle connection that was closed says nothing about the collector
                return connect()
            }
            failed(reason, .broken)
        case .response(let response):
            triedStale = false
            answered(response)
        }
    }

    private func answered(_ response: CollectorResponse) {
        switch response.status {
        case 200..<300: exported(response)
        case 413: tooLarge()
        case 408, 429, 500...:
            let kind = response.status == 429 ? RetryDelay.Cause.busy : .broken
            failed("status \(response.status)", kind, retryAfterSeconds: response.retryAfterSeconds)
        default:
            settle(.rejected)
            complain(.error, "refused with status \(response.status); its spans are dropped")
        }
        post()
    }

    private func exported(_ response: CollectorResponse) {
        guard let batch = takeInFlight() else { return }
        let lost = configuration.encoding == .otlpProtobuf ? min(batch.count, max(0, response.rejectedSpans)) : 0
        if failuresInRow > 0 { log(.info, "\(configuration.name): \(configuration.endpoint) takes spans again") }
        (failuresInRow, answersInRow) = (0, 0)
        ledger.change(index) {
            $0.inFlight = 0
            $0.leaveQueue(batch)
            $0.exported += UInt64(batch.count - lost)
            $0.drop(lost, .partial)
        }
        if lost > 0 { complain(.warn, "\(lost) of \(batch.count) spans refused (partial success)") }
        recycle(batch)
        reportIfEmpty()
    }

    /// Gives the batch in flight up.
    private func settle(_ reason: DropReason) {
        guard let batch = takeInFlight() else { return }
        ledger.change(index) {
            $0.inFlight = 0
            $0.failures += 1
            $0.leaveQueue(batch)
            $0.drop(batch.count, reason)
        }
        recycle(batch)
        reportIfEmpty()
    }

    private func tooLarge() {
        inFlight?.takeOutOfFrame()
        guard let (first, second) = inFlight?.halved() else {
            complain(.error, "a span is too large for the collector (413)")
            return settle(.tooLarge)
        }
        queue.insert(contentsOf: [first, second], at: 0)
        inFlight = nil
        isFlushDue = true
        ledger.change(index) {
            $0.inFlight = 0
            $0.failures += 1
        }
    }

    private func takeInFlight() -> SpanBatch? {
        guard let batch = inFlight else { return nil }
        inFlight = nil
        queuedSpans -= batch.count
        queuedBytes -= batch.byteCount
        return batch
    }

    private func failed(_ reason: String, _ cause: RetryDelay.Cause, retryAfterSeconds: Int? = nil) {
        guard let batch = inFlight else { return }
        inFlight = nil
        batch.takeOutOfFrame()
        queue.insert(batch, at: 0)
        isFlushDue = true
        ledger.change(index) {
            $0.inFlight = 0
            $0.failures += 1
        }
        wait(cause, retryAfterSeconds)
        complain(.warn, "\(reason); will try again")
    }

    private func wait(_ cause: RetryDelay.Cause, _ retryAfterSeconds: Int?) {
        let before = cause == .unreachable ? failuresInRow : answersInRow
        var delay = Int.random(in: RetryDelay(configuration).milliseconds(after: before, cause))
        failuresInRow += 1
        answersInRow = cause == .unreachable ? 0 : answersInRow + 1
        if let seconds = retryAfterSeconds, seconds > 0 {
            delay = max(delay, min(seconds, Self.longestRetryAfterSeconds) * 1000)
        }
        if isStopping { delay = min(delay, 200) }
        isWaiting = true
        retryTimer?.start(milliseconds: delay)
    }

    /// At most one line a second.
    private func complain(_ level: ReporterLogLevel, _ text: String) {
        let now = Clock.monotonicMicroseconds
        guard lastComplaint == 0 || now - lastComplaint >= 1_000_000 else { return }
        lastComplaint = now
        log(level, "\(configuration.name): \(configuration.endpoint): \(text)")
    }

    // MARK: The end

    /// Sends what is left as fast as it can.
    func beginStop() {
        isStopping = true
        if isWaiting {
            retryTimer?.start(milliseconds: 0)
        } else {
            post()
        }
    }

    /// Gives up what is left, and closes.
    func abandon() {
        query?.cancel()
        retryTimer?.cancel()
        connection?.close()
        let spans = queuedSpans
        (queue, inFlight, queuedSpans, queuedBytes) = ([], nil, 0, 0)
        ledger.change(index) {
            $0.inFlight = 0
            $0.queued = 0
            $0.queuedBytes = 0
            $0.drop(spans, .shutdown)
        }
    }

    private func reportIfEmpty() {
        if isEmpty { onEmpty() }
    }
}

extension SpanAccounting.Exporter {
    fileprivate mutating func leaveQueue(_ batch: SpanBatch) {
        queued -= UInt64(batch.count)
        queuedBytes -= UInt64(batch.byteCount)
    }
}
