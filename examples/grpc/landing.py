# SPDX-License-Identifier: Apache-2.0
"""org.feuyeux.grpc.LandingService for grpcio's generic interfaces: its four methods, for a server and for a caller."""

from __future__ import annotations

from typing import Any, Callable

import grpc

from messages import TalkRequest, TalkResponse

SERVICE = "org.feuyeux.grpc.LandingService"
METHODS = ("Talk", "TalkOneAnswerMore", "TalkMoreAnswerOne", "TalkBidirectional")
"""Unary, server streaming, client streaming, bidirectional."""


class LandingStub:
    """A caller: one callable for each method."""

    def __init__(self, channel: grpc.Channel) -> None:
        makers: tuple[Callable[..., Any], ...] = (
            channel.unary_unary,
            channel.unary_stream,
            channel.stream_unary,
            channel.stream_stream,
        )
        self.calls: dict[str, Any] = {
            method: make(
                f"/{SERVICE}/{method}",
                request_serializer=TalkRequest.write,
                response_deserializer=TalkResponse.read,
            )
            for method, make in zip(METHODS, makers)
        }


def handlers(behaviours: dict[str, Callable[..., Any]]) -> grpc.GenericRpcHandler:
    """A server's part: what to do for each method."""
    makers: tuple[Callable[..., Any], ...] = (
        grpc.unary_unary_rpc_method_handler,
        grpc.unary_stream_rpc_method_handler,
        grpc.stream_unary_rpc_method_handler,
        grpc.stream_stream_rpc_method_handler,
    )
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            method: make(
                behaviours[method],
                request_deserializer=TalkRequest.read,
                response_serializer=TalkResponse.write,
            )
            for method, make in zip(METHODS, makers)
        },
    )
