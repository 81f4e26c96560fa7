"""The bars the proxy is held to, with what was measured: met, missed, or not measured."""
import dataclasses

from .results import Spread, quiet_ratio, ratio, spread


@dataclasses.dataclass
class Bar:
    text: str
    limit: float
    measured: Spread | None
    quiet: float | None = None
    unit: str = ""

    @property
    def verdict(self):
        if self.measured is None:
            return "not measured"
        met = self.measured.median <= self.limit
        other = "" if self.quiet is None or (self.quiet <= self.limit) == met else f", by quiet windows {'missed' if met else 'met'}"
        return ("met" if met else "**missed**") + other


def added(cell):
    """Added median latency by round."""
    return {row["round"]: row["added_p50_us"] for row in cell.rows if "added_p50_us" in row} if cell else {}


class Bars:
    """`cells` as results.cells() gives them."""

    def __init__(self, cells):
        self.cells = cells

    def cell(self, scenario, target="ours", x=None):
        found = self.cells.get((scenario, x), {}).get(target)
        return found if found and found.rows else None

    def largest(self, scenario, target, below=None):
        """The cell with the largest x: how far a scenario went."""
        places = [x for key, x in self.cells if key == scenario and x is not None and (below is None or x <= below) and self.cell(scenario, target, x)]
        return self.cell(scenario, target, max(places)) if places else None

    def against(self, text, limit, scenario, *targets):
        """Ours against the best of some targets, by CPU: the one with the largest ratio."""
        ours = self.cell(scenario)
        found = []
        for target in targets:
            other = self.cell(scenario, target)
            if ours and other and (made := ratio(ours, other)):
                found.append((made.median, target, made, quiet_ratio(ours, other)))
        if not found:
            return Bar(text, limit, None)
        _, target, made, quiet = max(found, key=lambda one: one[0])
        return Bar(f"{text} ({target})" if len(targets) > 1 else text, limit, made, quiet, "×")

    def between(self, text, limit, cell, other, field="cpu_us"):
        """One cell against another, ours both, or of one field."""
        if not cell or not other or not (made := ratio(cell, other, field)):
            return Bar(text, limit, None)
        return Bar(text, limit, made, quiet_ratio(cell, other) if field == "cpu_us" else None, "×")

    def latency(self):
        mine, theirs = added(self.cell("latency1")), added(self.cell("latency1", "nginx"))
        differences = spread(mine[number] - theirs[number] for number in mine if number in theirs)
        yield Bar("added p50 latency at one connection, less nginx's", 0, differences, unit="µs")
        ours, other = self.cell("latency-share", x=70), self.cell("latency-share", "haproxy", 70)
        yield self.between("p99 latency at 70 % of each one's saturation ÷ HAProxy's", 1.0, ours, other, "p99_us")
        ours, other = self.cell("latency-same", x=40_000), self.cell("latency-same", "haproxy", 40_000)
        yield self.between("p99 latency at 40,000 requests/s ÷ HAProxy's", 1.0, ours, other, "p99_us")

    def all(self):
        """(number in the list of issue 7, bar)."""
        for target, limit in (("nginx", 0.88), ("haproxy", 0.88), ("floor", 1.06), ("envoy-zipkin100", 0.25)):
            yield 1, self.against(f"small GET, 64 connections ÷ {target}", limit, "get", target)
        for scenario, text in (("reply10k", "replies of 10 KiB"), ("reply100k", "replies of 100 KiB"), ("reply1m", "replies of 1 MiB"),
                               ("post10k", "POST of 10 KiB"), ("close", "a new connection for each request"), ("tls", "TLS keep-alive")):
            yield 2, self.against(f"{text} ÷ best of nginx, HAProxy", 1.0, scenario, "nginx", "haproxy")
        for scenario, text, limit in (("h2c-h1", "h2c to HTTP/1.1", 0.8), ("h2c-h2c", "h2c to h2c", 0.95)):
            yield 2, self.against(f"{text} ÷ best of nghttpx, HAProxy", limit, scenario, "nghttpx", "haproxy")
        for target in ("envoy", "envoy-zipkin100"):
            yield 2, self.against(f"gRPC unary ÷ {target}", 0.25, "grpc-unary", target)
        for bar in self.latency():
            yield 3, bar
        yield 3, self.between("sampling 100 % ÷ sampling 0 %", 1.03, self.cell("sampling100"), self.cell("sampling0"))
        yield 3, self.between("a dead collector ÷ one that lives", 1.01, self.cell("collector-down"), self.cell("sampling100"))
        memory = {target: self.largest("idle-memory", target) for target in ("ours", "haproxy")}
        yield 4, self.between("memory of an idle connection, 10,000 of them ÷ HAProxy's", 1.0, memory["ours"], memory["haproxy"], "idle_kib")
        for scenario, text in (("growth-routes", "prefixes"), ("growth-routes-exact", "exact paths"),
                               ("growth-routes-last", "prefixes, the last one asked for")):
            yield 5, self.between(f"10,000 routes ÷ 1 ({text})", 1.3, self.cell(scenario, x=10000), self.cell(scenario, x=1))
        yield 5, self.between("100 header fields ÷ 10", 2.0, self.cell("growth-headers", x=100), self.cell("growth-headers", x=10))
