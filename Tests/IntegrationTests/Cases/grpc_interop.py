#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gRPC calls of every kind, each made to a server directly and through a proxy: what both ends see must be the same.

  grpc_interop.py --upstream-port PORT --proxy HOST:PORT|@FILE [--case NAME …] [--may-add PREFIX,…] [--json FILE] [-v]
                  [--server-tls DIR] [--proxy-tls DIR]
  grpc_interop.py --list

The proxy must send every call to 127.0.0.1:PORT; a case's server listens there while the case runs. Port 0 takes a free
one and prints it; --proxy @FILE waits until FILE names the proxy's address. Callers and servers are grpcio's.
With --server-tls the servers speak TLS, and so does a direct caller; with --proxy-tls whoever calls the proxy. DIR is what
scripts/make-test-certs makes.
Exit status 0 when all cases were equal, 1 otherwise, 64 without grpcio.
"""

import argparse
import asyncio
import collections
import contextlib
import faulthandler
import hashlib
import itertools
import json
import pathlib
import signal
import socket
import sys
import time

try:
    import grpc
    import grpc.aio
except ImportError as missing:
    print(f"grpcio is not installed: {missing}")
    sys.exit(64)

SERVICE = "propagating.proxy.Interop"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
ADDED = ("x-b3-", "b3", "traceparent", "tracestate", "x-request-id", "x-forwarded-", "forwarded", "x-case-id")
"""What a proxy may add to a request's metadata; --may-add names more, for both directions."""
MAY_ADD = []
CASE_SECONDS = 120
SOON_SECONDS = 40
"""For what is instant, on a machine where any thread may stand still for a while; what must not be waited for takes a case's."""


class SECURE:
    """Folders of certificates where TLS is spoken."""

    server = None
    proxy = None
    proxy_address = None



# MARK: What was seen


def digest(message):
    return f"{len(message)}:{hashlib.sha256(message).hexdigest()[:12]}"


def pairs(metadata):
    """Metadata in its order, bytes as hex."""
    written = ([key, value.hex() if isinstance(value, bytes) else value] for key, value in metadata or ())
    return [pair for pair in written if not pair[0].startswith(tuple(MAY_ADD))]


class Sight:
    """What the server saw of one call."""

    def __init__(self):
        self.metadata, self.deadline, self.end = [], None, None
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    def begin(self, context):
        self.metadata = [
            pair for pair in pairs(context.invocation_metadata()) if not pair[0].startswith(ADDED)
        ]
        self.deadline = context.time_remaining()
        self.begun.set()

    def finish(self, end):
        self.end = end
        self.ended.set()


# MARK: The server


