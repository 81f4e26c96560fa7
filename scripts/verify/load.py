# SPDX-License-Identifier: Apache-2.0
"""Load for the checks in this folder: an upstream that echoes each request's id, callers that check it, a collector.

Each runs in a process of its own (fork), one epoll loop each, and counts in memory it shares with the script.
"""

import errno
import json
import mmap
import os
import select
import signal
import socket
import struct
import time


class Counters:
    """Named 64-bit numbers that several processes see; each is written by one of them."""

    def __init__(self, *names):
        self.names = {name: index for index, name in enumerate(names)}
        self.memory = mmap.mmap(-1, 8 * len(names))
        self.numbers = memoryview(self.memory).cast("q")

    def __getitem__(self, name):
        return self.numbers[self.names[name]]

    def __setitem__(self, name, value):
        self.numbers[self.names[name]] = value


class Text:
    """The first few lines that other processes have to tell."""

    def __init__(self):
        self.memory = mmap.mmap(-1, 4096)

    def add(self, line):
        used = len(self.memory[:].rstrip(b"\0"))
        text = (line + "; ").encode()
        if used + len(text) < len(self.memory):
            self.memory[used:used + len(text)] = text

    @property
    def text(self):
        return self.memory[:].rstrip(b"\0").decode(errors="replace")


class Child:
    """A function that runs in a process of its own until it returns or `end()`."""

    def __init__(self, work):
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                work()
                status = 0
            except KeyboardInterrupt:
                status = 0
            finally:
                os._exit(status)

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def wait(self):
        if self.pid:
            os.waitpid(self.pid, 0)
            self.pid = 0


# MARK: Upstream

