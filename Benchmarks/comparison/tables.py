"""Results as tables in Markdown."""
from .bars import Bars
from .results import quiet_ratio, ratio, text

FORMS = {"rps": ",.0f", "p50_us": ",.0f", "p99_us": ",.0f", "syscalls": ".2f", "spans_each": ".2f"}  # of other figures: .1f
# what a table has one column a target of, in this order
PEERS = ["floor", "nginx", "haproxy", "nghttpx", "h2o", "caddy", "pingora", "envoy", "envoy-zipkin1", "envoy-zipkin100", "envoy-otlp100"]


def markdown(heads, lines, sides=""):
    """Columns without a figure are left out. `sides`: l or r a column; the first is to the left, the others to the right."""
    if not lines:
        return "Not measured."
    kept = [index for index, _ in enumerate(heads) if index == 0 or any(values[index] not in ("", "-") for values in lines)]
    rows = [[values[index] for index in kept] for values in [heads, *lines]]
    sides = sides or "l" + "r" * (len(heads) - 1)
    ruler = ["---" if sides[index] == "l" else "---:" for index in kept]
    return "\n".join("| " + " | ".join(values) + " |" for values in [rows[0], ruler, *rows[1:]])


def ranged(found, form):
    return f"{found.median:{form}} ({found.low:{form}} to {found.high:{form}})" if found else "-"


