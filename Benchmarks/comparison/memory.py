"""Resident memory of a proxy with idle connections that have each done one request: rows of kind memory."""
import resource
import select
import socket
import ssl
import time

from . import checks
from .bed import BedError, body, tree
from .machine import resident_kib
from .peers import H1, TLS

RETRIES_ROWS = True  # how busy others are does not matter here
COUNTS = {H1: (1, 100, 1000, 10_000), TLS: (1, 100, 1000)}  # a caller in Python takes some 40 KiB a TLS connection
FIRST = 8  # connections that bring what is made once; not counted
WARM_REQUESTS = 4000  # over them, so that buffers of spans have the size they need
SETTLING_SECONDS = 0.5
ASKED_AGAIN = 50  # connections that must answer once more at the end


def most_connections():
    """A proxy of ours keeps half of its descriptors, and some, for upstreams; the same count for all."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 100


def counts(listener):
    """10,000 only where so many descriptors are allowed."""
    return sorted({min(count, most_connections()) for count in COUNTS[listener]})


def measure(bed, peer, scenario, options):
    """x is the number of connections, `rss_kib` the memory of all processes of the proxy, `idle_kib` by how much a connection has made it grow.
    With the most connections there is `burst_rss_kib` too: all idle again after each has had a request under way at the same time."""
    running = peer.start(bed, scenario.listener)
    port, rows = running.ports[scenario.listener], []
    try:
        if faults := checks.answers(bed, scenario, port):
            return [{"faults": faults}]
        with Held(port, scenario.path, scenario.listener == TLS) as held:
            held.grow(FIRST)
            held.warm_up(WARM_REQUESTS)
            first = settled(running)["rss_kib"]
            for count in counts(scenario.listener):
                held.grow(count + FIRST - len(held.connections))
                row = settled(running)
                rows.append({"x": count, "requests": count, **row, "idle_kib": (row["rss_kib"] - first) / count, "faults": held.faults()})
            rows[-1] |= after_burst(running, held)
        return rows
    finally:
        bed.stop(running.process)


def after_burst(running, held):
    """Nothing where not all were answered."""
    try:
        held.ask_all()
    except (BedError, OSError):
        return {}
    return {"burst_rss_kib": settled(running)["rss_kib"]}


def settled(running):
    time.sleep(SETTLING_SECONDS)
    pids = tree(running.process.pid)
    return {"rss_kib": resident_kib(pids), "pss_kib": resident_kib(pids, "Pss")}


class Held:
    """Connections that stay open; all end when it is left."""

    def __init__(self, port, path, tls):
        self.port, self.connections, self.context = port, [], tls_context() if tls else None
        self.request, self.body = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(), body(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.connections:
            connection.close()

    def grow(self, count):
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", self.port), 5)
            if self.context:
                connection = self.context.wrap_socket(connection)
            self.connections.append(connection)
            self.ask(len(self.connections) - 1)

    def warm_up(self, count):
        for number in range(count):
            self.ask(number % len(self.connections))

    def ask_all(self):
        """All at once."""
        for connection in self.connections:
            connection.sendall(self.request)
        for number in range(len(self.connections)):
            self.take(number)

    def ask(self, number):
        self.connections[number].sendall(self.request)
        self.take(number)

    def take(self, number):
        connection, received = self.connections[number], b""
        while not received.endswith(self.body):
            more = connection.recv(4096)
            if not more:
                raise BedError(f"connection {number} was closed after {received[:80]}")
            received += more
        if not received.startswith(b"HTTP/1.1 200"):
            raise BedError(f"connection {number} was answered with {received[:80]}")

    def faults(self):
        """All must be open, and some must still answer."""
        poll = select.poll()
        for connection in self.connections:
            poll.register(connection, select.POLLIN)
        if closed := len(poll.poll(0)):
            return [f"{closed} of {len(self.connections)} idle connections were closed"]
        for number in range(0, len(self.connections), max(1, len(self.connections) // ASKED_AGAIN)):
            self.ask(number)
        return []


def tls_context():
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made
