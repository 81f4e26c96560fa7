"""Envoy's configuration, with tracing by one of its tracers or with none."""
import json

TYPES = "type.googleapis.com/envoy."
HTTP = TYPES + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = TYPES + "extensions.filters.http.router.v3.Router"
SECURE = TYPES + "extensions.transport_sockets.tls.v3.DownstreamTlsContext"
PROTOCOLS = TYPES + "extensions.upstreams.http.v3.HttpProtocolOptions"


def zipkin():
    return {"name": "envoy.tracers.zipkin", "typed_config": {
        "@type": TYPES + "config.trace.v3.ZipkinConfig", "collector_cluster": "sink", "collector_endpoint": "/api/v2/spans",
        "collector_endpoint_version": "HTTP_JSON", "shared_span_context": True, "trace_id_128bit": True}}


def otlp(port):
    return {"name": "envoy.tracers.opentelemetry", "typed_config": {
        "@type": TYPES + "config.trace.v3.OpenTelemetryConfig", "service_name": "bench-proxy",
        "http_service": {"http_uri": {"uri": f"http://127.0.0.1:{port}/v1/traces", "cluster": "sink", "timeout": "5s"}}}}


def manager(name, cluster, tracer, percent):
    made = {"@type": HTTP, "stat_prefix": name, "codec_type": "AUTO", "generate_request_id": tracer is not None,
            "use_remote_address": True, "common_http_protocol_options": {"idle_timeout": "3600s"},
            "http2_protocol_options": {"max_concurrent_streams": 128},
            "route_config": {"name": "routes", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "60s"}}]}]},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER, "dynamic_stats": False, "suppress_envoy_headers": True}}]}
    if tracer:
        made["tracing"] = {"random_sampling": {"value": percent}, "client_sampling": {"value": 100}, "overall_sampling": {"value": 100},
                           "spawn_upstream_span": False, "provider": tracer}
    return made


def listener(name, port, http, certificate=None, key=None):
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": http}]}
    if certificate:
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {"@type": SECURE, "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [{"certificate_chain": {"filename": certificate}, "private_key": {"filename": key}}]}}}
    return {"name": name, "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}, "tcp_backlog_size": 4096, "filter_chains": [chain]}


def cluster(name, port, http2=False):
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    protocol = {"http2_protocol_options": {"max_concurrent_streams": 128}} if http2 else {"http_protocol_options": {}}
    return {"name": name, "type": "STATIC", "connect_timeout": "5s", "lb_policy": "ROUND_ROBIN",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
            "circuit_breakers": {"thresholds": [{"max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000, "max_retries": 3}]},
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": PROTOCOLS, "explicit_http_config": protocol, "common_http_protocol_options": {"idle_timeout": "3600s"}}}}


def configuration(bed, ports, tracer=None, percent=100):
    """JSON; `tracer` is "zipkin", "otlp" or None."""
    made = {"zipkin": zipkin, "otlp": lambda: otlp(bed.ports["sink"])}[tracer]() if tracer else None

    def http(name, to):
        return manager(name, to, made, percent)
    return json.dumps({"node": {"id": "bench", "cluster": "bench-proxy"}, "static_resources": {
        "listeners": [listener("h1", ports["h1"], http("h1", "up")), listener("h2c", ports["h2c"], http("h2c", "up")),
                      listener("h2c_h2c", ports["h2c-h2c"], http("h2c_h2c", "up_h2")),
                      listener("tls", ports["tls"], http("tls", "up"), bed.certificate, bed.key)],
        "clusters": [cluster("up", bed.ports["up"]), cluster("up_h2", bed.ports["up_h2"], True), cluster("sink", bed.ports["sink"])]}}, indent=1)
