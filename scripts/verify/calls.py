#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many gRPC calls of all kinds at random through the proxy: every answer belongs to its call, and nothing is left over.

Some are cancelled in mid-stream, some end by their deadline or fail as asked, some connections are dropped with their calls,
and the server sends its connections away twice a second. Needs grpcio (scripts/setup python).
"""

import asyncio
import collections
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import time

import grpc
import grpc.aio

import lab

INTEROP = lab.REPOSITORY / "Tests/IntegrationTests/Cases/grpc_interop.py"
SERVICE = "/propagating.proxy.Interop/"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


GAUGES = ("downstream_connections", "downstream_http2_connections", "buffers")


class Tally:
    def __init__(self):
        self.kinds, self.wrong = collections.Counter(), collections.Counter()
        self.examples = []

    def judge(self, kind, right, found):
        self.kinds[kind] += 1
        if not right:
            self.wrong[kind] += 1
            self.examples.append(f"{kind}: {found!r}"[:300])


def piece(most=100_000):
    """Of a size that is small as often as large, and like no other."""
    return os.urandom(random.choice((0, random.randrange(64), random.randrange(most))))


class Caller:
    """One connection after the other, on each some calls at a time."""

    def __init__(self, port, tally):
        self.port, self.tally = port, tally
        self.reopen()

    def reopen(self):
        self.channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{self.port}", [*UNLIMITED, ("grpc.use_local_subchannel_pool", 1)])

    async def unary(self):
        request = piece()
        answer = await self.channel.unary_unary(SERVICE + "Echo")(request, timeout=30)
        self.tally.judge("unary", answer == request, len(answer))

    async def talk(self):
        call = self.channel.stream_stream(SERVICE + "Talk")(timeout=30)
        for _ in range(random.randrange(1, 15)):
            message = piece(20_000)
            await call.write(message)
            answer = await call.read()
            if answer != message:
                return self.tally.judge("talk", False, answer if answer is grpc.aio.EOF else len(answer))
        await call.done_writing()
        ended = await call.read()
        self.tally.judge("talk", ended is grpc.aio.EOF and (await call.code()).value[0] == 0, await call.code())

    async def spread(self):
        sizes = [random.randrange(60_000) for _ in range(random.randrange(12))]
        call = self.channel.unary_stream(SERVICE + "Spread")(json.dumps(sizes).encode(), timeout=30)
        found = [len(message) async for message in call]
        self.tally.judge("spread", found == sizes, found)

    async def collect(self):
        messages = [piece(30_000) for _ in range(random.randrange(12))]

        async def sent():
            for message in messages:
                yield message

        answer = await self.channel.stream_unary(SERVICE + "Collect")(sent(), timeout=30)
        wanted = f"{len(messages)} messages, {sum(map(len, messages))} bytes".encode()
        self.tally.judge("collect", answer == wanted, answer)

    async def fail(self):
        code, details = random.randrange(1, 17), f"number {random.random()} ☃"
        request = json.dumps({"code": code, "details": details}).encode()
        try:
            await self.channel.unary_unary(SERVICE + "Fail")(request, timeout=30)
            self.tally.judge("fail", False, "no failure")
        except grpc.aio.AioRpcError as error:
            self.tally.judge("fail", (error.code().value[0], error.details()) == (code, details), error)

    async def cancel(self):
        call = self.channel.stream_stream(SERVICE + "Talk")(timeout=30)
        message = piece()
        await call.write(message)
        if random.random() < 0.7:
            answer = await call.read()
            if answer != message:
                return self.tally.judge("cancel", False, answer)
        call.cancel()
        self.tally.judge("cancel", await call.code() == grpc.StatusCode.CANCELLED, await call.code())

    async def deadline(self):
        try:
            await self.channel.unary_unary(SERVICE + "Sleep")(b"", timeout=0.05)
            self.tally.judge("deadline", False, "an answer")
        except grpc.aio.AioRpcError as error:
            # A grpcio server that is sending the connection away at that moment closes it without a word, directly as well.
            expected = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
            self.tally.judge("deadline", error.code() in expected, error)

    async def drop(self):
        """Two calls in the middle of their messages, and the connection is gone."""
        calls = [self.channel.stream_stream(SERVICE + "Talk")(timeout=30) for _ in range(2)]
        for call in calls:
            await call.write(piece())
        old = self.channel
        self.reopen()
        await old.close()
        self.tally.judge("drop", True, None)

    async def run(self, until, pause):
        kinds = [self.unary, self.talk, self.spread, self.collect, self.fail, self.cancel, self.deadline]
        while time.monotonic() < until:
            chosen = random.choices(kinds, (30, 20, 15, 15, 10, 4, 2), k=random.randrange(1, 5))
            results = await asyncio.gather(*(kind() for kind in chosen), return_exceptions=True)
            for kind, result in zip(chosen, results):
                if isinstance(result, BaseException):
                    self.tally.judge(kind.__name__, False, result)
            if random.random() < 0.02:
                await self.drop()
            await asyncio.sleep(pause * random.random())
        await self.channel.close()


async def call_all(options, port, tally):
    until = time.monotonic() + options.seconds
    await asyncio.gather(*(Caller(port, tally).run(until, options.pause) for _ in range(options.connections)))


def open_sockets(port):
    """Connections to that port of loopback that are still established on the caller's side."""
    remote = f"0100007F:{port:04X}"
    lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()]
    return sum(fields[2] == remote and fields[3] == "01" for fields in lines)


def settled(proxy):
    """The metrics once nobody is connected any more, or after ten seconds; gauges are published each second."""
    for _ in range(20):
        time.sleep(0.5)
        samples = proxy.metrics()
        if not any(lab.metric(samples, gauge) for gauge in GAUGES):
            break
    return samples


def main():
    parser = lab.arguments(__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    # A caller that resets more than ten streams a second is taken for an attacker.
    parser.add_argument("--pause", type=float, default=0.2, help="seconds at most between a connection's calls")
    parser.add_argument("--age", type=int, default=500, help="milliseconds after which the server sends a connection away")
    options = parser.parse_args()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        server_port = held.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-u", "-B", str(INTEROP), "--serve", str(server_port), "--age", str(options.age)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    tally = Tally()
    table = lab.Table(("what", 30), ("figure", 60))
    try:
        server.stdout.readline()
        with lab.Proxy(options.binary, ("127.0.0.1", server_port), workers=options.workers,
                       upstream_options=["protocol: http2"]) as proxy:
            asyncio.run(call_all(options, proxy.address[1], tally))
            peak = proxy.memory_kib("VmHWM")
            samples = settled(proxy)
            still_ours = open_sockets(proxy.address[1])
            log = [line for line in proxy.log.splitlines() if "INFO" not in line and "root" not in line]
    finally:
        server.kill()
        server.wait()
    for kind in sorted(tally.kinds | tally.wrong):
        table.row(not tally.wrong[kind], kind, f"{tally.kinds[kind]}, {tally.wrong[kind]} wrong")
    for example in tally.examples[:10]:
        print(f"    {example}")
    for gauge in GAUGES:
        left = lab.metric(samples, gauge)
        table.row(left <= still_ours, f"{gauge} left", f"{left:.0f}; callers still hold {still_ours}")
    limits = {name: value for name, value in samples.items() if "http2_limits_total" in name and value}
    table.row(not limits, "limits met", limits or "none")
    table.row(True, "peak memory, KiB", peak)
    table.row(not log, "warnings", f"{len(log)} {log[:2]}"[:200])
    table.end()


if __name__ == "__main__":
    main()