class Server:
    """One method for each way to behave; `sights` by the x-case-id of the call."""

    def __init__(self):
        self.sights = collections.defaultdict(Sight)
        self.peers = set()
        self.open_now = self.open_most = 0

    @contextlib.asynccontextmanager
    async def _seen(self, context):
        number = dict(context.invocation_metadata()).get("x-case-id")
        sight = self.sights[number]
        sight.begin(context)
        self.peers.add(context.peer())
        self.open_now += 1
        self.open_most = max(self.open_most, self.open_now)
        try:
            yield sight
            sight.finish("finished")
        except grpc.aio.AbortError:
            sight.finish("aborted")
            raise
        except BaseException:
            # Where it stood decides what it gets: CancelledError when it waits, an error of the call when it writes.
            sight.finish("cancelled")
            raise
        finally:
            self.open_now -= 1

    async def Echo(self, request, context):
        """The request, or as many bytes as x-case-answer says; echoes x-case-echo metadata at both ends."""
        async with self._seen(context):
            echoed = [(k, v) for k, v in context.invocation_metadata() if k.startswith("x-case-echo")]
            if echoed:
                await context.send_initial_metadata([(f"x-case-initial{k[11:]}", v) for k, v in echoed])
                context.set_trailing_metadata([(f"x-case-trailing{k[11:]}", v) for k, v in echoed])
            size = dict(context.invocation_metadata()).get("x-case-answer")
            return request if size is None else bytes(int(size))

    async def Fail(self, request, context):
        """Fails as the request says, before any message."""
        async with self._seen(context):
            wish = json.loads(request)
            wanted = wish.get("trailing", [])
            trailing = tuple((k, bytes.fromhex(v) if k.endswith("-bin") else v) for k, v in wanted)
            code = next(code for code in grpc.StatusCode if code.value[0] == wish["code"])
            await context.abort(code, wish["details"], trailing)

    async def Sleep(self, request, context):
        """Answers when nobody waits any longer."""
        async with self._seen(context):
            await asyncio.sleep(CASE_SECONDS)
            return request

    async def Collect(self, requests, context):
        """Counts messages and bytes."""
        async with self._seen(context):
            sizes = [len(request) async for request in requests]
            return f"{len(sizes)} messages, {sum(sizes)} bytes".encode()

    async def Spread(self, request, context):
        """A message of each size asked for."""
        async with self._seen(context):
            for size in json.loads(request):
                yield bytes(size)

    async def Talk(self, requests, context):
        """Echoes each message at once."""
        async with self._seen(context):
            async for request in requests:
                yield request

    async def Wait(self, requests, context):
        """Neither reads nor answers."""
        async with self._seen(context):
            await asyncio.sleep(CASE_SECONDS)
            return b""

    async def Hold(self, requests, context):
        """Echoes the first message, then neither reads nor answers: only a reset tells that the caller has gone."""
        async with self._seen(context):
            async for request in requests:
                yield request
                break
            await asyncio.sleep(CASE_SECONDS)

    async def Hear(self, requests, context):
        """Says nothing, not even its metadata, until the caller has ended; then all it heard."""
        async with self._seen(context):
            heard = [request async for request in requests]
            for request in heard:
                yield request

    async def First(self, requests, context):
        """Speaks before the caller does."""
        async with self._seen(context):
            await context.send_initial_metadata([("x-case-first", "yes")])
            yield b"welcome"
            async for request in requests:
                yield request

    async def Leave(self, requests, context):
        """Ends with an error after the first message, whatever else may come."""
        async with self._seen(context):
            async for request in requests:
                yield request
                break
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "enough heard", (("x-case-why", "enough"),))

    def handlers(self):
        kinds = {
            grpc.unary_unary_rpc_method_handler: ("Echo", "Fail", "Sleep"),
            grpc.stream_unary_rpc_method_handler: ("Collect", "Wait"),
            grpc.unary_stream_rpc_method_handler: ("Spread",),
            grpc.stream_stream_rpc_method_handler: ("Talk", "Hold", "Hear", "First", "Leave"),
        }
        methods = {name: make(getattr(self, name)) for make, names in kinds.items() for name in names}
        return grpc.method_handlers_generic_handler(SERVICE, methods)


