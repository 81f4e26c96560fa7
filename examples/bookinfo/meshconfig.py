# SPDX-License-Identifier: Apache-2.0
"""Writes the configuration of each Envoy of the mesh; only the gateway has an upstream span of its own."""

from __future__ import annotations

from envoyconfig import Config, cluster, host, listener, node, route

GATEWAY = "istio-ingressgateway.istio-system"
GATEWAY_PREFIXES = ("/static", "/api/v1/products")
GATEWAY_PATHS = ("/productpage", "/login", "/logout")


def gateway(port: int, admin: int, collector: int, productpage: int, tls: Config | None = None) -> Config:
    """The ingress gateway: Bookinfo's five public paths, everything else 404; with `tls` it ends that."""
    matches = [{"path": path} for path in GATEWAY_PATHS] + [{"prefix": prefix} for prefix in GATEWAY_PREFIXES]
    name = outbound_name("productpage")
    return node(
        GATEWAY,
        admin,
        collector,
        listeners=[
            listener(
                "0.0.0.0_8080",
                port,
                "OUTBOUND",
                stat_prefix="outbound_0.0.0.0_8080",
                hosts=[host("*:80", ["*"], [route(match, name, _operation("productpage")) for match in matches])],
                spawn_upstream_span=True,
                edge=True,
                tls=tls,
            )
        ],
        clusters=[cluster(name, productpage)],
    )


def sidecar(
    service: str, inbound: int, outbound: int, admin: int, collector: int, app: int, mesh: dict[str, int]
) -> Config:
    """A sidecar: `inbound` to the application on `app`, `outbound` to the inbound ports in `mesh` by service name."""
    return node(
        f"{service}.default",
        admin,
        collector,
        listeners=[
            listener(
                "virtualInbound",
                inbound,
                "INBOUND",
                stat_prefix="inbound_0.0.0.0_9080",
                hosts=[
                    host("inbound|http|9080", ["*"], [route({"prefix": "/"}, "inbound|9080||", _operation(service))])
                ],
            ),
            listener(
                "virtualOutbound",
                outbound,
                "OUTBOUND",
                stat_prefix="outbound_0.0.0.0_9080",
                hosts=[
                    host(
                        f"{name}.default.svc.cluster.local:9080",
                        [f"{name}.default.svc.cluster.local", name, f"{name}.default", f"{name}.default.svc"],
                        [route({"prefix": "/"}, outbound_name(name), _operation(name))],
                    )
                    for name in mesh
                ],
            ),
        ],
        clusters=[cluster("inbound|9080||", app)]
        + [cluster(outbound_name(name), port) for name, port in mesh.items()],
    )


def outbound_name(service: str) -> str:
    """The cluster name Istio gives a service of the default namespace."""
    return f"outbound|9080||{service}.default.svc.cluster.local"


def _operation(service: str) -> str:
    return f"{service}.default.svc.cluster.local:9080/*"
