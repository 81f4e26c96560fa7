"""Added latency on one connection, and latency at fixed rates.

Each function takes the test bed, a running proxy and options, and gives rows without scenario, target and round: what only the caller knows.
"""
import dataclasses
import json
import re

from .bed import BedError, fetch, helper, tree, which
from .machine import Watch, cpu_nanoseconds
from .peers import H1

PATH = "/0k"
CONNECTIONS = 64
SHARES = (10, 30, 50, 70, 90)  # percent of a target's own saturation
RATES = (1000, 2000, 5000, 10_000, 15_000, 20_000, 25_000, 30_000, 40_000, 50_000)  # requests a second, the same for all targets
HIGHEST_SHARE = 0.95  # of its saturation, up to which a target is asked for a common rate
WARM_SECONDS = 0.3
FIELDS = {"p50": "p50_us", "p90": "p90_us", "p99": "p99_us", "p999": "p999_us", "max": "max_us", "mean": "mean_us", "delay_p50": "delay_p50_us",
          "delay_p99": "delay_p99_us"}


@dataclasses.dataclass
class Measured:
    """What the load generator printed, with what the proxy used meanwhile and why it does not count."""
    printed: dict
    row: dict


def load(bed, port, rate, seconds, connections=CONNECTIONS, warm=WARM_SECONDS):
    """Runs the load generator; microseconds by its own names. See helpers/latency.c."""
    command = [helper("latency"), port, PATH, rate, seconds, connections, warm]
    output = bed.run(command, seconds + warm + 10)
    if not output.startswith("{"):
        raise BedError(f"latency: {output.strip()[-300:]}")
    return json.loads(output)


def row_of(printed):
    """Unanswered requests are no fault: their waiting is in the latencies. Bad ones are."""
    row = {FIELDS[name]: printed[name] for name in FIELDS}
    row |= {"requests": printed["n"], "seconds": printed["seconds"], "rps": printed["n"] / printed["seconds"], "unanswered": printed["unanswered"], "faults": []}
    if printed["bad"]:
        row["faults"].append(f"{printed['bad']} of {printed['n']} responses were not whole with status 200")
    if not printed["n"]:
        row["faults"].append("no response at all")
    return row


def watched(bed, running, work):
    """The row of some work, with what the proxy and others have used meanwhile, and whether the upstream has seen it all."""
    pids = tree(running.process.pid)
    requests, before, watch = bed.seen("up")["requests"], cpu_nanoseconds(pids), Watch([*pids, *bed.helper_pids])
    row = work()
    used = cpu_nanoseconds(pids) - before
    row["foreign"], row["disturbed"] = watch.verdict()
    passed = bed.seen("up")["requests"] - requests
    if passed < row["requests"] - row.get("unanswered", 0):
        row["faults"].append(f"the upstream has seen {passed} requests of {row['requests']}")
    row["cpu_us"] = used / 1000 / max(1, passed)
    return row


def closed_loop(bed, running, seconds):
    """One connection, the next request after each response. Added is the median through the proxy less the median directly at the upstream,
    which is measured just before and just after."""
    port = running.ports[H1]
    third = max(0.3, seconds / 3)
    load(bed, port, 0, WARM_SECONDS, 1, 0)
    before = load(bed, bed.ports["up"], 0, third, 1, 0.1)
    row = watched(bed, running, lambda: row_of(load(bed, port, 0, third, 1, 0.1)))
    after = load(bed, bed.ports["up"], 0, third, 1, 0.1)
    direct = {name: (before[name] + after[name]) / 2 for name in ("p50", "p99")}
    row |= {"direct_p50_us": direct["p50"], "direct_p99_us": direct["p99"], "added_p50_us": row["p50_us"] - direct["p50"],
            "added_p99_us": row["p99_us"] - direct["p99"]}
    yield row


def saturation(bed, running, seconds=1.0):
    """Requests a second with as many connections that always have one under way."""
    port = running.ports[H1]
    output = bed.run([which("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}", f"http://127.0.0.1:{port}{PATH}"], seconds + 20)
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if not found or "Non-2xx" in output or "Socket errors" in output:
        raise BedError(f"saturation: {output.strip()[-300:]}")
    return float(found[1])


def at_rate(bed, running, rate, seconds):
    return watched(bed, running, lambda: row_of(load(bed, running.ports[H1], round(rate), seconds)) | {"rate": round(rate)})


def at_shares(bed, running, seconds, shares=SHARES):
    """x: percent of the saturation this proxy has shown just before."""
    highest = saturation(bed, running)
    for share in shares:
        yield at_rate(bed, running, highest * share / 100, seconds) | {"x": share, "saturation": round(highest)}


def at_rates(bed, running, seconds, rates=RATES):
    """x: requests a second. Rates it cannot hold are left out."""
    highest = saturation(bed, running)
    for rate in rates:
        if rate <= HIGHEST_SHARE * highest:
            yield at_rate(bed, running, rate, seconds) | {"x": rate, "saturation": round(highest)}


def check(running):
    """One request, before any load: a proxy that answers something else is not measured."""
    status, body = fetch(running.ports[H1], PATH)
    if status != 200 or len(body) != 20:
        raise BedError(f"status {status} with {len(body)} bytes in place of 200 with 20")