class Tables:
    """By name, the tables of docs/performance.md."""

    def __init__(self, headers, cells, titles):
        self.headers, self.cells, self.titles = headers, cells, titles

    def machine(self):
        head = self.headers[0]
        versions = ", ".join(f"{name} {version}" for name, version in sorted(head["versions"].items()))
        lines = [["date", " to ".join(dict.fromkeys((head["date"], self.headers[-1]["date"])))],
                 ["commit", ", ".join(dict.fromkeys(one["commit"] for one in self.headers))],
                 ["machine", f"{head['machine']}, {head['cores']} cores, Linux {head['kernel']}"], ["versions", versions],
                 ["commands", "<br>".join(f"`{command}`" for command in dict.fromkeys(one["command"] for one in self.headers))]]
        return markdown(["of the run", ""], lines, "ll")

    def rows(self):
        """How many rows there are, and why some do not count."""
        every = [(target, cell) for targets in self.cells.values() for target, cell in targets.items()]
        total = sum(len(cell.all) for _, cell in every)
        faults = [(scenario, x, target, cell.faults()) for (scenario, x), targets in self.cells.items() for target, cell in targets.items()
                  if cell.faults()]
        thrown_out = sum(bool(row.get("faults")) for _, cell in every for row in cell.all)
        left_out = sum(cell.left_out for _, cell in every)
        used = sum(bool(row.get("disturbed")) for _, cell in every for row in cell.rows)
        out = [f"{total} rows; {thrown_out} thrown out with a fault, {left_out} left out because others used the machine, "
               f"{used} counted though disturbed, because not two quiet ones were had."]
        out += [f"- {scenario}{'' if x is None else f' at {x:,}'}, {target}: {'; '.join(found)}" for scenario, x, target, found in faults]
        return "\n".join(out)

    def bars(self):
        lines = []
        for number, bar in Bars(self.cells).all():
            form = ".3f" if bar.unit != "µs" else ".1f"
            limit = f"{bar.limit:.2f}" if bar.unit != "µs" else f"{bar.limit:.0f} µs"
            lines.append([str(number), bar.text, limit, ranged(bar.measured, form), text(bar.quiet, form), bar.verdict])
        return markdown(["", "bar", "at most", "median (least to most)", "quiet", "verdict"], lines, "llrrrl")

    def cpu(self):
        """Ours in microseconds; ours divided by each other's, by the median of the rounds and by quiet windows. Spreads are in the tables of the scenarios."""
        lines = []
        for (scenario, x), targets in self.cells.items():
            ours = targets.get("ours")
            if x is not None or scenario == "latency1" or not ours or not ours.median("cpu_us") or len(targets) < 2:
                continue
            row = [self.titles.get(scenario, scenario), text(ours.median("cpu_us"), ".1f")]
            for peer in PEERS:
                other = targets.get(peer)
                made = ratio(ours, other) if other else None
                row.append(f"{made.median:.2f} / {text(quiet_ratio(ours, other), '.2f')}" if made else "-")
            lines.append(row)
        return markdown(["", "ours, µs", *(f"÷ {peer}" for peer in PEERS)], lines)

    def alone(self):
        """Scenarios only ours takes part in: sampling, encodings, the collector away."""
        base, lines = self.cells.get(("sampling100", None), {}).get("ours"), []
        for (scenario, x), targets in self.cells.items():
            ours = targets.get("ours")
            if x is None and ours and list(targets) == ["ours"] and ours.median("cpu_us"):
                made = ratio(ours, base) if base and base is not ours else None
                lines.append([self.titles.get(scenario, scenario), ranged(ours.spread("cpu_us"), ".2f"), text(ours.quiet(), ".2f"), ranged(made, ".3f"),
                              text(quiet_ratio(ours, base) if made else None, ".3f")])
        return markdown(["", "CPU µs", "quiet", "÷ all sampled", "quiet"], lines)

    def latency(self):
        ones = self.cells.get(("latency1", None), {})
        lines = [[target, *(ranged(cell.spread(field), ".1f") for field in ("added_p50_us", "added_p99_us")), text(cell.median("p50_us"), ".1f")]
                 for target, cell in ones.items() if cell.rows]
        out = [markdown(["one connection, closed loop", "added p50 µs", "added p99 µs", "p50 µs"], lines)]
        for x in sorted(x for key, x in self.cells if key == "latency-share" and x >= 50):
            lines = [[target, *(text(cell.median(field), ",.0f") for field in ("rate", "p50_us", "p99_us", "p999_us"))]
                     for target, cell in self.cells[("latency-share", x)].items() if cell.rows]
            out.append(markdown([f"at {x} % of its own saturation", "requests/s", "p50 µs", "p99 µs", "p99.9 µs"], lines))
        for x in sorted(x for key, x in self.cells if key == "latency-same"):
            lines = [[target, *(ranged(cell.spread(field), ",.0f") for field in ("p50_us", "p99_us", "p999_us"))]
                     for target, cell in self.cells[("latency-same", x)].items() if cell.rows]
            out.append(markdown([f"at {x:,} requests/s", "p50 µs", "p99 µs", "p99.9 µs"], lines))
        return "\n\n".join(out)

    def by_x(self, scenario, field, form, factor=1):
        """A line a target, a column an x."""
        places = sorted(x for key, x in self.cells if key == scenario)
        targets = list(dict.fromkeys(target for x in places for target in self.cells[(scenario, x)]))
        lines = []
        for target in targets:
            found = [self.cells[(scenario, x)].get(target) for x in places]
            values = [cell.median(field) if cell else None for cell in found]
            lines.append([target, *(text(value * factor if value is not None else None, form) for value in values)])
        return markdown([self.titles.get(scenario, scenario), *(f"{x:,}" for x in places)], lines) if places else ""

    def memory(self):
        fields = (("Resident MiB:", "rss_kib", ".1f", 1 / 1024), ("KiB a connection:", "idle_kib", ".2f", 1),
                  ("Resident MiB when all are idle again after a request of each at the same time:", "burst_rss_kib", ".1f", 1 / 1024))
        parts = [(name, self.by_x(scenario, field, form, factor)) for scenario in ("idle-memory", "idle-memory-tls") for name, field, form, factor in fields]
        return "\n\n".join(f"{name}\n\n{part}" for name, part in parts if part) or "Not measured."

    def growth(self):
        scenarios = dict.fromkeys(key for key, _ in self.cells if key.startswith("growth-"))
        return "\n\n".join(filter(None, (self.by_x(scenario, "cpu_us", ".1f") for scenario in scenarios))) or "Not measured."

    def scenarios(self):
        """Every figure of every scenario."""
        out = []
        fields = [("CPU µs", "cpu_us"), ("quiet", None), ("user", "user_us"), ("system", "system_us"), ("requests/s", "rps"), ("p50 µs", "p50_us"),
                  ("p99 µs", "p99_us"), ("system calls", "syscalls"), ("RSS MiB", "rss_kib"), ("spans", "spans_each")]
        for (scenario, x), targets in self.cells.items():
            if x is not None or scenario == "latency1":
                continue
            ours = targets.get("ours")
            lines = []
            for target, cell in targets.items():
                made = ratio(ours, cell) if ours and target != "ours" else None
                lines.append([target, f"{len(cell.rows)} of {len(cell.all)}", *(self.figure(cell, field) for _, field in fields), ranged(made, ".2f"),
                              text(quiet_ratio(ours, cell) if made else None, ".2f")])
            heads = ["", "rows", *(head for head, _ in fields), "ours ÷ it", "quiet"]
            out.append(f"**{self.titles.get(scenario, scenario)}** (`{scenario}`)\n\n{markdown(heads, lines)}")
        return "\n\n".join(out)

    @staticmethod
    def figure(cell, field):
        if field is None:
            return text(cell.quiet(), ".1f")
        found = cell.spread(field)
        if found is None:
            return "-"
        if field == "cpu_us":
            return ranged(found, ".1f")
        if field == "rss_kib":
            return f"{found.median / 1024:.1f}"
        return format(found.median, FORMS.get(field, ".1f"))

    NAMES = ("machine", "rows", "bars", "cpu", "alone", "latency", "memory", "growth", "scenarios")

    def named(self, name):
        return getattr(self, name)()
