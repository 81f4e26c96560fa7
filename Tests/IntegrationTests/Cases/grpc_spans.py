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
import sys
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
    time.sleep(1)
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
    answers = channel.stream_stream("/test.Calls/Cancel")(slow_requests())
    next(answers)
    answers.cancel()
    return answers.code()


def call(channel, path, timeout=20):
    channel.unary_unary(path)(b"message", timeout=timeout)


CALLS = {
    "Unary": lambda channel: call(channel, "/test.Calls/Unary"),
    "ServerStream": lambda channel: list(channel.unary_stream("/test.Calls/ServerStream")(b"message")),
    "ClientStream": lambda channel: channel.stream_unary("/test.Calls/ClientStream")(iter([bytes(20_000)] * 3)),
    "Bidi": lambda channel: list(channel.stream_stream("/test.Calls/Bidi")(slow_requests())),
    "Cancel": cancelled,
    "NotFound": lambda channel: call(channel, "/test.Calls/NotFound"),
    "Internal": lambda channel: call(channel, "/test.Calls/Internal"),
    "Unimplemented": lambda channel: call(channel, "/test.Calls/Unimplemented"),
    "Deadline": lambda channel: call(channel, "/test.Calls/Deadline", timeout=0.3),
    "NoRoute": lambda channel: call(channel, "/other.Calls/NoRoute"),
    "Refused": lambda channel: call(channel, "/dead.Calls/Refused"),
}


def main():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Calls", METHODS),))
    print("upstream-port", server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    address = pathlib.Path(sys.argv[sys.argv.index("--proxy") + 1].removeprefix("@"))
    while not address.exists() or not address.read_text().endswith("\n"):
        time.sleep(0.05)
    with grpc.insecure_channel(address.read_text().strip()) as channel:
        for name, run in CALLS.items():
            try:
                status = run(channel)
            except grpc.RpcError as error:
                status = error.code()
            print(name, status.name if isinstance(status, grpc.StatusCode) else "OK", flush=True)
    sys.stdout.flush()
    os._exit(0)  # a handler still sleeps


main()
