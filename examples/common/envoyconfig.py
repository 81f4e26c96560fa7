# SPDX-License-Identifier: Apache-2.0
"""The pieces of an Envoy's configuration, with the tracing settings of today's Istio.

128-bit ids, no shared spans, Zipkin v2 JSON to /api/v2/spans. Random sampling is 0 % in a mesh: no Envoy starts a trace by
itself, so a trace that is there shows that the decision made at the edge was obeyed on every hop.
"""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]

_TYPE = "type.googleapis.com/envoy."
_HTTP_OPTIONS = _TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP_OPTIONS_NAME = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def node(service_cluster: str, admin: int, collector: int, listeners: list[Config], clusters: list[Config]) -> Config:
    """One Envoy, whole; `service_cluster` is its service name in spans."""
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
        "static_resources": {"listeners": listeners, "clusters": [*clusters, cluster("zipkin", collector)]},
    }


def listener(
    name: str,
    port: int,
    direction: str,
    *,
    stat_prefix: str,
    hosts: list[Config],
    spawn_upstream_span: bool = False,
    edge: bool = False,
    random_sampling: float = 0,
    tls: Config | None = None,
) -> Config:
    """A listener for HTTP/1.1 and, by prior knowledge, HTTP/2; `spawn_upstream_span` as today's gateways have it."""
    manager = {
        "@type": _TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": stat_prefix,
        "server_name": "istio-envoy",
        "use_remote_address": edge,
        "normalize_path": True,
        "tracing": _tracing(spawn_upstream_span, random_sampling),
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
            {
                "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
                **({"transport_socket": tls} if tls else {}),
            }
        ],
    }


def mutual_tls(certificate: str, key: str, authority: str) -> Config:
    """For a listener: callers show a certificate of that authority; each text names a PEM file."""
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": _TYPE + "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": True,
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [
                    {"certificate_chain": {"filename": certificate}, "private_key": {"filename": key}}
                ],
                "validation_context": {"trusted_ca": {"filename": authority}},
            },
        },
    }


def _tracing(spawn_upstream_span: bool, random_sampling: float) -> Config:
    return {
        "client_sampling": {"value": 100},
        "random_sampling": {"value": random_sampling},
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


def host(name: str, domains: list[str], routes: list[Config]) -> Config:
    """A virtual host."""
    return {"name": name, "domains": domains, "routes": routes}


def route(match: Config, cluster_name: str, operation: str) -> Config:
    """A route without deadline, tried again where that is safe."""
    return {
        "match": match,
        "route": {
            "cluster": cluster_name,
            "timeout": "0s",
            "retry_policy": {"retry_on": "connect-failure,refused-stream", "num_retries": 2},
        },
        "decorator": {"operation": operation},
    }


def cluster(name: str, port: int, http2: bool = False) -> Config:
    """One endpoint on loopback."""
    config: Config = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _socket(port)}}]}],
        },
    }
    if http2:
        options = {"@type": _HTTP_OPTIONS, "explicit_http_config": {"http2_protocol_options": {}}}
        config["typed_extension_protocol_options"] = {_HTTP_OPTIONS_NAME: options}
    return config


def _socket(port: int) -> Config:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