def start_upstream(processes=1):
    """Answers each request with its `x-id` as body. Answers the children and the address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    return [Child(lambda: echo_ids(listener)) for _ in range(processes)], listener.getsockname()


def echo_ids(listener):
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN | 1 << 28)  # EPOLLEXCLUSIVE
    peers = {}
    waiting = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                try:
                    peer, _ = listener.accept()
                except BlockingIOError:
                    continue
                peer.setblocking(False)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peers[peer.fileno()] = peer
                poll.register(peer.fileno(), select.EPOLLIN)
                continue
            peer = peers[number]
            try:
                part = peer.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                part = b""
            if not part:
                poll.unregister(number)
                peers.pop(number).close()
                waiting.pop(number, None)
                continue
            text = waiting.pop(number, b"") + part
            out = []
            while True:
                end = text.find(b"\r\n\r\n")
                if end < 0:
                    break
                start = text.find(b"x-id: ", 0, end) + 6
                value = text[start:text.find(b"\r\n", start)] if start >= 6 else b""
                out.append(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(value), value))
                text = text[end + 4:]
            if text:
                waiting[number] = text
            try:
                peer.send(b"".join(out))
            except OSError:
                pass


# MARK: Callers

class Callers:
    """Keep-alive callers: each sends a request, checks that the answer carries its id, sends the next.

    An answer with `Connection: close` makes a caller connect anew; when that is refused, it ends.
    `pause` seconds between an answer and the next request limit the load.
    """

    def __init__(self, address, connections, limit=0, phases=1, number=0, pause=0.0):
        self.address, self.connections, self.limit = address, connections, limit
        self.number, self.pause = number, pause
        self.counters = Counters(
            "phase", "stop", "served", "failed", "mixed", "reconnects", "refused", "ended",
            *(f"slowest{phase}" for phase in range(phases)), *(f"served{phase}" for phase in range(phases)),
            *(f"over50_{phase}" for phase in range(phases)))
        self.errors = Text()
        self.child = Child(self._run)

    def wait(self):
        self.child.wait()

    def stop(self):
        self.counters["stop"] = 1
        self.child.wait()

    @property
    def first_errors(self):
        return self.errors.text

    def _fail(self, text):
        self.counters["failed"] += 1
        self.errors.add(text)

    def _connect(self):
        peer = socket.socket()
        peer.settimeout(5)
        try:
            peer.connect(self.address)
        except ConnectionRefusedError:
            peer.close()
            self.counters["refused"] += 1
            return None
        except OSError as error:
            peer.close()
            self._fail(f"connect: {error!r}")
            return None
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return peer

    def _run(self):
        counters = self.counters
        poll = select.epoll()
        state = {}  # number: [peer, id, start, text]
        sequence = 0
        prefix = b"%d-%d-" % (self.number, os.getpid())
        later = []

        def ask(peer):
            nonlocal sequence
            sequence += 1
            identity = prefix + b"%d" % sequence
            state[peer.fileno()] = [peer, identity, time.monotonic(), b""]
            try:
                peer.send(b"GET /load HTTP/1.1\r\nHost: load.test\r\nx-id: %b\r\n\r\n" % identity)
            except OSError as error:
                self._fail(f"send: {error!r}")
                drop(peer)
                again()

        def drop(peer):
            state.pop(peer.fileno(), None)
            try:
                poll.unregister(peer.fileno())
            except OSError:
                pass
            peer.close()

        def again():
            peer = self._connect()
            if peer:
                poll.register(peer.fileno(), select.EPOLLIN)
                ask(peer)

        for _ in range(self.connections):
            again()
        while state or later:
            while later and later[0][0] <= time.monotonic():
                ask(later.pop(0)[1])
            for number, _ in poll.poll(0.05):
                entry = state.get(number)
                if entry is None:
                    continue
                peer, identity, start, text = entry
                try:
                    part = peer.recv(65536)
                except BlockingIOError:
                    continue
                except OSError as error:
                    part, text = b"", text + repr(error).encode()
                if not part and identity is None:  # closed between two requests, as it may be
                    later[:] = [entry for entry in later if entry[1] is not peer]
                    drop(peer)
                    again()
                    continue
                if not part:
                    self._fail(f"cut after {(time.monotonic() - start) * 1000:.0f} ms: {text[:120]!r}")
                    drop(peer)
                    again()
                    continue
                text += part
                head, mark, body = text.partition(b"\r\n\r\n")
                if mark:
                    lower = head.lower()
                    at = lower.find(b"content-length: ")
                    length = int(lower[at + 16:].split(b"\r\n", 1)[0]) if at >= 0 else 0
                if not mark or len(body) < length:
                    entry[3] = text
                    continue
                took = int((time.monotonic() - start) * 1e6)
                phase = counters["phase"]
                counters["served"] += 1
                counters[f"served{phase}"] += 1
                if took > counters[f"slowest{phase}"]:
                    counters[f"slowest{phase}"] = took
                if took > 50_000:
                    counters[f"over50_{phase}"] += 1
                if not head.startswith(b"HTTP/1.1 200"):
                    self._fail(f"{head[:60]!r} {body[:80]!r}")
                elif body != identity:
                    counters["mixed"] += 1
                closes = b"connection: close" in lower
                if counters["stop"] or self.limit and counters["served"] >= self.limit:
                    drop(peer)
                    continue
                if closes:
                    counters["reconnects"] += 1
                    drop(peer)
                    again()
                elif self.pause:
                    state[number][1] = None
                    later.append((time.monotonic() + self.pause, peer))
                else:
                    ask(peer)
        counters["ended"] = 1


# MARK: Collector

class Collector:
    """Counts the spans of v2 JSON posts and answers as it is told; `stop()` frees the port, `start()` takes it again."""

    def __init__(self):
        self.counters = Counters("status", "delay_ms", "posts", "spans", "refused_posts", "limit")
        self.counters["status"] = 202
        probe = socket.create_server(("127.0.0.1", 0))
        self.address = probe.getsockname()
        probe.close()
        self.child = None
        self.start()

    def start(self):
        listener = socket.create_server(self.address, backlog=64)
        self.child = Child(lambda: self._run(listener))
        listener.close()

    def stop(self):
        if self.child:
            self.child.end()
            self.child = None

    def answers(self, status, delay_ms=0, limit=0):
        """`limit`: bytes of a body above which it is 413."""
        self.counters["limit"] = limit
        self.counters["delay_ms"] = delay_ms
        self.counters["status"] = status

    def _run(self, listener):
        counters = self.counters
        while True:
            peer, _ = listener.accept()
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            text = b""
            while True:
                try:
                    part = peer.recv(1 << 20)
                except OSError:
                    break
                if not part:
                    break
                text += part
                while b"\r\n\r\n" in text:
                    head, _, body = text.partition(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                    if len(body) < length:
                        break
                    text, body = body[length:], body[:length]
                    counters["posts"] += 1
                    if counters["delay_ms"]:
                        time.sleep(counters["delay_ms"] / 1000)
                    status = counters["status"]
                    if status == 413 and length <= counters["limit"]:
                        status = 202
                    if status == 202:
                        counters["spans"] += body.count(b'"traceId"')
                    else:
                        counters["refused_posts"] += 1
                    try:
                        peer.sendall(b"HTTP/1.1 %d Said\r\nContent-Length: 0\r\n\r\n" % status)
                    except OSError:
                        break
            peer.close()
