#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten thousand callers whose heads drip in, beside healthy ones: what they cost in memory and what they do to latency.

Rounds without and with the slow callers take turns, so that a busy machine slows both. A slow caller sends a byte of a
head every few seconds, is cut off after `request_head` (10 s) with 408, and comes back. Latency is that of `wrk` with
pauses between its requests (`--saturate`: without), each round's 99th percentile; compared are the medians of rounds.
Where it may, it runs the proxy, its upstream and `wrk` before all other programs (SCHED_FIFO), and the slow callers behind
them (nice 10): what else the machine does must not be taken for what the slow callers do.
"""

import errno
import os
import re
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import lab
import load

HEAD = b"GET /slow HTTP/1.1\r\nHost: slow.test\r\nX-Slow: " + b"s" * 4000
SLOTS = 200
PACED = """
function delay() return math.random(5, 15) end
function done(summary, latency, requests)
  io.write(string.format("result %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50.0),
    latency:percentile(99.0), summary.errors.status + summary.errors.read + summary.errors.timeout))
end
"""


class Slow:
    """So many slow callers in a process of their own, spread over addresses of 127.0.1.0/24."""

    def __init__(self, address, count, interval, ramp):
        self.address, self.count, self.interval, self.ramp = address, count, interval, ramp
        self.counters = load.Counters("open", "connected", "answered", "cut", "failed", "stop")
        self.child = load.Child(self._run)

    def stop(self):
        self.counters["stop"] = 1
        self.child.wait()

    def _connect(self, number):
        peer = socket.socket()
        peer.setblocking(False)
        peer.bind((f"127.0.1.{1 + number % 100}", 0))
        try:
            peer.connect(self.address)
        except BlockingIOError:
            pass
        except OSError:
            self.counters["failed"] += 1
            peer.close()
            return None
        return peer

    def _run(self):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.nice(10)
        lab.raise_descriptor_limit()
        counters, poll = self.counters, select.epoll()
        peers = {}  # number: [peer, bytes sent, slot]
        slots = [set() for _ in range(SLOTS)]  # numbers by the moment within the interval at which they send
        connected, credit, slot = 0, 0.0, 0
        start = last = time.monotonic()
        while not counters["stop"]:
            now = time.monotonic()
            # As many at a time as the ramp allows; those that were cut off come back likewise.
            credit = min(credit + (now - last) * self.ramp, self.ramp / 10)
            last = now
            while len(peers) < self.count and credit >= 1:
                credit -= 1
                connected += 1
                peer = self._connect(connected)
                if peer is None:
                    continue
                number, own = peer.fileno(), connected * 61 % SLOTS
                peers[number] = [peer, 0, own]
                slots[own].add(number)
                poll.register(number, select.EPOLLIN | select.EPOLLRDHUP)
            counters["connected"] = connected
            due = int((now - start) / self.interval * SLOTS)
            while slot < due:
                for number in slots[slot % SLOTS]:
                    entry = peers[number]
                    try:
                        entry[1] += entry[0].send(HEAD[entry[1]:entry[1] + 1])
                    except OSError as error:  # what ended it is for epoll to tell
                        if error.errno not in (errno.EAGAIN, errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                            counters["failed"] += 1
                slot += 1
            for number, _ in poll.poll(0.02):
                entry = peers[number]
                try:
                    part = entry[0].recv(4096)
                except BlockingIOError:
                    continue
                except OSError:
                    part = b""
                counters["answered" if part.startswith(b"HTTP/1.1 408") else "cut"] += 1
                poll.unregister(number)
                slots[entry[2]].discard(number)
                peers.pop(number)[0].close()
            counters["open"] = len(peers)
        for peer, _, _ in peers.values():
            peer.close()


def healthy(proxy, options):
    """One round of healthy traffic: requests a second, median and 99th percentile in microseconds, errors."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        text = PACED.replace("function delay() return math.random(5, 15) end", "") if options.saturate else PACED
        script.write(text)
        script.flush()
        out = subprocess.run(
            ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds:.0f}", "-s", script.name, "-H", "x-id: wrk",
             f"http://{proxy.address[0]}:{proxy.address[1]}/healthy"], capture_output=True, text=True, check=True).stdout
    requests, microseconds, median, p99, errors = map(int, re.search(r"result (.*)", out)[1].split())
    return requests / microseconds * 1e6, median, p99, errors


