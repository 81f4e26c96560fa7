import EventLoop
import HTTP1
import Propagation
import SpanEmitter
public struct Configuration: Sendable {
  public struct ListenAddress: Sendable { var socketAddress: SocketAddress }
  public struct Listener: Sendable { var name: String; var address: ListenAddress; struct R: Sendable { var name = "r" }; var routes: [R] = [] }
  public struct Tracing: Sendable { var exporters: [ExporterConfiguration] = [] }
  public struct Admin: Sendable { var address: ListenAddress; var allowsRemote = false }
  public struct Shutdown: Sendable { var drainDelayMilliseconds = 0, graceMilliseconds = 30000, flushMilliseconds = 2000 }
  public struct Log: Sendable { var level = LogLevel.info, format = LogFormat.text }
  public struct UpstreamX: Sendable { var endpoint: EndpointName; var name = "up" }
  var service = "x", workers = 1, listeners: [Listener], upstreams: [UpstreamX], tracing = Tracing(), admin: Admin? = nil, shutdown = Shutdown(), log = Log()
  public init(quick: String, port: UInt16, up: UInt16) { listeners = [Listener(name: "front", address: ListenAddress(socketAddress: SocketAddress(literal: quick, port: port)!))]; upstreams = [UpstreamX(endpoint: .host("127.0.0.1", port: up))] }
}
final class RouteTable { func match(method: Span<UInt8>, host: Span<UInt8>, path: Span<UInt8>, fields: borrowing FieldTable, bytes: Span<UInt8>) -> Int? { 0 } }
extension SpanNames { init(_ c: Configuration) { self.init() } }
enum Version { static let text = "0.1" }

enum SpanMetrics { static func render(_ a: SpanAccounting) -> [UInt8] { [] } }
