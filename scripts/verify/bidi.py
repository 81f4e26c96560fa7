#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A bidirectional gRPC stream that stays open: what the proxy adds to each message, its memory, and the span at the end.

Two streams to one server, directly and through the proxy, carry a message each at the same moment, by default one a second
for 60 s; each is answered at once. Needs grpcio (scripts/setup python). On a machine that has other work to do, start it
with `chrt -r 5`: else the slowest message is the scheduler's.
"""

import asyncio
import pathlib
import socket
import subprocess
import sys
import time

import grpc
import grpc.aio

import lab

sys.path.insert(0, str(lab.REPOSITORY / "examples/common"))
from collector import Collector

INTEROP = lab.REPOSITORY / "Tests/IntegrationTests/Cases/grpc_interop.py"
METHOD = "propagating.proxy.Interop/Talk"
SENT, RECEIVED = "rpc.request.messages", "rpc.response.messages"
"""The tags with the number of messages."""


class Stream:
    """One open call; each `exchange` tells how long a message and its answer took, in milliseconds."""

    def __init__(self, port):
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])

    async def open(self):
        self.call = self.channel.stream_stream(f"/{METHOD}")()
        # The connection is made now, not within the first message's time; the call begins with its first message.
        await self.channel.channel_ready()

    async def exchange(self, message):
        begin = time.perf_counter()
        await self.call.write(message)
        answer = await self.call.read()
        took = 1000 * (time.perf_counter() - begin)
        return took if answer == message else None

    async def close(self):
        await self.call.done_writing()
        ended = await self.call.read() is grpc.aio.EOF
        code = await self.call.code()
        await self.channel.close()
        return ended and code == grpc.StatusCode.OK


async def measure(options, server_port, proxy):
    """Milliseconds per message of both streams, the proxy's memory after each, how the streams ended, and at least and at
    most how long they were open."""
    direct, proxied = Stream(server_port), Stream(proxy.address[1])
    await asyncio.gather(direct.open(), proxied.open())
    times, memory, begin = [], [], time.monotonic()
    first_answered = None
    for number in range(options.messages):
        due = begin + number * options.period
        await asyncio.sleep(max(0, due - time.monotonic()))
        message = f"message {number}".encode()
        # One after the other, so that neither waits for this process to serve the other; each goes first in turn.
        first, second = (direct, proxied) if number % 2 else (proxied, direct)
        pair = [await first.exchange(message), await second.exchange(message)]
        times.append(pair if number % 2 else pair[::-1])
        first_answered = first_answered or time.monotonic()
        memory.append(proxy.memory_kib())
    await asyncio.sleep(max(0, begin + options.messages * options.period - time.monotonic()))
    # The proxied stream is open for at least so long, whatever stands still meanwhile.
    least = time.monotonic() - first_answered
    ends = [await direct.close(), await proxied.close()]
    return times, memory, ends, (least, time.monotonic() - begin)


def spans_of(collector):
    """The SERVER and the CLIENT span of the stream, once they are there."""
    traces = collector.wait(1, 2, timeout=40)
    return {span.kind: span for trace in traces for span in trace.spans}


def main():
    parser = lab.arguments(__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=60)
    parser.add_argument("--period", type=float, default=1, help="seconds from message to message")
    parser.add_argument("--most-added", type=float, default=5, help="milliseconds a message may take longer")
    parser.add_argument("--most-middle", type=float, default=5, help="milliseconds the median message may take longer")
    parser.add_argument("--most-grown", type=int, default=256, help="KiB of resident memory")
    parser.add_argument("--most-off", type=float, default=0.25, help="seconds a span's duration may differ")
    options = parser.parse_args()
    # Kept bound and not listening: nobody else is given the port before the server takes it.
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    server_port = held.getsockname()[1]
    command = [sys.executable, "-u", "-B", str(INTEROP), "--serve", str(server_port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    collector = Collector()
    exporter = f'zipkin: {{ endpoint: "http://127.0.0.1:{collector.port}/api/v2/spans", flush_interval: 200ms }}'
    try:
        server.stdout.readline()
        with lab.Proxy(options.binary, ("127.0.0.1", server_port), exporters=[exporter],
                       upstream_options=["protocol: http2", "timeouts: { connect: 60s }"]) as proxy:
            times, memory, ends, length = asyncio.run(measure(options, server_port, proxy))
            spans = spans_of(collector)
    finally:
        server.kill()
        server.wait()
        collector.stop()
        held.close()
    report(options, times, memory, ends, length, spans)


def report(options, times, memory, ends, length, spans):
    table = lab.Table(("what", 40), ("figure", 44))
    whole = all(None not in pair for pair in times)
    table.row(whole and all(ends), "messages answered, streams ended well", f"{len(times)}, {ends}")
    # The first message also makes the connection to the upstream.
    added = sorted(proxied - direct for direct, proxied in times[1:]) if whole else [float("inf")]
    middle = added[len(added) // 2]
    first = times[0][1] - times[0][0] if whole else 0
    table.row(added[-1] < options.most_added and middle < options.most_middle, "added per message, ms",
              f"median {middle:.2f}, most {added[-1]:.2f} (the first {first:.2f})")
    # What the machine itself does to a message: a figure to judge the one before by.
    took = [sorted(pair[way] for pair in times[1:]) if whole else [0] for way in (0, 1)]
    table.row(True, "a message, ms: direct, proxied", "; ".join(f"{t[len(t) // 2]:.2f} to {t[-1]:.2f}" for t in took))
    settled = memory[len(memory) // 10 :]
    table.row(max(settled) - settled[0] <= options.most_grown, "resident memory, KiB", f"{settled[0]} to {max(settled)}")
    for kind in ("SERVER", "CLIENT"):
        span = spans.get(kind)
        if span is None:
            table.row(False, f"{kind} span", "none")
            continue
        counts = [span.tags.get(SENT), span.tags.get(RECEIVED)]
        wanted = [str(options.messages)] * 2
        table.row(counts == wanted, f"{kind} span, messages", f"{'/'.join(map(str, counts))}")
        seconds = span.duration / 1e6
        least, most = length
        table.row(least - 0.01 < seconds < most + options.most_off, f"{kind} span, seconds",
                  f"{seconds:.3f}, {least:.3f} to {most:.3f}")
        table.row(span.name.lower() == METHOD.lower(), f"{kind} span, name", span.name)
    table.end()


if __name__ == "__main__":
    main()
