"""Resident memory of a proxy with idle connections, each of which has done one request."""
import resource
import select
import socket
import ssl
import time

from .bed import BedError, body, tree
from .machine import resident_kib
from .peers import H1, TLS

PATH = "/0k"
COUNTS = {H1: (1, 100, 1000, 10_000), TLS: (1, 100, 1000)}  # a client in Python takes some 40 KiB a TLS connection
KEPT_FROM_THE_START = 8  # they bring what is made once, and are not counted
SETTLING_SECONDS = 0.5
ASKED_AGAIN = 50  # connections that must answer once more at the end


def most_connections():
    """A proxy of ours keeps half of its descriptors, less 32, for upstreams; the same count for all."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 100


def counts(listener):
    """10,000 only where so many descriptors are allowed."""
    return sorted({min(count, most_connections()) for count in COUNTS[listener]})


class Held:
    """Connections that stay open; ends them all when left."""

    def __init__(self, port, tls):
        self.port, self.tls, self.connections = port, make_context() if tls else None, []
        self.request = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.connections:
            connection.close()

    def grow(self, count):
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", self.port), 5)
            if self.tls:
                connection = self.tls.wrap_socket(connection)
            self.connections.append(connection)
            self.ask(connection)

    def ask(self, connection):
        connection.sendall(self.request)
        received = b""
        while not received.endswith(body(PATH)):
            more = connection.recv(4096)
            if not more:
                raise BedError(f"connection {len(self.connections)} was closed after {received[:80]}")
            received += more
        if not received.startswith(b"HTTP/1.1 200"):
            raise BedError(f"connection {len(self.connections)} got {received[:80]}")

    def faults(self):
        """All must still be open, and some must still answer."""
        poll = select.poll()
        for connection in self.connections:
            poll.register(connection, select.POLLIN)
        closed = len(poll.poll(0))
        if closed:
            return [f"{closed} of {len(self.connections)} idle connections were closed"]
        for connection in self.connections[::max(1, len(self.connections) // ASKED_AGAIN)]:
            self.ask(connection)
        return []


def make_context():
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made


def idle(bed, running, listener=H1):
    """x: connections. `rss_kib` is the memory of all processes, `idle_kib` its growth by a connection since there were only 8."""
    with Held(running.ports[listener], listener == TLS) as held:
        held.grow(KEPT_FROM_THE_START)
        pids, first, seen = settled(running), None, KEPT_FROM_THE_START
        first = resident_kib(pids)
        for count in counts(listener):
            held.grow(count + KEPT_FROM_THE_START - seen)
            seen = count + KEPT_FROM_THE_START
            pids = settled(running)
            resident = resident_kib(pids)
            yield {"x": count, "requests": count, "rss_kib": resident, "pss_kib": resident_kib(pids, "Pss"), "idle_kib": (resident - first) / count,
                   "faults": held.faults()}
    wait_for_closed(bed)


def settled(running):
    time.sleep(SETTLING_SECONDS)
    return tree(running.process.pid)


def wait_for_closed(bed):
    """What we closed is to be gone before something else is measured."""
    time.sleep(SETTLING_SECONDS)
    bed.seen("up")