@contextlib.asynccontextmanager
async def serving(port, options=UNLIMITED):
    """A server on that port while the block runs."""
    behaviour = Server()
    server = grpc.aio.server(options=[*options, ("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((behaviour.handlers(),))
    for attempt in itertools.count():
        try:
            address = f"127.0.0.1:{port}"
            if SECURE.server:
                pair = [(SECURE.server / f"server-ecdsa.{kind}").read_bytes() for kind in ("key", "pem")]
                server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
            else:
                server.add_insecure_port(address)
            break
        except RuntimeError:
            # The one before may need a moment to let go of the port.
            if attempt == 600:
                raise
            await asyncio.sleep(0.05)
    await server.start()
    try:
        yield behaviour
    finally:
        await server.stop(grace=0)


# MARK: The caller

NUMBERS = itertools.count(1)


def channel_to(target, api, options=()):
    """A connection of its own, by grpcio's `api`: `grpc.aio` or `grpc`."""
    further = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100),
               ("grpc.max_reconnect_backoff_ms", 500)]
    options = [*UNLIMITED, *further, *options]
    directory = SECURE.proxy if target == SECURE.proxy_address else SECURE.server
    if not directory:
        return api.insecure_channel(target, options)
    trust = grpc.ssl_channel_credentials((directory / "root.pem").read_bytes())
    return api.secure_channel(target, trust, options)


class Caller:
    """Calls one target over one connection."""

    def __init__(self, target, options=()):
        self.channel = channel_to(target, grpc.aio, options)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.channel.close()

    def start(self, method, request=None, metadata=(), service=SERVICE, **options):
        """Begins a call; the call, and the number under which the server has seen it."""
        path = f"/{service}/{method}"
        number = str(next(NUMBERS))
        options["metadata"] = (*metadata, ("x-case-id", number))
        options.setdefault("timeout", CASE_SECONDS)
        if method in ("Collect", "Wait"):
            return self.channel.stream_unary(path)(request, **options), number
        if method == "Spread":
            return self.channel.unary_stream(path)(request, **options), number
        if method in ("Talk", "Hold", "Hear", "First", "Leave"):
            return self.channel.stream_stream(path)(request, **options), number
        return self.channel.unary_unary(path)(request, **options), number


async def outcome(call, messages=(), details=True):
    """What the caller saw, once the call has ended."""
    code = await call.code()
    seen = {
        "code": code.name,
        "messages": [digest(message) for message in messages],
        "initial": pairs(await call.initial_metadata()),
        "trailing": pairs(await call.trailing_metadata()),
    }
    if details:
        seen["details"] = await call.details()
    return seen


async def answered(call, details=True):
    """The outcome of a call with one answer."""
    try:
        messages = [await call]
    except grpc.aio.AioRpcError:
        messages = []
    return await outcome(call, messages, details)


async def received(call, details=True):
    """The outcome of a call with many answers."""
    messages = []
    try:
        async for message in call:
            messages.append(message)
    except grpc.aio.AioRpcError:
        pass
    return await outcome(call, messages, details)


async def sent(*messages):
    for message in messages:
        yield message


async def by_server(server, number):
    """What the server saw of a call. Its handler may end a moment after the caller has all."""
    sight = server.sights[number]
    await asyncio.wait_for(sight.ended.wait(), SOON_SECONDS)
    return {"metadata": sight.metadata, "end": sight.end}


# MARK: Cases

CASES = {}


def case(options=UNLIMITED, **expected):
    """A case by its function's name: called with a server, the address to call and the server's port.

    `expected` is part of its result; two wrong results that are equal prove nothing.
    """

    def register(function):
        CASES[function.__name__] = (function, options, expected)
        return function

    return register


OK = {"code": "OK", "details": ""}


async def unary(server, target, method, request, **options):
    async with Caller(target) as caller:
        call, number = caller.start(method, request, **options)
        seen = await answered(call)
        return seen | {"server": await by_server(server, number)}


@case(**OK, messages=[digest(b"")])
async def empty_unary(server, target, port):
    return await unary(server, target, "Echo", b"")


@case(**OK, messages=[digest(bytes(314_159))])
async def large_unary(server, target, port):
    return await unary(server, target, "Echo", bytes(271_828), metadata=[("x-case-answer", "314159")])


@case(**OK)
async def four_mebibytes(server, target, port):
    """Compressible for nobody, and whole in both directions."""
    message = hashlib.shake_128(b"four").digest(4 << 20)
    return await unary(server, target, "Echo", message)


@case(**OK, messages=[digest(b"4 messages, 74922 bytes")])
async def client_streaming(server, target, port):
    async with Caller(target) as caller:
        call, number = caller.start("Collect", sent(*map(bytes, (27_182, 8, 1_828, 45_904))))
        seen = await answered(call)
        return seen | {"server": await by_server(server, number)}


@case(**OK, messages=[digest(bytes(size)) for size in (31_415, 9, 2_653, 58_979, 0)])
async def server_streaming(server, target, port):
    async with Caller(target) as caller:
        call, number = caller.start("Spread", b"[31415, 9, 2653, 58979, 0]")
        seen = await received(call)
        return seen | {"server": await by_server(server, number)}


@case(**OK, ended=True)
async def ping_pong(server, target, port):
    """Each message is sent only when the one before has been answered."""
    async with Caller(target) as caller:
        call, number = caller.start("Talk")
        messages = []
        for size in (27_182, 8, 0, 1_828, 45_904):
            await call.write(bytes(size))
            messages.append(await call.read())
        await call.done_writing()
        ended = await call.read() is grpc.aio.EOF
        return await outcome(call, messages) | {"ended": ended, "server": await by_server(server, number)}


@case(**OK, messages=[])
async def empty_stream(server, target, port):
    async with Caller(target) as caller:
        call, number = caller.start("Talk", sent())
        return await received(call) | {"server": await by_server(server, number)}


@case(**OK, early=False, messages=[digest(word) for word in (b"one", b"two", b"three")])
async def half_close(server, target, port):
    """The server hears the end of the requests although nothing has been answered, and answers after it."""
    async with Caller(target) as caller:
        call, number = caller.start("Hear")
        for word in (b"one", b"two", b"three"):
            await call.write(word)
        await asyncio.sleep(0.1)
        early = server.sights[number].end is not None
        await call.done_writing()
        return await received(call) | {"early": early, "server": await by_server(server, number)}


@case(**OK, initial=[["x-case-first", "yes"]], messages=[digest(b"welcome"), digest(b"thanks")])
async def server_speaks_first(server, target, port):
    async with Caller(target) as caller:
        call, number = caller.start("First")
        first = await call.read()
        await call.write(b"thanks")
        second = await call.read()
        await call.done_writing()
        await call.read()
        return await outcome(call, [first, second]) | {"server": await by_server(server, number)}


@case(code="CANCELLED")
async def cancel_after_begin(server, target, port):
    async with Caller(target) as caller:
        call, number = caller.start("Wait")
        await server.sights[number].begun.wait()
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        await asyncio.wait_for(server.sights[number].ended.wait(), SOON_SECONDS)
        return {"code": (await call.code()).name, "server": await by_server(server, number)}


@case(code="CANCELLED", first=digest(bytes(31_415)))
async def cancel_after_first_response(server, target, port):
    async with Caller(target) as caller:
        call, number = caller.start("Hold")
        await call.write(bytes(31_415))
        first = await call.read()
        call.cancel()
        await asyncio.wait_for(server.sights[number].ended.wait(), SOON_SECONDS)
        return {"code": (await call.code()).name, "first": digest(first), "server": await by_server(server, number)}


@case(code="DEADLINE_EXCEEDED", known=True, soon=True)
async def deadline_on_sleeping_server(server, target, port):
    """The server knows the deadline and learns at it that nobody waits any longer."""
    async with Caller(target) as caller:
        # Until the call reaches the server before its deadline.
        for seconds in (0.5, 5, 20):
            begin = time.monotonic()
            call, number = caller.start("Sleep", b"zzz", timeout=seconds)
            seen = await answered(call, details=False)
            sight = server.sights[number]
            if sight.deadline:
                break
        await asyncio.wait_for(sight.ended.wait(), SOON_SECONDS)
        took = time.monotonic() - begin
        known = sight.deadline is not None and 0 < sight.deadline < seconds + 0.1
        soon = seconds - 0.1 < took < CASE_SECONDS
        return {"code": seen["code"], "known": known, "soon": soon, "server": await by_server(server, number)}


@case(**OK, messages=[digest(b"m")])
async def metadata(server, target, port):
    """Order, repetition, inner spaces, every visible character, and every byte of binary values, both ways."""
    visible = "".join(map(chr, range(0x21, 0x7F)))
    wanted = [
        ("x-case-echo-text", "one"), ("x-case-echo-text", "two,  three"), ("x-case-echo-empty", ""),
        ("x-case-echo-visible", visible), ("x-case-echo-bytes-bin", bytes(range(256))),
        ("x-case-echo-bytes-bin", b"\0"), ("x-case-echo-none-bin", b""), ("x-case-echo_under.dot", "x"),
        ("x-case-only-upstream-bin", b"\xff\xfe"),
    ]
    return await unary(server, target, "Echo", b"m", metadata=wanted)


@case(**OK, messages=[digest(b"m")])
async def large_metadata(server, target, port):
    wanted = [(f"x-case-echo-{number}", chr(97 + number) * 500) for number in range(6)]
    return await unary(server, target, "Echo", b"m", metadata=wanted)


@case(told=True)
async def status_and_message(server, target, port):
    """Every status but OK, its message with all that percent-encoding is for."""
    async with Caller(target) as caller:
        seen = []
        for code in range(1, 17):
            wish = {"code": code, "details": f"№ {code}: naïve 'snowman' ☃, 你好, 😀, 100 %, %41\ttab\nline"}
            call, number = caller.start("Fail", json.dumps(wish).encode())
            seen.append(await answered(call) | {"server": await by_server(server, number)})
        told = [end["code"] for end in seen] == [code.name for code in grpc.StatusCode if code.value[0]]
        return {"told": told, "all": seen}


WHY = [["x-case-why-bin", bytes(range(0, 256, 3)).hex()], ["x-case-why", "because"]]


@case(codes=["FAILED_PRECONDITION"] * 2, why=WHY)
async def error_details(server, target, port):
    """Metadata that come with a failure: before any message, and after one."""
    async with Caller(target) as caller:
        wish = {"code": 9, "details": "no", "trailing": WHY}
        call, number = caller.start("Fail", json.dumps(wish).encode())
        before = await answered(call) | {"server": await by_server(server, number)}
        call, number = caller.start("Leave", sent(b"one"))
        after = await received(call) | {"server": await by_server(server, number)}
        return {"before": before, "after": after, "codes": [before["code"], after["code"]], "why": before["trailing"]}


@case(code="FAILED_PRECONDITION", details="enough heard", trailing=[["x-case-why", "enough"]], messages=[digest(b"one")])
async def early_finish(server, target, port):
    """The server ends the call while the caller goes on sending: the caller learns the server's reason.

    The caller is grpcio's with threads. The one with asyncio forgets the status it has when a write then fails, with or
    without a proxy: https://github.com/grpc/grpc/issues/36066.
    """
    number = str(next(NUMBERS))

    def going_on():
        yield b"one"
        for _ in range(100):
            yield bytes(10_000)
            time.sleep(0.01)

    def call_and_listen():
        messages = []
        with channel_to(target, grpc) as channel:
            method = channel.stream_stream(f"/{SERVICE}/Leave")
            call = method(going_on(), metadata=[("x-case-id", number)], timeout=CASE_SECONDS)
            try:
                messages.extend(map(digest, call))
            except grpc.RpcError:
                pass
            return {"code": call.code().name, "details": call.details(), "messages": messages,
                    "initial": pairs(call.initial_metadata()), "trailing": pairs(call.trailing_metadata())}

    return await asyncio.to_thread(call_and_listen) | {"server": await by_server(server, number)}


@case(code="UNIMPLEMENTED")
async def unimplemented_method(server, target, port):
    async with Caller(target) as caller:
        return await answered(caller.start("Nothing", b"x")[0])


@case(code="UNIMPLEMENTED")
async def unimplemented_service(server, target, port):
    async with Caller(target) as caller:
        return await answered(caller.start("Echo", b"x", service="propagating.proxy.Nobody")[0])


@case(options=[("grpc.max_receive_message_length", 1 << 20)], codes=["RESOURCE_EXHAUSTED", "OK"])
async def message_too_large(server, target, port):
    """The server refuses in the middle of the message; the caller learns why, and the next call is not affected."""
    async with Caller(target) as caller:
        refused = await answered(caller.start("Echo", bytes(4 << 20))[0])
        after = await answered(caller.start("Echo", b"x")[0])
        return {"codes": [refused["code"], after["code"]], "refused": refused, "next": after}


@case(**OK, messages=[digest(bytes(100_000)), digest(b"short")])
async def compressed(server, target, port):
    async with Caller(target) as caller:
        call, number = caller.start("Talk", sent(bytes(100_000), b"short"), compression=grpc.Compression.Gzip)
        return await received(call) | {"server": await by_server(server, number)}


@case(**OK, bytes=64 << 18, others=["OK"] * 4)
async def slow_reader(server, target, port):
    """Sixteen megabytes to a caller that takes its time: all arrive, and other calls of the connection go on."""
    async with Caller(target) as caller:
        call, number = caller.start("Spread", json.dumps([1 << 18] * 64).encode())
        sizes, others = 0, []
        async for message in call:
            sizes += len(message)
            if sizes % (1 << 22) == 0:
                others.append((await answered(caller.start("Echo", b"other")[0]))["code"])
            await asyncio.sleep(0.005)
        return await outcome(call) | {"bytes": sizes, "others": others, "server": await by_server(server, number)}


@case(ends={"OK b'hello' b'bye'": 1_000}, open=1_000)
async def thousand_streams(server, target, port):
    """A thousand bidirectional calls open at the same time, fifty on a connection."""

    left = set(range(1_000))
    all_open = asyncio.Event()

    async def counted(caller, number):
        call, _ = caller.start("Talk")
        await call.write(b"hello")
        first = await call.read()
        left.discard(number)
        if not left:
            all_open.set()
        await all_open.wait()
        await call.write(b"bye")
        second = await call.read()
        await call.done_writing()
        return f"{(await call.code()).name} {first} {second}"

    async with contextlib.AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(Caller(target)) for _ in range(20)]
        ends = await asyncio.gather(*(counted(callers[number % 20], number) for number in range(1_000)))
        return {"ends": collections.Counter(ends), "open": server.open_most}


