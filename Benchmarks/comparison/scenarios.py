"""The table of what is measured."""
import dataclasses

from .peers import ENCODINGS, H1, H2C, H2C_TO_H2C, TLS


@dataclasses.dataclass
class Scenario:
    key: str
    title: str
    kind: str = "throughput"  # who measures it: see rounds.KINDS
    listener: str = H1
    load: str = "wrk"  # of kind throughput: a function of loads.py
    path: str = "/0k"
    connections: int = 64
    streams: int = 1  # of each connection
    fields: tuple = ()
    upload: int = 0  # bytes of each request's body
    grpc: bool = False
    close: bool = False  # a new connection for each request
    idle: int = 0  # connections that are open besides and do nothing
    only_ours: bool = False
    variation: dict = dataclasses.field(default_factory=dict)  # of our configuration: see peers.ours_text
    group: str | None = None  # scenarios of one group take turns, round by round, so that they can be compared with each other
    options: dict = dataclasses.field(default_factory=dict)  # of other kinds

    @property
    def upstream(self):
        """The one behind the listener: see Bed.seen."""
        return "up_h2" if self.listener == H2C_TO_H2C else "up"


NEAREST = {"targets": ["ours", "nginx", "haproxy"]}
FIELDS = tuple(f"X-Field-{number}: value of field {number}" for number in range(16))
OURS = {"only_ours": True, "group": "ours"}

SCENARIOS = [
    Scenario("get", "GET of 20 bytes, 64 connections"),
    Scenario("get16", "the same with 16 more fields", fields=FIELDS),
    Scenario("reply10k", "GET of 10 KiB, 64 connections", path="/10k"),
    Scenario("reply100k", "GET of 100 KiB, 64 connections", path="/100k"),
    Scenario("reply1m", "GET of 1 MiB, 64 connections", path="/1m"),
    Scenario("post10k", "POST of 10 KiB, 64 connections", upload=10240),
    Scenario("close", "GET of 20 bytes, a new connection for each, 64 at a time", close=True),
    Scenario("conns1", "GET of 20 bytes, 1 connection", connections=1),
    Scenario("conns1000", "GET of 20 bytes, 1,000 connections", connections=1000),
    Scenario("idle10000", "GET of 20 bytes, 64 connections beside 10,000 idle ones (9,800 where 20,000 files may be open)", idle=10000),
    Scenario("h2c-h1", "h2c to HTTP/1.1, GET of 20 bytes, 16 connections of 32 streams", load="h2load", listener=H2C, connections=16, streams=32),
    Scenario("h2c-h1-single", "h2c to HTTP/1.1, GET of 20 bytes, 64 connections of 1 stream", load="h2load", listener=H2C),
    Scenario("h2c-h2c", "h2c to h2c, GET of 20 bytes, 16 connections of 32 streams", load="h2load", listener=H2C_TO_H2C, connections=16, streams=32),
    Scenario("h2c-h2c-single", "h2c to h2c, GET of 20 bytes, 64 connections of 1 stream", load="h2load", listener=H2C_TO_H2C),
    Scenario("grpc-unary", "gRPC over h2c, one message of 100 bytes each way, 16 connections of 32 calls", load="h2load", listener=H2C_TO_H2C,
             path="/bench.Echo/Unary", connections=16, streams=32, grpc=True),
    Scenario("grpc-stream", "gRPC over h2c, 100 messages of 100 bytes each way, 16 connections of 8 calls", load="h2load", listener=H2C_TO_H2C,
             path="/bench.Echo/Stream", connections=16, streams=8, grpc=True),
    Scenario("tls", "TLS 1.3, GET of 20 bytes, 64 connections", listener=TLS),
    Scenario("tls100k", "TLS 1.3, GET of 100 KiB, 64 connections", listener=TLS, path="/100k"),
    Scenario("handshake", "TLS 1.3, a full handshake (ECDSA P-256) and a GET, 300 at a time", load="handshakes", listener=TLS, connections=300),
    Scenario("resume", "TLS 1.3, a resumed handshake and a GET, one after the other", load="resumptions", listener=TLS, connections=1),
    Scenario("sampling0", "GET of 20 bytes, nothing is sampled", variation={"sampling": 0}, **OURS),
    Scenario("sampling1", "GET of 20 bytes, 1 % is sampled", variation={"sampling": 1}, **OURS),
    Scenario("sampling100", "GET of 20 bytes, all is sampled", **OURS),
    Scenario("collector-down", "GET of 20 bytes, all is sampled, no collector listens", variation={"collector": "closed"}, **OURS),
    *[Scenario(f"encoding-{name}", f"GET of 20 bytes, all is sampled, spans as {name}", variation={"encoding": name}, **OURS) for name in ENCODINGS],
    Scenario("latency1", "GET of 20 bytes, 1 connection: added latency", kind="latency", connections=1),
    Scenario("latency-share", "GET of 20 bytes, 64 connections: latency at a percentage of what the target can do", kind="latency",
             options={"of": "saturation"}),
    Scenario("latency-rate", "GET of 20 bytes, 64 connections: latency at so many requests a second", kind="latency",
             options={"of": "requests", "rounds": 3}),
    Scenario("latency-same", "GET of 20 bytes, 64 connections: latency at 50 and 70 % of what the nearest can do", kind="latency",
             options={"of": "requests", "rates": (30_000, 40_000)}),
    Scenario("idle-memory", "memory with so many idle connections", kind="memory", options={"rounds": 3}),
    Scenario("idle-memory-tls", "memory with so many idle connections, TLS 1.3", kind="memory", listener=TLS, options={"rounds": 3}),
    Scenario("growth-connections", "GET of 20 bytes, so many connections", kind="growth", options={"what": "connections", **NEAREST}),
    Scenario("growth-routes", "GET of 20 bytes, so many prefixes, all asked for in turn", kind="growth", options={"what": "routes", **NEAREST}),
    Scenario("growth-routes-exact", "GET of 20 bytes, so many exact paths, all asked for in turn", kind="growth", only_ours=True,
             options={"what": "routes", "match": "path"}),
    Scenario("growth-routes-last", "GET of 20 bytes, so many prefixes, only the last is asked for", kind="growth", only_ours=True,
             options={"what": "routes", "last": True}),
    Scenario("growth-headers", "GET of 20 bytes, so many header fields", kind="growth", options={"what": "headers", **NEAREST}),
    Scenario("growth-endpoints", "GET of 20 bytes, so many endpoints", kind="growth", only_ours=True, options={"what": "endpoints"}),
    Scenario("growth-workers", "GET of 20 bytes, so many workers on all cores, which they share with the load", kind="growth", only_ours=True,
             options={"what": "workers"}),
]

QUICK = {"scenarios": ["get", "reply10k", "post10k", "close", "h2c-h1", "tls"], "targets": ["ours", "floor", "nginx", "haproxy", "envoy-zipkin100"]}


def groups(scenarios):
    """Scenarios that take turns together, in the order of the table."""
    made = {}
    for scenario in scenarios:
        made.setdefault(scenario.group or scenario.key, []).append(scenario)
    return list(made.values())
