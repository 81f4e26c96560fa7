#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the proxy costs: time to accept, memory of an idle connection, system calls a request.

System calls are counted by `strace -f -c` while `wrk` (or the callers of this folder) keep 64 connections busy, those of
the reporter's and the control thread included; without strace that row is left out.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import lab
import load

REQUEST = b"GET /idle HTTP/1.1\r\nHost: idle.test\r\nx-id: 1\r\n\r\n"


def start_time(options, address, table):
    times = []
    for _ in range(options.starts):
        with lab.Proxy(options.binary, address) as proxy:
            times.append(proxy.start_seconds * 1000)
            proxy.stop()
    times.sort()
    table.row(times[-1] < 50, "start to accepting, median and slowest", f"{times[len(times) // 2]:.1f} ms, {times[-1]:.1f} ms")


def idle_memory(options, address, table):
    """Connections that have served one request each and now wait for the next."""
    limit = lab.raise_descriptor_limit()
    # The proxy keeps half of its descriptors for upstream connections.
    count = min(options.idle, limit - 200, (limit - 64) // 2 - 32)
    with lab.Proxy(options.binary, address, listener=["timeouts: { keep_alive: 300s }"]) as proxy:
        peers = []
        for _ in range(200):  # first uses of everything
            peers.append(ask(proxy))
        for peer in peers:
            peer.close()
        peers.clear()
        time.sleep(4)  # the pool's idle connections end
        before = proxy.memory_kib()
        for _ in range(count):
            peers.append(ask(proxy))
        time.sleep(4)
        rise = proxy.memory_kib() - before
        open_now = lab.metric(proxy.metrics(), "downstream_connections")
        buffers = lab.metric(proxy.metrics(), "buffers")
        table.row(
            rise / count <= 2 and open_now == count, f"{count} idle connections, resident",
            f"{rise / count:.2f} KiB each, {rise} KiB in all; {buffers:.0f} buffers in use")
        served = 0
        for peer in peers:
            peer.sendall(REQUEST)
            served += b" 200 " in peer.recv(4096)
        table.row(served == count, "of which served again", f"{served}")
        for peer in peers:
            peer.close()
        deadline = time.monotonic() + 10
        samples = proxy.metrics()
        while any(lab.metric(samples, name) for name in ("downstream_connections", "buffers")) and time.monotonic() < deadline:
            time.sleep(0.2)  # gauges are published once a second
            samples = proxy.metrics()
        table.row(
            lab.metric(samples, "downstream_connections") == 0 and lab.metric(samples, "buffers") == 0,
            "left of them after they close",
            f"{lab.metric(samples, 'downstream_connections'):.0f} connections, "
            f"{lab.metric(samples, 'buffers'):.0f} buffers, {len(os.listdir(f'/proc/{proxy.pid}/fd'))} descriptors")


def ask(proxy):
    peer = proxy.connect()
    peer.sendall(REQUEST)
    if b" 200 " not in peer.recv(4096):
        raise RuntimeError("no answer")
    return peer


def system_calls(options, address, table):
    if not shutil.which("strace"):
        print("system calls: skipped, no strace")
        return
    collector = load.Collector()
    host, port = collector.address
    exporter = f'zipkin: {{ endpoint: "http://{host}:{port}/api/v2/spans", encoding: v2-json }}'
    with lab.Proxy(options.binary, address, exporters=[exporter]) as proxy, tempfile.NamedTemporaryFile("r") as out:
        with Load(proxy, options.seconds + 2):
            time.sleep(1)
            tracer = subprocess.Popen(["strace", "-f", "-c", "-o", out.name, "-p", str(proxy.pid)],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # Both looks at the counter fall into the traced time: untraced, the proxy is ten times as fast.
            while tracer.poll() is None and not is_traced(proxy.pid):
                time.sleep(0.001)
            before = lab.metric(proxy.metrics(), "requests_total")
            time.sleep(options.seconds)
            served = lab.metric(proxy.metrics(), "requests_total") - before
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
        calls = {}
        for line in out.read().splitlines():
            found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
            if found and found[2] != "total":
                calls[found[2]] = int(found[1])
        total = sum(calls.values())
        most = sorted(calls.items(), key=lambda item: -item[1])[:5]
        table.row(
            total / max(served, 1) <= 4.1, "system calls a request, 64 connections",
            f"{total / max(served, 1):.3f} over {served:.0f} requests: "
            + ", ".join(f"{name} {count / max(served, 1):.3f}" for name, count in most))
    collector.stop()


def is_traced(pid):
    """All threads of it."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as status:
            if "TracerPid:\t0\n" in status.read():
                return False
    return True


class Load:
    """64 busy connections: wrk when there is one, else the callers of this folder."""

    def __init__(self, proxy, seconds):
        self.proxy, self.seconds = proxy, seconds

    def __enter__(self):
        if shutil.which("wrk"):
            self.wrk = subprocess.Popen(
                ["wrk", "-t1", "-c64", f"-d{self.seconds:.0f}", "-H", "x-id: wrk",
                 f"http://{self.proxy.address[0]}:{self.proxy.address[1]}/load"], stdout=subprocess.DEVNULL)
        else:
            self.callers, self.wrk = load.Callers(self.proxy.address, 64), None

    def __exit__(self, *_):
        if self.wrk:
            self.wrk.wait()
        else:
            self.callers.stop()


def main():
    parser = lab.arguments(__doc__)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=8, help="of system calls counted (default: %(default)s)")
    options = parser.parse_args()
    upstreams, address = load.start_upstream()
    table = lab.Table(("what", 40), ("measured", 0))
    try:
        start_time(options, address, table)
        system_calls(options, address, table)
        idle_memory(options, address, table)
        table.end()
    finally:
        for upstream in upstreams:
            upstream.end()


if __name__ == "__main__":
    main()
