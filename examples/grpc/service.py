#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One of the tutorial's three services: answers by itself, or passes the call on to the next and the answers back.

It knows nothing of tracing. All that a mesh asks of an application is to copy some metadata from the call it answers to
the call it makes, and with GRPC_HELLO_FORWARD=N it does not even do that.

environment: GRPC_HELLO_NAME, GRPC_HELLO_PORT, GRPC_HELLO_BACKEND and GRPC_HELLO_BACKEND_PORT (the next service, if there
is one), GRPC_HELLO_AUTHORITY (the name by which the next one is called), GRPC_HELLO_FORWARD
"""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from concurrent import futures
from typing import Any, Iterator

import grpc

from landing import METHODS, LandingStub, handlers
from messages import TalkRequest, TalkResponse, TalkResult

GREETINGS = ("Hello", "Bonjour", "Hola", "こんにちは", "Ciao", "안녕하세요")
FORWARDED = (
    "x-request-id x-b3-traceid x-b3-spanid x-b3-parentspanid x-b3-sampled x-b3-flags x-ot-span-context".split()
)
"""What the tutorial's services pass on. Neither `b3` nor `traceparent`."""


class Landing:
    """The last service of the chain."""

    def __init__(self, name: str) -> None:
        self.name = name

    def answer(self, data: str, language: str) -> TalkResult:
        """One greeting; a number that is none fails the call with UNKNOWN, as the original does."""
        kv = {"id": str(uuid.uuid4()), "idx": data, "data": GREETINGS[int(data)], "meta": language, "via": self.name}
        return TalkResult(id=time.time_ns() // 1000, type=0, kv=kv)

    def Talk(self, request: TalkRequest, context: grpc.ServicerContext) -> TalkResponse:
        """Unary."""
        return TalkResponse(200, [self.answer(request.data, request.meta)])

    def TalkOneAnswerMore(self, request: TalkRequest, context: grpc.ServicerContext) -> Iterator[TalkResponse]:
        """Server streaming: an answer to each of several numbers."""
        for data in request.data.split(","):
            yield TalkResponse(200, [self.answer(data, request.meta)])

    def TalkMoreAnswerOne(self, requests: Iterator[TalkRequest], context: grpc.ServicerContext) -> TalkResponse:
        """Client streaming: all answers at once."""
        return TalkResponse(200, [self.answer(request.data, request.meta) for request in requests])

    def TalkBidirectional(
        self, requests: Iterator[TalkRequest], context: grpc.ServicerContext
    ) -> Iterator[TalkResponse]:
        """Bidirectional: each request is answered when it comes."""
        for request in requests:
            yield TalkResponse(200, [self.answer(request.data, request.meta)])


class Relay:
    """A service with another behind it."""

    def __init__(self, name: str, channel: grpc.Channel, forwards: bool) -> None:
        self.name = name
        self.next = LandingStub(channel)
        self.forwards = forwards

    def call(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        """Calls the next service, with the caller's deadline; a failure there is our failure."""
        wanted = FORWARDED if self.forwards else ()
        metadata = [(key, value) for key, value in context.invocation_metadata() if key in wanted]
        call = self.next.calls[method]
        return call(request, metadata=metadata, timeout=context.time_remaining())

    def signed(self, response: TalkResponse) -> TalkResponse:
        """The answer with our name on it."""
        for result in response.results:
            result.kv["via"] = f"{self.name} > {result.kv.get('via', '')}"
        return response

    def one(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        """A call with one answer."""
        try:
            return self.signed(self.call(method, request, context))
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    def more(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        """A call with many answers, each passed on when it comes."""
        answers = self.call(method, request, context)
        # A caller that goes away takes its call with it.
        context.add_callback(answers.cancel)
        try:
            for response in answers:
                yield self.signed(response)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    def Talk(self, request: TalkRequest, context: grpc.ServicerContext) -> Any:
        """Unary."""
        return self.one("Talk", request, context)

    def TalkOneAnswerMore(self, request: TalkRequest, context: grpc.ServicerContext) -> Any:
        """Server streaming."""
        return self.more("TalkOneAnswerMore", request, context)

    def TalkMoreAnswerOne(self, requests: Iterator[TalkRequest], context: grpc.ServicerContext) -> Any:
        """Client streaming."""
        return self.one("TalkMoreAnswerOne", requests, context)

    def TalkBidirectional(self, requests: Iterator[TalkRequest], context: grpc.ServicerContext) -> Any:
        """Bidirectional."""
        return self.more("TalkBidirectional", requests, context)


def behaviour(name: str) -> Landing | Relay:
    """By the environment."""
    backend = os.environ.get("GRPC_HELLO_BACKEND")
    if not backend:
        return Landing(name)
    target = f"{backend}:{os.environ.get('GRPC_HELLO_BACKEND_PORT', '9996')}"
    options = []
    if os.environ.get("GRPC_HELLO_AUTHORITY"):
        options.append(("grpc.default_authority", os.environ["GRPC_HELLO_AUTHORITY"]))
    return Relay(name, grpc.insecure_channel(target, options), os.environ.get("GRPC_HELLO_FORWARD", "Y") != "N")


def main() -> None:
    """Serves until SIGTERM."""
    service = behaviour(os.environ.get("GRPC_HELLO_NAME", "svc"))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((handlers({method: getattr(service, method) for method in METHODS}),))
    server.add_insecure_port(f"127.0.0.1:{os.environ.get('GRPC_HELLO_PORT', '9996')}")
    server.start()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    server.stop(grace=0.5).wait()


if __name__ == "__main__":
    main()
