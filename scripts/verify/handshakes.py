#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten thousand TLS handshakes that stand still, and as many idle TLS connections: what they cost, and who is served meanwhile.

A caller of the first kind says nothing, or stops inside of its ClientHello, or after the server's flight. The proxy ends it
after `tls_handshake` (5 s); the script opens another one. Meanwhile a healthy caller makes new connections one after the
other. Idle connections are whole ones that have had one answer. Memory is the proxy's resident set.
"""

import os
import select
import socket
import ssl
import statistics
import subprocess
import tempfile
import time

import lab
import load

KINDS = ("silent", "inside of the ClientHello", "behind the server's flight")


def hello():
    """A ClientHello as Python's OpenSSL makes it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        caller.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class Stalled:
    """So many handshakes that stand still, in a process of their own; those that are ended are begun again."""

    def __init__(self, address, count):
        self.address, self.count = address, count
        self.counters = load.Counters("open", "begun", "ended", "failed", "stop")
        self.child = load.Child(self._run)

    def stop(self):
        self.counters["stop"] = 1
        self.child.wait()

    def _begin(self, number, words):
        peer = socket.socket()
        try:
            peer.bind((f"127.0.1.{1 + number % 100}", 0))
            peer.connect(self.address)
            peer.setblocking(False)
            said = (b"", words[:200], words)[number % 3]
            if said:
                peer.send(said)
        except OSError:
            self.counters["failed"] += 1
            peer.close()
            return None
        return peer

    def _run(self):
        os.nice(10)
        lab.raise_descriptor_limit()
        words, peers, poll, number = hello(), {}, select.epoll(), 0
        while not self.counters["stop"]:
            for _ in range(min(200, self.count - len(peers))):
                number += 1
                peer = self._begin(number, words)
                if peer:
                    peers[peer.fileno()] = peer
                    poll.register(peer.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
            self.counters["begun"] = number
            for found, _ in poll.poll(0.02):
                try:
                    part = peers[found].recv(65536)
                except BlockingIOError:
                    continue
                except OSError:
                    part = b""
                if not part:
                    self.counters["ended"] += 1
                    poll.unregister(found)
                    peers.pop(found).close()
            self.counters["open"] = len(peers)
        for peer in peers.values():
            peer.close()


def context(folder):
    return ssl.create_default_context(cafile=f"{folder}/root.pem")


def one(address, tls):
    """A whole exchange on a connection of its own; answers milliseconds."""
    begin = time.monotonic()
    with tls.wrap_socket(socket.create_connection(address, timeout=20), server_hostname="localhost") as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nx-id: 7\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := peer.recv(4096):
            answer += part
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ValueError(answer[:100])
    return (time.monotonic() - begin) * 1000


def healthy(address, tls, seconds):
    """Milliseconds of exchanges one after the other, and how many failed."""
    times, failures, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            times.append(one(address, tls))
        except (OSError, ValueError):
            failures += 1
        time.sleep(0.01)
    return times, failures


def shown(times):
    ordered = sorted(times)
    return f"{statistics.median(ordered):.1f} ms median, {ordered[int(len(ordered) * 0.99)]:.0f} ms p99, {len(ordered)} made"


def idle(proxy, folder, count, table):
    """Connections that have had their answer."""
    tls = context(folder)
    tls.options |= ssl.OP_NO_TICKET
    before, peers = proxy.memory_kib(), []
    for number in range(count):
        raw = socket.socket()
        raw.bind((f"127.0.2.{1 + number % 100}", 0))
        raw.connect(proxy.address)
        peer = tls.wrap_socket(raw, server_hostname="localhost")
        peer.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nx-id: 7\r\n\r\n")
        peer.recv(4096)
        peers.append(peer)
    time.sleep(1.5)
    each = (proxy.memory_kib() - before) / count
    table.row(each <= 40, f"resident for each of {count} idle connections", f"{each:.1f} KiB")
    for peer in peers:
        peer.close()


def main():
    parser = lab.arguments(__doc__)
    parser.add_argument("--stalled", type=int, default=10_000)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    limit = lab.raise_descriptor_limit()
    count = min(options.stalled, (limit - 64) // 2 - 64)
    upstreams, upstream = load.start_upstream()
    table = lab.Table(("what", 52), ("measured", 0))
    try:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([lab.REPOSITORY / "scripts/make-test-certs", folder], check=True)
            pair = f"{{ certificate: {folder}/server-ecdsa.pem, key: {folder}/server-ecdsa.key }}"
            with lab.Proxy(options.binary, upstream, listener=[f"tls: {{ certificates: [{pair}] }}"]) as proxy:
                tls = context(folder)
                one(proxy.address, tls)
                idle(proxy, folder, options.idle, table)
            with lab.Proxy(options.binary, upstream, listener=[f"tls: {{ certificates: [{pair}] }}"]) as proxy:
                quiet, _ = healthy(proxy.address, tls, options.seconds / 2)
                before = proxy.memory_kib()
                stalled = Stalled(proxy.address, count)
                deadline = time.monotonic() + 60
                while lab.metric(proxy.metrics(), "downstream_connections") < count * 0.9 and time.monotonic() < deadline:
                    time.sleep(0.1)
                proxy.reset_peak_memory()
                busy, failures = healthy(proxy.address, tls, options.seconds)
                samples, peak = proxy.metrics(), proxy.memory_kib("VmHWM")
                open_count = lab.metric(samples, "downstream_connections")
                stalled.stop()
                table.row(peak < 400_000, f"resident with {open_count:.0f} handshakes open, at its peak",
                          f"{peak / 1024:.0f} MiB, {before / 1024:.0f} MiB before")
                table.row(failures == 0, "healthy callers that failed meanwhile", f"{failures} of {failures + len(busy)}")
                table.row(True, "their exchanges, handshake included, before", shown(quiet))
                table.row(True, "meanwhile", shown(busy))
                ended = lab.metric(samples, "tls_handshakes_total", result="timed_out")
                table.row(ended > 0, "handshakes ended by their time", f"{ended:.0f} of {stalled.counters['begun']} begun")
                time.sleep(7)
                left = lab.metric(proxy.metrics(), "downstream_connections")
                table.row(left == 0, "connections left at the end", f"{left:.0f}")
                table.row(count >= options.stalled * 0.99, "handshakes asked for",
                          f"{count} of {options.stalled}; the limit of open files is {limit}")
        table.end()
    finally:
        for child in upstreams:
            child.end()


if __name__ == "__main__":
    main()
