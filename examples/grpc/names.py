# SPDX-License-Identifier: Apache-2.0
"""The names of the tutorial: who takes part, and what it is called in spans."""

from __future__ import annotations

from tree import Shape, hop

EDGE, GATEWAY = "requestor", "istio-ingressgateway.istio-system"
CHAIN = ("svc1", "svc2", "svc3")
PORT = 9996
NAMESPACE = "grpc-tracing"


def workload(name: str) -> str:
    """A service's name in spans."""
    return f"grpc-server-{name}.{NAMESPACE}"


def authority(name: str) -> str:
    """The name by which a service is called."""
    return f"{workload(name)}.svc.cluster.local:{PORT}"


def pictures(forwarding: bool) -> tuple[Shape, ...]:
    """The traces of every call, in the order in which they begin: nine spans together.

    A service that drops the metadata tears the trace: what it calls begins another one.
    """
    first, second, third = (workload(name) for name in CHAIN)
    if forwarding:
        return (_from_edge(hop(GATEWAY, first, hop(first, second, hop(second, third)))),)
    return _from_edge(hop(GATEWAY, first)), hop(first, second), hop(second, third)


def _from_edge(below: Shape) -> Shape:
    return (EDGE, "SERVER", (hop(EDGE, GATEWAY, below),))


def span_count(picture: Shape) -> int:
    """How many spans it has."""
    return 1 + sum(span_count(child) for child in picture[2])
