"""Added latency on one connection, and latency at fixed rates: rows of kind latency."""
import json

from . import checks, loads
from .bed import BedError, helper, tree
from .machine import Watch, cpu_nanoseconds

RETRIES_ROWS = True  # a disturbed row is measured again here, not the whole turn
CONNECTIONS = 64
SHARES = (10, 30, 50, 70, 90)  # percent of a target's own saturation
RATES = (1000, 2000, 5000, 10_000, 15_000, 20_000, 25_000, 30_000, 40_000, 50_000)  # requests a second, the same for all targets
HIGHEST = 0.95  # of its saturation, up to which a target is asked for a common rate
WARM_SECONDS = 0.3  # of the same load, before it counts
FIELDS = {"p50": "p50_us", "p90": "p90_us", "p99": "p99_us", "p999": "p999_us", "max": "max_us", "mean": "mean_us", "delay_p50": "delay_p50_us",
          "delay_p99": "delay_p99_us"}


def measure(bed, peer, scenario, options):
    """The rows of one turn of one proxy."""
    before = bed.seen("up")["requests"], bed.seen("sink")["spans"]
    running = peer.start(bed, scenario.listener)
    try:
        if faults := checks.answers(bed, scenario, running.ports[scenario.listener]):
            return [{"faults": faults}]
        turn = Turn(bed, scenario, running, options)
        rows = list(turn.one_connection() if scenario.connections == 1 else turn.rates())
        passed = bed.seen("up")["requests"] - before[0] - turn.passed_by
        in_flight = 2 * CONNECTIONS  # what wrk or we had under way at an end may have left spans or not
        _, _, faults = checks.spans(bed, peer, scenario, passed, passed - in_flight, before[1])
        return [{**row, "faults": row["faults"] + faults} for row in rows]
    finally:
        bed.stop(running.process)


class Turn:
    """One proxy that runs, and what is asked of it."""

    def __init__(self, bed, scenario, running, options):
        self.bed, self.scenario, self.running, self.options = bed, scenario, running, options
        self.port = running.ports[scenario.listener]
        self.pids = tree(running.process.pid)
        self.passed_by = 0  # requests that the upstream got directly

    def one_connection(self):
        """A closed loop. Added is the median through the proxy less the median at the upstream itself, just before and just after."""
        self.load(self.port, 0, WARM_SECONDS, 1)
        yield self.undisturbed(self.added)

    def added(self):
        third = max(0.3, self.options.seconds / 3)
        before = self.direct(third)
        row = self.watched(lambda: self.load(self.port, 0, third, 1))
        after = self.direct(third)
        for name in ("p50", "p99"):
            direct = (before[name] + after[name]) / 2
            row[f"direct_{name}_us"], row[f"added_{name}_us"] = direct, row[f"{name}_us"] - direct
        return row

    def direct(self, seconds):
        printed = self.load(self.bed.ports["up"], 0, seconds, 1)
        self.passed_by += printed["n"]
        return printed

    def rates(self):
        """x is a rate, or percent of the saturation this proxy has shown just before."""
        loads.warm_up(self.bed, self.scenario, self.port, self.options.warm_up)
        highest = loads.wrk(self.bed, self.scenario, self.port, 1)["rps"]
        shares = self.scenario.options["of"] == "saturation"
        rates = self.scenario.options.get("rates", RATES)
        for x in SHARES if shares else [rate for rate in rates if rate <= HIGHEST * highest]:
            rate = round(highest * x / 100 if shares else x)
            row = self.undisturbed(lambda: self.watched(lambda: self.load(self.port, rate, self.options.seconds, CONNECTIONS, WARM_SECONDS)))
            yield {"x": x, "rate": rate, "saturation": round(highest), **row}

    def load(self, port, rate, seconds, connections, warm=0):
        """What the load generator prints; see helpers/latency.c."""
        output = self.bed.run([helper("latency"), port, self.scenario.path, rate, seconds, connections, warm], seconds + warm + 10)
        if not output.startswith("{"):
            raise BedError(output.strip()[-300:] or "latency said nothing")
        return json.loads(output)

    def watched(self, work):
        """The row of a load, with what the proxy and others have used meanwhile."""
        requests, cpu, watch = self.bed.seen("up")["requests"], cpu_nanoseconds(self.pids), Watch(self.bed, [*self.pids, *self.bed.helper_pids])
        row = row_of(work())
        cpu = cpu_nanoseconds(self.pids) - cpu
        foreign, row["disturbed"] = watch.verdict()
        row["foreign"] = round(foreign, 3)
        passed = self.bed.seen("up")["requests"] - requests
        if passed < row["requests"] - row["unanswered"]:
            row["faults"].append(f"the upstream saw {passed} requests, not {row['requests']}")
        return {**row, "cpu_us": cpu / 1000 / max(1, passed)}

    def undisturbed(self, work):
        """The quietest of a few rows."""
        best = None
        for _ in range(self.options.tries):
            row = work()
            best = row if best is None or row["foreign"] < best["foreign"] else best
            if not row["disturbed"]:
                break
        return best


def row_of(printed):
    """Requests that were not answered are no fault: how long they have waited is among the latencies."""
    row = {field: printed[name] for name, field in FIELDS.items()}
    row |= {"requests": printed["n"], "unanswered": printed["unanswered"], "seconds": printed["seconds"], "rps": printed["n"] / printed["seconds"]}
    row["faults"] = [f"{printed['bad']} responses were not whole, not 200 or without Content-Length"] if printed["bad"] else []
    if not printed["n"]:
        row["faults"].append("no request was answered")
    return row
