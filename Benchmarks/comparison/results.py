"""Rows to and from JSON lines; medians, ratios and their spread."""
import dataclasses
import json
import statistics

RUN = 1000  # more than a run has rounds
QUIET = 0.1  # the quantile of all windows that is called quiet


class Writer:
    """Appends to a results file: a header, then rows as they come."""

    def __init__(self, path, header, append=False):
        self.file = open(path, "a" if append else "w", encoding="ascii")
        self.write({"header": header})

    def write(self, row):
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()


def read(paths):
    """Headers and rows of several files. Rounds of different runs, each begun by its header, get different numbers: they have not met the same machine."""
    headers, rows = [], []
    for path in paths:
        with open(path, encoding="ascii") as file:
            for line in filter(str.strip, file):
                made = json.loads(line)
                if "header" in made:
                    headers.append(made["header"])
                else:
                    rows.append({**made, "round": made["round"] + RUN * len(headers)})
    return headers, rows


def usable(rows):
    """Rows that count, of one scenario, target and x: none with faults; disturbed ones only where there are not 2 quiet ones."""
    good = [row for row in rows if not row.get("faults")]
    quiet = [row for row in good if not row.get("disturbed")]
    return quiet if len(quiet) >= 2 else good


@dataclasses.dataclass
class Spread:
    median: float
    low: float
    high: float

    def __format__(self, form):
        return f"{self.median:{form}} ({self.low:{form}}–{self.high:{form}})"


def spread(values):
    """Median, smallest and largest; None of nothing."""
    values = [value for value in values if value is not None]
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def quantile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None


class Cell:
    """What is known of one scenario, target and x."""

    def __init__(self, rows):
        timed = [row for row in rows if "syscalls" not in row]  # strace slows a proxy down: what it has counted is no turn
        self.counted = [row for row in rows if "syscalls" in row and not row.get("faults")]
        self.all = timed or rows
        self.rows = usable(self.all)

    def spread(self, field):
        return spread(row.get(field) for row in (self.counted if field == "syscalls" else self.rows))

    def median(self, field):
        found = self.spread(field)
        return found.median if found else None

    def quiet(self):
        """CPU microseconds in undisturbed windows: the 10th percentile of all windows, or of whole rows where there are none."""
        good = [row for row in self.all if not row.get("faults")]
        windows = [window for row in good for window in row.get("windows", [])]
        return quantile(windows or [row["cpu_us"] for row in good if "cpu_us" in row], QUIET)

    @property
    def left_out(self):
        """Rows that were good but disturbed, and do not count."""
        return len([row for row in self.all if not row.get("faults")]) - len(self.rows)

    def faults(self):
        return sorted({fault for row in self.all for fault in row.get("faults", [])})


def cells(rows):
    """{(scenario, x): {target: Cell}}, in the order of the rows."""
    grouped = {}
    for row in rows:
        grouped.setdefault((row["scenario"], row.get("x")), {}).setdefault(row["target"], []).append(row)
    return {key: {target: Cell(found) for target, found in targets.items()} for key, targets in grouped.items()}


def ratio(ours, other, field="cpu_us"):
    """Ours divided by the other, round by round: rounds are interleaved, so that both have met the same machine. Rounds only one has are left out;
    where there are none in common, medians are divided."""
    mine = {row["round"]: row[field] for row in ours.rows if row.get(field)}
    theirs = {row["round"]: row[field] for row in other.rows if row.get(field)}
    common = [mine[number] / theirs[number] for number in mine if number in theirs]
    if not common and mine and theirs:
        common = [statistics.median(mine.values()) / statistics.median(theirs.values())]
    return spread(common)


def quiet_ratio(ours, other):
    mine, theirs = ours.quiet(), other.quiet()
    return mine / theirs if mine and theirs else None


COLUMNS = [("CPU µs", "cpu_us", ".1f"), ("quiet", None, ".1f"), ("user", "user_us", ".1f"), ("system", "system_us", ".1f"), ("requests/s", "rps", ".0f"),
           ("p50 µs", "p50_us", ".0f"), ("added p50 µs", "added_p50_us", ".1f"), ("p99 µs", "p99_us", ".0f"),
           ("RSS KiB", "rss_kib", ".0f"), ("KiB idle", "idle_kib", ".2f"),
           ("syscalls", "syscalls", ".2f"), ("spans", "spans_each", ".2f")]


def text(value, form):
    return format(value, form) if value is not None else "-"


def line(target, cell, ours):
    values = [target, f"{len(cell.rows)}/{len(cell.all)}"]
    for _, field, form in COLUMNS:
        if field is None:
            values.append(text(cell.quiet(), form))
        else:
            found = cell.spread(field)
            values.append(text(found if field == "cpu_us" or not found else found.median, form))
    values += [text(ratio(ours, cell), ".2f"), text(quiet_ratio(ours, cell), ".2f")] if ours and target != "ours" else ["-", "-"]
    return values


def table(rows, titles):
    """For people at a terminal: a table a scenario and x, with the reasons why rows do not count."""
    out, heads = [], ["target", "rows"] + [head for head, _, _ in COLUMNS] + ["ours ÷ it", "quiet"]
    for (scenario, x), targets in cells(rows).items():
        out.append(f"\n{scenario}: {titles.get(scenario, '')}" + (f", {x}" if x is not None else ""))
        lines = [line(target, cell, targets.get("ours")) for target, cell in targets.items()]
        kept = [index for index, head in enumerate(heads) if index < 2 or any(values[index] != "-" for values in lines)]
        lines = [[values[index] for index in kept] for values in [heads] + lines]
        widths = [max(len(values[index]) for values in lines) for index in range(len(kept))]
        out += ["  " + values[0].ljust(widths[0]) + "".join("  " + value.rjust(width) for value, width in zip(values[1:], widths[1:])) for values in lines]
        out += [f"  {target}, thrown out: {fault}" for target, cell in targets.items() for fault in cell.faults()]
        out += [f"  {target}: {cell.left_out} disturbed rows left out" for target, cell in targets.items() if cell.left_out]
    return "\n".join(out)