@case(codes={"OK": 1_000}, right=True)
async def thousand_calls_on_one_connection(server, target, port):
    """More calls than the connection may have streams: the rest waits its turn."""
    async with Caller(target) as caller:
        ends = await asyncio.gather(*(answered(caller.start("Echo", b"%d" % n)[0]) for n in range(1_000)))
        right = all(end["messages"] == [digest(b"%d" % n)] for n, end in enumerate(ends))
        return {"codes": collections.Counter(end["code"] for end in ends), "right": right}


@case(options=[*UNLIMITED, ("grpc.max_connection_age_ms", 300), ("grpc.max_connection_age_grace_ms", 60_000)], codes=["OK"])
async def goaway_mid_load(server, target, port):
    """The server sends every connection away after 0.3 s; no call fails."""
    end = time.monotonic() + 2.5
    codes = collections.Counter()

    def goes_on():
        return time.monotonic() < end or sum(codes.values()) <= 100 or len(server.peers) <= 2

    async def calls(caller):
        while goes_on():
            codes[(await answered(caller.start("Echo", b"x")[0]))["code"]] += 1
            await asyncio.sleep(0.002)

    async def streams(caller):
        while goes_on():
            call, _ = caller.start("Talk")
            for _ in range(10):
                with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    await call.write(b"x")
                    await call.read()
                await asyncio.sleep(0.02)
            await call.done_writing()
            codes[(await call.code()).name] += 1

    async with Caller(target) as caller:
        await asyncio.gather(*(calls(caller) for _ in range(8)), *(streams(caller) for _ in range(4)))
    return {"codes": sorted(codes)}


