# SPDX-License-Identifier: Apache-2.0
"""Writes the configuration of each Envoy of the mesh; the gateway, and an edge, have upstream spans of their own."""

from __future__ import annotations

from envoyconfig import Config, cluster, host, listener, node, route
from names import EDGE, GATEWAY, PORT, authority, workload


def edge(port: int, admin: int, collector: int, gateway_port: int) -> Config:
    """An Envoy in propagating-proxy's place: starts every trace."""
    return node(
        EDGE,
        admin,
        collector,
        listeners=[
            listener(
                "edge",
                port,
                "OUTBOUND",
                stat_prefix="edge",
                hosts=[host("edge", ["*"], [route({"prefix": "/"}, "gateway", "gateway")])],
                spawn_upstream_span=True,
                edge=True,
                random_sampling=100,
            )
        ],
        clusters=[cluster("gateway", gateway_port, http2=True)],
    )


def gateway(port: int, admin: int, collector: int, first: str, first_port: int) -> Config:
    """The ingress gateway: every gRPC call goes to the first service."""
    name = outbound_name(first)
    return node(
        GATEWAY,
        admin,
        collector,
        listeners=[
            listener(
                "0.0.0.0_9999",
                port,
                "OUTBOUND",
                stat_prefix="outbound_0.0.0.0_9999",
                hosts=[host("*:9999", ["*"], [route({"prefix": "/"}, name, _operation(first))])],
                spawn_upstream_span=True,
                edge=True,
            )
        ],
        clusters=[cluster(name, first_port, http2=True)],
    )


def sidecar(
    name: str,
    inbound: int,
    outbound: int,
    admin: int,
    collector: int,
    app: int,
    next_service: tuple[str, int] | None,
    sampling: float,
) -> Config:
    """A sidecar: `inbound` to the application on `app`, `outbound` to the next service's sidecar.

    `sampling`: percent of the traces that begin here.
    """
    inside = f"inbound|{PORT}||"
    listeners = [
        listener(
            "virtualInbound",
            inbound,
            "INBOUND",
            stat_prefix=f"inbound_0.0.0.0_{PORT}",
            hosts=[host(f"inbound|http|{PORT}", ["*"], [route({"prefix": "/"}, inside, _operation(name))])],
        )
    ]
    clusters = [cluster(inside, app, http2=True)]
    if next_service:
        callee, port = next_service
        routes = [route({"prefix": "/"}, outbound_name(callee), _operation(callee))]
        listeners.append(
            listener(
                "virtualOutbound",
                outbound,
                "OUTBOUND",
                stat_prefix=f"outbound_0.0.0.0_{PORT}",
                hosts=[host(authority(callee), [authority(callee).rpartition(":")[0]], routes)],
                random_sampling=sampling,
            )
        )
        clusters.append(cluster(outbound_name(callee), port, http2=True))
    return node(workload(name), admin, collector, listeners, clusters)


def outbound_name(name: str) -> str:
    """The cluster name Istio gives a service."""
    host_name, _, port = authority(name).rpartition(":")
    return f"outbound|{port}||{host_name}"


def _operation(name: str) -> str:
    return f"{authority(name)}/*"
