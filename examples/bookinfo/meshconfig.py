# SPDX-License-Identifier: Apache-2.0
"""Writes the configuration of each Envoy of the mesh, with the tracing settings of today's Istio.

128-bit ids, no shared spans, Zipkin v2 JSON to /api/v2/spans, and an upstream span of its own on the gateway only.
Random sampling is 0 %: no Envoy starts a trace by itself, so a trace that is there shows that the decision made at the
edge was obeyed on every hop.
"""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]

GATEWAY = "istio-ingressgateway.istio-system"
GATEWAY_PREFIXES = ("/static", "/api/v1/products")
GATEWAY_PATHS = ("/productpage", "/login", "/logout")
_TYPE = "type.googleapis.com/envoy."


def gateway(port: int, admin: int, collector: int, productpage: int) -> Config:
    """The ingress gateway: Bookinfo's five public paths, everything else 404."""
    matches = [{"path": path} for path in GATEWAY_PATHS] + [{"prefix": prefix} for prefix in GATEWAY_PREFIXES]
    name = outbound_name("productpage")
    return _envoy(
        GATEWAY,
        admin,
        collector,
        listeners=[
            _listener(
                "0.0.0.0_8080",
                port,
                "OUTBOUND",
                stat_prefix="outbound_0.0.0.0_8080",
                hosts=[_host("*:80", ["*"], [_route(match, name, "productpage") for match in matches])],
                spawn_upstream_span=True,
                edge=True,
            )
        ],
        clusters=[_cluster(name, productpage)],
    )


def sidecar(
    service: str, inbound: int, outbound: int, admin: int, collector: int, app: int, mesh: dict[str, int]
) -> Config:
    """A sidecar: `inbound` to the application on `app`, `outbound` to the inbound ports in `mesh` by service name."""
    return _envoy(
        f"{service}.default",
        admin,
        collector,
        listeners=[
            _listener(
                "virtualInbound",
                inbound,
                "INBOUND",
                stat_prefix="inbound_0.0.0.0_9080",
                hosts=[_host("inbound|http|9080", ["*"], [_route({"prefix": "/"}, "inbound|9080||", service)])],
            ),
            _listener(
                "virtualOutbound",
                outbound,
                "OUTBOUND",
                stat_prefix="outbound_0.0.0.0_9080",
                hosts=[
                    _host(
                        f"{name}.default.svc.cluster.local:9080",
                        [f"{name}.default.svc.cluster.local", name, f"{name}.default", f"{name}.default.svc"],
                        [_route({"prefix": "/"}, outbound_name(name), name)],
                    )
                    for name in mesh
                ],
            ),
        ],
        clusters=[_cluster("inbound|9080||", app)]
        + [_cluster(outbound_name(name), port) for name, port in mesh.items()],
    )


def outbound_name(service: str) -> str:
    """The cluster name Istio gives a service of the default namespace."""
    return f"outbound|9080||{service}.default.svc.cluster.local"


def _envoy(service_cluster: str, admin: int, collector: int, listeners: list[Config], clusters: list[Config]) -> Config:
    return {
        # The Zipkin tracer takes its service name from node.cluster.
        "node": {"id": f"{service_cluster}-0", "cluster": service_cluster},
        "admin": {"address": _socket(admin)},
        # Envoy's own defaults are 5 spans or 5 s; a picture is wanted sooner.
        "layered_runtime": {
            "layers": [
                {
                    "name": "static",
                    "static_layer": {"tracing.zipkin.flush_interval_ms": 200, "tracing.zipkin.min_flush_spans": 5},
                }
            ]
        },
        "static_resources": {"listeners": listeners, "clusters": [*clusters, _cluster("zipkin", collector)]},
    }


def _listener(
    name: str,
    port: int,
    direction: str,
    *,
    stat_prefix: str,
    hosts: list[Config],
    spawn_upstream_span: bool = False,
    edge: bool = False,
) -> Config:
    manager = {
        "@type": _TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": stat_prefix,
        "server_name": "istio-envoy",
        "use_remote_address": edge,
        "normalize_path": True,
        "tracing": _tracing(spawn_upstream_span),
        "route_config": {"name": name, "virtual_hosts": hosts, "ignore_port_in_host_matching": True},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": _TYPE + "extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    return {
        "name": name,
        "address": _socket(port),
        "traffic_direction": direction,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _tracing(spawn_upstream_span: bool) -> Config:
    return {
        "client_sampling": {"value": 100},
        "random_sampling": {"value": 0},
        "overall_sampling": {"value": 100},
        "spawn_upstream_span": spawn_upstream_span,
        "provider": {
            "name": "envoy.tracers.zipkin",
            "typed_config": {
                "@type": _TYPE + "config.trace.v3.ZipkinConfig",
                "collector_cluster": "zipkin",
                "collector_endpoint": "/api/v2/spans",
                "collector_endpoint_version": "HTTP_JSON",
                "trace_id_128bit": True,
                "shared_span_context": False,
            },
        },
    }


def _host(name: str, domains: list[str], routes: list[Config]) -> Config:
    return {"name": name, "domains": domains, "routes": routes}


def _route(match: Config, cluster: str, service: str) -> Config:
    return {
        "match": match,
        "route": {
            "cluster": cluster,
            "timeout": "0s",
            "retry_policy": {"retry_on": "connect-failure,refused-stream", "num_retries": 2},
        },
        "decorator": {"operation": f"{service}.default.svc.cluster.local:9080/*"},
    }


def _cluster(name: str, port: int) -> Config:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _socket(port)}}]}],
        },
    }


def _socket(port: int) -> Config:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