class Child:
    """A server in a process of its own, so that it can die."""

    def __init__(self, port):
        self.port = port

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-u", "-B", __file__, "--serve", str(self.port),
            *(["--server-tls", str(SECURE.server)] if SECURE.server else []), stdout=asyncio.subprocess.PIPE)
        await self.process.stdout.readline()
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@case(options=None, away=["UNAVAILABLE"] * 3)
async def upstream_restart(server, target, port):
    """Calls work, fail as unavailable while the server is away, and work again when it is back."""
    async with Caller(target) as caller:
        async with Child(port):
            before = await answered(caller.start("Echo", b"x", wait_for_ready=True)[0])
        away = [(await answered(caller.start("Echo", b"x")[0]))["code"] for _ in range(3)]
        async with Child(port):
            deadline = time.monotonic() + SOON_SECONDS
            while (after := await answered(caller.start("Echo", b"x", wait_for_ready=True)[0]))["code"] != "OK":
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.05)
        return {"before": before, "away": away, "after": after}


@case(options=None, code="UNAVAILABLE", first=digest(b"hello"))
async def upstream_dies(server, target, port):
    """A server that is killed in the middle of a stream: what it had said arrives, then the call is unavailable."""
    async with Caller(target) as caller:
        async with Child(port) as child:
            call, _ = caller.start("Talk", wait_for_ready=True)
            await call.write(b"hello")
            first = await call.read()
            child.process.kill()
            with contextlib.suppress(grpc.aio.AioRpcError):
                await call.read()
            return {"first": digest(first), "code": (await call.code()).name}


