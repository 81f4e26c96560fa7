"""Which results become which picture of docs/performance/."""
from .charts import Axis, Panel, bars, lines

BARS = ["ours", "nginx", "haproxy", "nghttpx", "envoy", "envoy-zipkin100"]
SHORT = {"get": "small GET", "get16": "16 more fields", "reply10k": "reply of 10 KiB", "reply100k": "reply of 100 KiB", "reply1m": "reply of 1 MiB",
         "post10k": "POST of 10 KiB", "close": "a connection for each request", "h2c-h1": "h2c to HTTP/1.1", "h2c-h2c": "h2c to h2c",
         "grpc-unary": "gRPC, unary", "tls": "TLS 1.3, small GET", "handshake": "TLS 1.3 handshake"}


def series(cells, scenario, field, factor=1):
    """Target to [(x, median)]."""
    found = {}
    for x in sorted(x for key, x in cells if key == scenario and x is not None):
        for target, cell in cells[(scenario, x)].items():
            if (value := cell.median(field)) is not None:
                found.setdefault(target, []).append((x, value * factor))
    return found


def latency(cells, note):
    panels = [Panel(title, series(cells, "latency-rate", field), Axis("requests a second"), Axis("µs", "log"))
              for title, field in (("median", "p50_us"), ("99th percentile", "p99_us"))]
    return lines("Latency against load: small GET over 64 connections at a fixed rate", panels, note)


def memory(cells, note):
    panels = [Panel(title, series(cells, scenario, "rss_kib", 1 / 1024), Axis("idle connections", "log"), Axis("resident MiB", "log"))
              for title, scenario in (("HTTP/1.1", "idle-memory"), ("TLS 1.3", "idle-memory-tls"))]
    return lines("Resident memory against idle connections", panels, note)


def growth(cells, note):
    def panel(title, what, scenarios, scale="log"):
        found = {}
        for scenario, name in scenarios:
            for target, points in series(cells, scenario, "cpu_us").items():
                found[name if name and target == "ours" else target] = points
        return Panel(title, found, Axis(what, scale), Axis("CPU µs a request", low=0))
    upper = [panel("connections", "connections", [("growth-connections", None)]),
             panel("header fields", "fields of a request", [("growth-headers", None)], "linear")]
    lower = [panel("routes", "routes", [("growth-routes", "prefixes"), ("growth-routes-exact", "exact paths"), ("growth-routes-last", "the last prefix")]),
             panel("endpoints", "endpoints of the upstream", [("growth-endpoints", "ours")])]
    return {"growth": lines("CPU a request as connections and fields grow", upper, note),
            "growth-tables": lines("CPU a request as routes and endpoints grow", lower, note)}


def cpu(cells, note):
    groups = []
    for key, title in SHORT.items():
        found = {target: cell.spread("cpu_us") for target, cell in cells.get((key, None), {}).items() if target in BARS}
        values = {target: (one.median, one.low, one.high) for target, one in sorted(found.items(), key=lambda item: BARS.index(item[0])) if one}
        if len(values) > 1:
            groups.append((title, values))
    return bars("CPU of the proxy for each request", groups, "µs", note)


def everything(cells, note):
    """File name to picture; those without a point are left out."""
    made = {"latency": latency(cells, note), "memory": memory(cells, note), **growth(cells, note),
            "cpu": cpu(cells, note + "; bars: medians; strokes: least to most; in brackets: times ours")}
    return {name: picture for name, picture in made.items() if "<circle" in picture or picture.count("<rect") > 1}