def wait_until(holds, seconds):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def main():
    parser = lab.arguments(__doc__)
    parser.add_argument("--slow", type=int, default=10_000)
    parser.add_argument("--interval", type=float, default=4, help="seconds between two bytes (default: %(default)s)")
    parser.add_argument("--ramp", type=float, default=2000, help="new slow connections a second (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=12, help="of one round (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=32, help="of healthy callers (default: %(default)s)")
    parser.add_argument("--saturate", action="store_true", help="healthy callers without pauses")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed")
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        print("no right to SCHED_FIFO: other programs disturb the figures")
    limit = lab.raise_descriptor_limit()
    count = min(options.slow, limit - 200, (limit - 64) // 2 - options.connections - 32)
    upstreams, address = load.start_upstream()
    table = lab.Table(("what", 44), ("measured", 0))
    quiet, busy, memory, open_counts = [], [], [], []
    try:
        with lab.Proxy(options.binary, address) as proxy:
            healthy(proxy, options)  # first uses of everything
            before = proxy.memory_kib()
            for number in range(options.rounds):
                quiet.append(healthy(proxy, options))
                slow = Slow(proxy.address, count, options.interval, options.ramp)
                is_full = wait_until(lambda: lab.metric(proxy.metrics(), "downstream_connections") >= count * 0.95, 60)
                cpu = proxy.cpu_seconds()
                start = time.monotonic()
                busy.append(healthy(proxy, options))
                share = (proxy.cpu_seconds() - cpu) / (time.monotonic() - start)
                samples = proxy.metrics()
                memory.append(proxy.memory_kib())
                open_counts.append(lab.metric(samples, "downstream_connections"))
                slow.stop()
                counters = slow.counters
                print(f"round {number + 1}: p99 {quiet[-1][2] / 1000:.2f} ms without, {busy[-1][2] / 1000:.2f} ms with "
                      f"{open_counts[-1]:.0f} open ({'' if is_full else 'not '}full), {counters['answered']} got 408, "
                      f"{counters['failed']} failed; {busy[-1][0]:.0f} requests a second, processor {share:.0%}, "
                      f"RSS {memory[-1] / 1024:.0f} MiB", flush=True)
                wait_until(lambda: lab.metric(proxy.metrics(), "downstream_connections") <= options.connections, 30)
            quiet.append(healthy(proxy, options))
            end = proxy.metrics()
            table.row(max(memory) < 200_000, f"resident with {min(open_counts):.0f}-{max(open_counts):.0f} connections open",
                      f"{max(memory) / 1024:.0f} MiB at most, {before / 1024:.0f} MiB before")
            without, beside = (statistics.median(row[2] for row in rows) for rows in (quiet, busy))
            table.row(beside <= without * 1.2, "99th percentile of healthy requests, medians",
                      f"{without / 1000:.2f} ms without, {beside / 1000:.2f} ms with: {beside / without - 1:+.0%}")
            without, beside = (statistics.median(row[1] for row in rows) for rows in (quiet, busy))
            table.row(True, "median of healthy requests, medians",
                      f"{without / 1000:.2f} ms without, {beside / 1000:.2f} ms with: {beside / without - 1:+.0%}")
            table.row(sum(row[3] for row in quiet + busy) == 0, "healthy requests that failed",
                      f"{sum(row[3] for row in quiet + busy)} of {sum(row[0] for row in quiet + busy) * options.seconds:.0f}")
            table.row(lab.metric(end, "local_replies_total", reason="request_timeout") > 0, "slow heads answered with 408",
                      f"{lab.metric(end, 'local_replies_total', reason='request_timeout'):.0f}")
            table.row(lab.metric(end, "buffers") <= 4 * options.connections, "buffers in use at the end",
                      f"{lab.metric(end, 'buffers'):.0f}")
            table.row(count >= options.slow * 0.99, "slow callers",
                      f"{count} of {options.slow} wanted; the limit of open files is {limit}")
            table.end()
    finally:
        for upstream in upstreams:
            upstream.end()


if __name__ == "__main__":
    main()