# MARK: Running


async def run_case(name, target, port):
    function, options, _ = CASES[name]
    try:
        async with asyncio.timeout(CASE_SECONDS):
            if options is None:
                return await function(None, target, port)
            async with serving(port, options) as server:
                return await function(server, target, port)
    except (TimeoutError, asyncio.TimeoutError) as error:
        return {"problem": f"no end: {error!r}"}
    except Exception as error:  # A case's own failure is a result too.
        return {"problem": repr(error)}


def differences(direct, proxied, path=""):
    """Where two results differ, one line each."""
    if isinstance(direct, dict) and isinstance(proxied, dict):
        keys = sorted({*direct, *proxied})
        return [line for key in keys for line in differences(direct.get(key), proxied.get(key), f"{path}.{key}")]
    if isinstance(direct, list) and isinstance(proxied, list) and len(direct) == len(proxied):
        both = enumerate(zip(direct, proxied))
        return [line for index, (a, b) in both for line in differences(a, b, f"{path}[{index}]")]
    return [] if direct == proxied else [f"{path.lstrip('.')}: direct {direct!r}, through the proxy {proxied!r}"]


def unexpected(expected, result):
    """What of the expected is not in the result."""
    return [f"{key}: {result.get(key)!r}"[:300] for key, value in expected.items() if result.get(key) != value]


