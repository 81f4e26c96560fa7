#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mixed traffic for some minutes, with a verdict: no wrong answer, no cross-talk, nothing lost, nothing left over.

Keep-alive GETs, bodies with length and in chunks, pipelining, WebSocket tunnels and slow readers; every answer has the id of
its own request and the hash of the right body. One session in a hundred is of a caller that misbehaves, one request in a
hundred gets a faulty reply of the upstream. The collector is away for two tenths of the time: first it refuses connections
(before a quarter of the run, so that memory has its highest mark early), later it answers 503.
"""

import hashlib
import os
import random
import socket
import statistics
import time

import chaos
import lab
import load
import spans

SHARES = [("get", 34), ("post", 20), ("chunks", 15), ("pipeline", 15), ("tunnel", 10), ("slow", 5), ("misbehave", 1)]
FAULTS = [b"close", b"early", b"nothing", b"gone", b"cut", b"garbage", b"more", b"stall"]
SIZES = [0, 1, 100, 5000, 20_000, 70_000, 200_000]
LARGE = 3 << 20
#: Of the time: when the collector refuses connections, and when it answers 503.
REFUSED, UNAVAILABLE = (0.05, 0.15), (0.55, 0.65)


def pattern(identity, size):
    """A body that no other request has."""
    block = hashlib.sha256(identity).digest() * 32
    return (block * (size // len(block) + 1))[:size]


class Upstream(chaos.Upstream):
    """Besides the faults of chaos: large responses, tunnels, a reply that is late."""

    def large(self, peer, head, identity, rest):
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE + pattern(identity, LARGE))
        return rest

    def tunnel(self, peer, head, identity, rest):
        peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
                     + identity + b" " + rest)
        while part := peer.recv(65536):
            peer.sendall(part)

    def stall(self, peer, head, identity, rest):
        time.sleep(2)
        return self.echo(peer, head, identity, rest)


class Sender(chaos.Chaos):
    """One process of callers, a few threads each."""

    NAMES = ("requests", "bytes", "wrong", "mixed", "tunnels", "slow readers", "faulty callers", "faulty replies",
             "tolerated")

    def __init__(self, proxy, number, seed, threads, pause):
        super().__init__(proxy, seed)
        self.number, self.threads, self.pause = number, threads, pause
        self.counters = load.Counters("stop", *self.NAMES)
        self.errors = load.Text()
        self.child = load.Child(self._run)

    def _run(self):
        import threading
        threads = [threading.Thread(target=self._sessions, args=(thread,)) for thread in range(self.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def add(self, name, count=1):
        with self.lock:
            self.counters[name] += count

    def fail(self, name, text):
        self.add(name)
        with self.lock:
            self.errors.add(text)

    def _sessions(self, thread):
        choose = random.Random(f"{self.seed}-{self.number}-{thread}")
        kinds, weights = zip(*SHARES)
        session = 0
        while not self.counters["stop"]:
            session += 1
            kind = choose.choices(kinds, weights)[0]
            try:
                if kind == "misbehave":
                    self.add("faulty callers")
                    self.misbehave(choose, thread)
                else:
                    with self.proxy.connect(timeout=60) as peer:
                        getattr(self, kind)(Session(self, peer, choose, b"%d-%d-%d" % (self.number, thread, session)))
            except chaos.SOCKET_ERRORS as error:
                if kind != "misbehave":
                    self.fail("wrong", f"{kind} {session}: {type(error).__name__} {error}")
            time.sleep(self.pause * choose.random() * 2)

    # MARK: Sessions

    def get(self, session):
        for _ in range(session.choose.randrange(1, 30)):
            if not session.exchange(b"GET", b"echo", b""):
                return
            time.sleep(self.pause * session.choose.random())

    def post(self, session):
        for _ in range(session.choose.randrange(1, 10)):
            if not session.exchange(b"POST", b"echo", session.body()):
                return

    def chunks(self, session):
        for _ in range(session.choose.randrange(1, 10)):
            if not session.exchange(b"PUT", session.choose.choice([b"echo", b"chunks"]), session.body(), chunked=True):
                return

    def pipeline(self, session):
        for _ in range(session.choose.randrange(1, 5)):
            requests = [session.request(b"POST", b"echo", session.body(5000)) for _ in range(session.choose.randrange(2, 10))]
            session.peer.sendall(b"".join(head + body for _, head, body in requests))
            for identity, _, body in requests:
                session.expect(identity, body)

    def tunnel(self, session):
        identity, head, _ = session.request(
            b"GET", b"tunnel", b"", [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
                                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="])
        session.peer.sendall(head)
        answer, rest = chaos.read_head(session.peer)
        rest = read(session.peer, len(identity) + 1, rest)
        if not answer.startswith(b"http/1.1 101") or rest != identity + b" ":
            return self.fail("mixed" if b"-" in rest else "wrong", f"tunnel {answer[:40]!r} {rest[:40]!r}")
        for turn in range(session.choose.randrange(1, 20)):
            message = pattern(identity + b"%d" % turn, session.choose.choice(SIZES[1:5]))
            session.peer.sendall(message)
            if read(session.peer, len(message)) != message:
                return self.fail("wrong", f"tunnel {identity}")
            self.add("bytes", 2 * len(message))
            time.sleep(self.pause * session.choose.random())
        self.add("tunnels")

    def slow(self, session):
        """Some 3 MiB in some 3 s, in small pieces."""
        identity, head, _ = session.request(b"GET", b"large", b"")
        session.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        session.peer.sendall(head)
        answer, rest = chaos.read_head(session.peer)
        hashed, count = hashlib.sha256(rest), len(rest)
        while count < LARGE:
            part = chaos.must(session.peer.recv(32_768))
            hashed.update(part)
            count += len(part)
            time.sleep(0.03)
        if not answer.startswith(b"http/1.1 200") or hashed.digest() != hashlib.sha256(pattern(identity, LARGE)).digest():
            self.fail("wrong", f"slow {identity} {answer[:40]!r} {count} B")
        self.add("slow readers")
        self.add("requests")
        self.add("bytes", count)

    def end(self):
        self.counters["stop"] = 1
        self.child.wait()


class Session:
    """One connection of a caller that behaves."""

    def __init__(self, sender, peer, choose, name):
        self.sender, self.peer, self.choose, self.name = sender, peer, choose, name
        self.rest, self.turn = b"", 0

    def body(self, most=200_000):
        return pattern(self.name + b"%d" % self.turn, self.choose.choice([size for size in SIZES if size <= most]))

    def request(self, method, what, body, fields=(), chunked=False):
        self.turn += 1
        identity = self.name + b"-%d" % self.turn
        lines = [b"%b /soak/%b?x=1 HTTP/1.1" % (method, what), b"Host: soak.test", b"x-id: " + identity, b"x-do: " + what, *fields]
        if chunked:
            lines.append(b"Transfer-Encoding: chunked")
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in cut(body, 7777)) + b"0\r\n\r\n"
        elif body:
            lines.append(b"Content-Length: %d" % len(body))
        return identity, b"\r\n".join(lines) + b"\r\n\r\n", body

    def exchange(self, method, what, body, chunked=False):
        """Whether the connection goes on."""
        if self.choose.randrange(70) == 0:  # one in a hundred of all requests: not every session comes here
            return self.faulty(method, body)
        identity, head, sent = self.request(method, what, body, chunked=chunked)
        self.peer.sendall(head + sent)
        self.expect(identity, body)
        return True

    def expect(self, identity, body):
        answer, got = self.receive()
        self.sender.add("requests")
        self.sender.add("bytes", len(body) + len(got))
        if answer.startswith(b"http/1.1 200") and hashlib.sha256(got).digest() == hashlib.sha256(identity + b" " + body).digest():
            return
        other = got.split(b" ")[0]
        is_mixed = other != identity and other.count(b"-") == 3 and other.replace(b"-", b"").isdigit()
        self.sender.fail("mixed" if is_mixed else "wrong", f"{answer[:40]!r} {got[:60]!r} for {identity!r}, {len(body)} B")
        raise ValueError("this connection is of no use any more")

    def receive(self):
        while True:
            answer, self.rest = chaos.read_head(self.peer, self.rest)
            if not answer.startswith(b"http/1.1 103"):
                break
        if b"content-length:" not in answer and b"transfer-encoding:" not in answer:
            while part := self.peer.recv(65536):
                self.rest += part
            return answer, self.rest
        got, self.rest = chaos.read_body(self.peer, answer, self.rest)
        return answer, got

    def faulty(self, method, body):
        """The upstream fails this one: an error, a cut or its odd reply are right, an answer to somebody else is not."""
        identity, head, sent = self.request(method, self.choose.choice(FAULTS), body)
        self.sender.add("faulty replies")
        got = b""
        try:
            self.peer.sendall(head + sent)
            answer, got = self.receive()
            goes_on = b"connection: close" not in answer and b"http/1.1 200" in answer and not self.rest
        except chaos.SOCKET_ERRORS:
            goes_on = False
        other = got.split(b" ")[0]
        if other.count(b"-") == 3 and other != identity:
            self.sender.fail("mixed", f"{other!r} for {identity!r}")
        self.sender.add("tolerated")
        return goes_on


def cut(body, size):
    return [body[start:start + size] for start in range(0, len(body), size)]


def read(peer, count, got=b""):
    while len(got) < count:
        got += chaos.must(peer.recv(65536))
    return got


def start_upstream():
    """In a process of its own; answers the child and the address."""
    reading, writing = os.pipe()

    def work():
        os.write(writing, b"%d\n" % Upstream().address[1])
        while True:
            time.sleep(60)

    child = load.Child(work)
    port = int(os.read(reading, 20))
    os.close(reading)
    os.close(writing)
    return child, ("127.0.0.1", port)


class Watch:
    """The proxy's figures once a second."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.begin = time.monotonic()
        self.memory = []  # (seconds, KiB)
        self.heap = []  # the part of it that is no file's
        self.scrapes = self.unbalanced = 0

    def look(self):
        seconds = time.monotonic() - self.begin
        self.memory.append((seconds, self.proxy.memory_kib()))
        self.heap.append((seconds, self.proxy.memory_kib("RssAnon")))
        self.scrapes += 1
        self.unbalanced += not spans.Figures(self.proxy.metrics()).balances

    @staticmethod
    def minima(series, start=0):
        """(seconds, KiB): the least of each half minute."""
        buckets = {}
        for seconds, kib in series:
            if seconds >= start:
                buckets.setdefault(int(seconds // 30), []).append(kib)
        return [(number * 30, min(kib)) for number, kib in sorted(buckets.items())]

    def floor_slope(self, series, start):
        """MiB an hour from the least of the first third after `start` to the least of the last: what leaks raises the floor,
        a queue or a spare buffer that comes and goes does not."""
        points = self.minima(series, start)
        third = max(1, len(points) // 3)
        first, last = (min(part, key=lambda point: point[1]) for part in (points[:third], points[-third:]))
        return (last[1] - first[1]) / 1024 * 3600 / ((len(points) - third) * 30 or 30)

    def median_slope(self, series, start):
        """MiB an hour: the median of the slopes between all half-minute minima. A plateau of some minutes moves it."""
        points = self.minima(series, start)
        slopes = [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1:]]
        return statistics.median(slopes) * 3600 / 1024 if slopes else 0.0

    @property
    def stopped_seconds(self):
        """Time in which nobody looked: this machine or this script stood still, and a timeout then says nothing."""
        looks = [seconds for seconds, _ in self.memory]
        return sum(b - a for a, b in zip(looks, looks[1:]) if b - a > 5)

    def rise(self, start):
        """MiB from the first quarter of the time after `start` to its last, by their medians."""
        later = [kib for seconds, kib in self.memory if seconds >= start]
        quarter = max(1, len(later) // 4)
        return (statistics.median(later[-quarter:]) - statistics.median(later[:quarter])) / 1024


def collector_state(share):
    for name, (start, end) in (("refused", REFUSED), ("unavailable", UNAVAILABLE)):
        if start <= share < end:
            return name
    return "up"


def soak(options, proxy, collector, senders, watch):
    seconds = options.minutes * 60
    state, away = "up", 0.0
    last = watch.begin
    while (now := time.monotonic()) - watch.begin < seconds and proxy.process.poll() is None:
        wanted = collector_state((now - watch.begin) / seconds)
        away += (now - last) * (state != "up")
        last = now
        if wanted != state:
            if state == "refused":
                collector.start()
            if wanted == "refused":
                collector.stop()
            collector.answers(503 if wanted == "unavailable" else 202)
            state = wanted
        watch.look()
        time.sleep(1)
    for sender in senders:
        sender.counters["stop"] = 1
    for sender in senders:
        sender.end()
    return away


def settled(proxy, descriptors, seconds=40):
    """What is left once everybody has gone and the spans have had time."""
    deadline = time.monotonic() + seconds
    while True:
        samples = proxy.metrics()
        left = {name: int(lab.metric(samples, name))
                for name in ("downstream_connections", "upstream_connections", "buffers", "spans_queued")}
        left["descriptors"] = len(os.listdir(f"/proc/{proxy.pid}/fd")) - descriptors
        rest = sum(left[name] for name in left if name != "descriptors")
        if rest == 0 and abs(left["descriptors"]) <= 2 or time.monotonic() > deadline:
            return left, samples
        time.sleep(0.25)


def main():
    parser = lab.arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--senders", type=int, default=2, help="processes of callers (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=12, help="of each of them (default: %(default)s)")
    parser.add_argument("--pause", type=float, default=0.01, help="seconds between requests, mean (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    upstream, address = start_upstream()
    collector = load.Collector()
    host, port = collector.address
    table = lab.Table(("what", 34), ("measured", 0))
    with lab.Proxy(
            options.binary, address, workers=options.workers,
            upstream_options=["timeouts: { connect: 10s, response: 30s }"],
            exporters=[f'zipkin: {{ endpoint: "http://{host}:{port}/api/v2/spans", encoding: v2-json }}']) as proxy:
        descriptors = len(os.listdir(f"/proc/{proxy.pid}/fd"))
        senders = [Sender(proxy, number + 1, options.seed, options.threads, options.pause)
                   for number in range(options.senders)]
        watch = Watch(proxy)
        try:
            away = soak(options, proxy, collector, senders, watch)
            judge(options, proxy, collector, senders, watch, away, descriptors, table)
        finally:
            for child in [upstream, *(sender.child for sender in senders)]:
                child.end()
            collector.stop()
    table.end()


def judge(options, proxy, collector, senders, watch, away, descriptors, table):
    alive = proxy.process.poll() is None
    table.row(alive, "the proxy runs on", "" if alive else proxy.log[-2000:])
    total = {name: sum(sender.counters[name] for sender in senders) for name in Sender.NAMES}
    seconds = options.minutes * 60
    table.row(total["requests"] > 0, "requests",
              f"{total['requests']} ({total['requests'] / seconds:.0f}/s), {total['bytes'] >> 20} MiB of bodies")
    table.row(total["tunnels"] > 0, "tunnels, slow readers", f"{total['tunnels']}, {total['slow readers']}")
    table.row(total["faulty replies"] == total["tolerated"], "faulty callers, faulty replies",
              f"{total['faulty callers']}, {total['faulty replies']}")
    errors = "; ".join(sender.errors.text for sender in senders if sender.errors.text)
    table.row(total["wrong"] == 0, "wrong answers", f"{total['wrong']} {errors}")
    table.row(total["mixed"] == 0, "cross-talk", total["mixed"])
    table.row(not watch.unbalanced, "scrapes with spans unbalanced", f"{watch.unbalanced} of {watch.scrapes}")
    if watch.stopped_seconds:
        print(f"nothing ran for {watch.stopped_seconds:.0f} s: this run says little, take another")
    if not alive:
        return
    left, samples = settled(proxy, descriptors)
    table.row(abs(left["descriptors"]) <= 2, "descriptors", f"{left['descriptors']:+d} to the {descriptors} at the start")
    table.row(not any(left[name] for name in left if name != "descriptors"), "left over", left)
    figures = spans.Figures(samples)
    lost = {reason: int(count) for reason, count in figures.dropped.items() if count}
    table.row(figures.balances and figures.queued == 0 and set(lost) <= {"queue_full"}, "spans",
              f"started {figures.started:.0f} = exported {figures.exported:.0f} + dropped {sum(lost.values())} {lost or ''}; "
              f"collector away for {away:.0f} s, it counted {collector.counters['spans']}")
    warm = min(120, seconds / 4)
    if options.minutes >= 5:
        print("KiB resident, least of each half minute:", *(kib for _, kib in watch.minima(watch.memory)))
        print("of these not of a file:", *(kib for _, kib in watch.minima(watch.heap)))
        slope = watch.floor_slope(watch.memory, warm)
        table.row(slope < 1, "resident memory after minute 2",
                  f"{slope:+.2f} MiB/h of its floor, without pages of files {watch.floor_slope(watch.heap, warm):+.2f}; "
                  f"median of all slopes {watch.median_slope(watch.memory, warm):+.2f}; "
                  f"highest {max(kib for _, kib in watch.memory) / 1024:.1f} MiB")
    else:
        rise = watch.rise(warm)
        table.row(rise < 8, "resident memory", f"{rise:+.2f} MiB; a slope needs 5 minutes")
    status, took = proxy.stop()
    table.row(status == 0 and took < (5 if options.minutes >= 5 else 25), "stops", f"exit {status} in {took:.2f} s")


if __name__ == "__main__":
    main()
