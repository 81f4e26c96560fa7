#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One gRPC call for each way a call may go, through a proxy: what its spans tell is the caller's to look at.

  grpc_spans.py --proxy @FILE

Prints `upstream-port N` and waits until FILE names the proxy's address. The proxy sends /test. to that port, /dead. to one
nobody listens on, and has no route for others. Prints `METHOD STATUS` for each call; exit status 64 without grpcio.
"""

import concurrent.futures
import os
import pathlib
import socket
import sys
import threading
import time

try:
    import grpc
except ImportError as missing:
    print(f"grpcio is not installed: {missing}")
    sys.exit(64)


def refused(status):
    return lambda request, context: context.abort(status, "as asked")


def slow_answers(request, context):
    for size in range(5):
        time.sleep(0.01)
        yield bytes(size)


def sleeps(request, context):
    time.sleep(600)
    return request


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
    "ServerStream": grpc.unary_stream_rpc_method_handler(slow_answers),
    "ClientStream": grpc.stream_unary_rpc_method_handler(lambda requests, context: b"%d" % sum(1 for _ in requests)),
    "Bidi": grpc.stream_stream_rpc_method_handler(lambda requests, context: requests),
    "Cancel": grpc.stream_stream_rpc_method_handler(lambda requests, context: requests),
    "NotFound": grpc.unary_unary_rpc_method_handler(refused(grpc.StatusCode.NOT_FOUND)),
    "Internal": grpc.unary_unary_rpc_method_handler(refused(grpc.StatusCode.INTERNAL)),
    "Deadline": grpc.unary_unary_rpc_method_handler(sleeps),
}


def slow_requests():
    for _ in range(4):
        time.sleep(0.02)
        yield b"message"


def cancelled(channel):
    """Its requests do not end before it is cancelled, however late that is."""
    over = threading.Event()

    def requests():
        yield b"message"
        over.wait()

    answers = channel.stream_stream("/test.Calls/Cancel")(requests())
    next(answers)
    answers.cancel()
    over.set()
    return answers.code()


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def overdue(address):
    """A call whose caller does not keep its deadline, as grpcio would: who resets before the proxy's clock, which begins
    with the head's arrival, has cancelled."""
    fields = {":path": "/test.Calls/Deadline", ":authority": "test", "te": "trailers", "content-type": "application/grpc",
              "grpc-timeout": "3S"}
    # POST and http by their numbers, the others spelled out and not remembered.
    head = b"\x83\x86" + b"".join(
        bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in fields.items())
    message = b"message"
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as peer:
        peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(4, 1, 0) + frame(1, 4, 1, head)
                     + frame(0, 1, 1, bytes(1) + len(message).to_bytes(4, "big") + message))
        with peer.makefile("rb") as frames:
            while start := frames.read(9):
                frames.read(int.from_bytes(start[:3], "big"))
                kind, flags, stream = start[3], start[4], int.from_bytes(start[5:], "big")
                # The end of its stream, or a reset.
                if stream == 1 and (kind == 3 or kind in (0, 1) and flags & 1):
                    return
    print("Deadline has no end", flush=True)
    os._exit(1)


def call(channel, path):
    channel.unary_unary(path)(b"message", timeout=60)


CALLS = {
    "Unary": lambda channel: call(channel, "/test.Calls/Unary"),
    "ServerStream": lambda channel: list(channel.unary_stream("/test.Calls/ServerStream")(b"message")),
    "ClientStream": lambda channel: channel.stream_unary("/test.Calls/ClientStream")(iter([bytes(20_000)] * 3)),
    "Bidi": lambda channel: list(channel.stream_stream("/test.Calls/Bidi")(slow_requests())),
    "Cancel": cancelled,
    "NotFound": lambda channel: call(channel, "/test.Calls/NotFound"),
    "Internal": lambda channel: call(channel, "/test.Calls/Internal"),
    "Unimplemented": lambda channel: call(channel, "/test.Calls/Unimplemented"),
    "NoRoute": lambda channel: call(channel, "/other.Calls/NoRoute"),
    "Refused": lambda channel: call(channel, "/dead.Calls/Refused"),
}


def main():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Calls", METHODS),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"upstream-port {port}\n")
    sys.stdout.flush()
    address = pathlib.Path(sys.argv[sys.argv.index("--proxy") + 1].removeprefix("@"))
    while not address.exists() or not address.read_text().endswith("\n"):
        time.sleep(0.05)
    proxy = address.read_text().strip()
    overdue(proxy)
    with grpc.insecure_channel(proxy) as channel:
        for name, run in CALLS.items():
            try:
                status = run(channel)
            except grpc.RpcError as error:
                status = error.code()
            print(name, status.name if isinstance(status, grpc.StatusCode) else "OK", flush=True)
    sys.stdout.flush()
    os._exit(0)  # a handler still sleeps


main()