def plain(result):
    """As JSON has it; a list becomes one under the key `all`."""
    result = json.loads(json.dumps(result))
    return result if isinstance(result, dict) else {"all": result}


async def judge(name, proxy, port):
    # Whatever does not end tells where it stands.
    faulthandler.dump_traceback_later(3 * CASE_SECONDS, exit=True)
    begin = time.monotonic()
    direct = await run_case(name, f"127.0.0.1:{port}", port)
    middle = time.monotonic()
    proxied = await run_case(name, proxy, port)
    wrong = differences(plain(direct), plain(proxied))
    wrong += [f"not as expected even directly: {line}" for line in unexpected(CASES[name][2], plain(direct))]
    seconds = [round(middle - begin, 2), round(time.monotonic() - middle, 2)]
    return {"case": name, "ok": not wrong, "differences": wrong, "seconds": seconds, "direct": direct}


def proxy_address(text):
    if not text.startswith("@"):
        return text
    file = pathlib.Path(text[1:])
    deadline = time.monotonic() + 120
    while not (file.exists() and file.read_text().endswith("\n")):
        if time.monotonic() > deadline:
            sys.exit(f"{file} does not name the proxy's address")
        time.sleep(0.02)
    return file.read_text().strip()


async def serve(port, age):
    """A child's whole life."""
    aged = [("grpc.max_connection_age_ms", age), ("grpc.max_connection_age_grace_ms", 10_000)] if age else []
    async with serving(port, UNLIMITED + aged):
        print("serving", flush=True)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await ended.wait()


def reserved():
    """A socket that holds a port, and does not listen: nobody else is given the port while a server comes and goes there."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    return place


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream-port", type=int, default=0)
    parser.add_argument("--proxy")
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--may-add", default="", metavar="PREFIX,…", help="metadata the proxy may add")
    parser.add_argument("--json")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--age", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--server-tls", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--proxy-tls", type=pathlib.Path, metavar="DIR")
    parser.add_argument("-v", action="store_true")
    options = parser.parse_args()
    MAY_ADD.extend(filter(None, options.may_add.split(",")))
    SECURE.server, SECURE.proxy = options.server_tls, options.proxy_tls
    if options.list:
        print("\n".join(CASES))
        return 0
    if options.serve:
        asyncio.run(serve(options.serve, options.age))
        return 0
    place = reserved()
    port = options.upstream_port or place.getsockname()[1]
    print(f"upstream-port {port}", flush=True)
    proxy = SECURE.proxy_address = proxy_address(options.proxy)
    verdicts = []
    for name in options.case or CASES:
        verdict = asyncio.run(judge(name, proxy, port))
        verdicts.append(verdict)
        print(f"{'ok  ' if verdict['ok'] else 'FAIL'} {name} {verdict['seconds']}", flush=True)
        for line in verdict["differences"]:
            print(f"     {line[:600]}", flush=True)
        if options.v:
            print(f"     {json.dumps(verdict['direct'])[:2000]}", flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(verdicts, ensure_ascii=False, indent=1))
    print(f"{sum(verdict['ok'] for verdict in verdicts)} of {len(verdicts)} cases equal", flush=True)
    return 0 if all(verdict["ok"] for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
