"""A row of CPU a request at saturation."""
import threading

from . import checks, loads, machine
from .bed import tree

WINDOW = 0.25  # seconds
STEADY = ("wrk", "h2load")  # loads in which a window's CPU time is that of its requests; bursts of handshakes come before their requests


class Windows(threading.Thread):
    """CPU microseconds a request in each quarter of a second: a short disturbance is in few of them."""

    def __init__(self, bed, pids, upstream):
        super().__init__(daemon=True)
        self.bed, self.pids, self.upstream, self.over, self.samples = bed, pids, upstream, threading.Event(), []

    def run(self):
        while not self.over.is_set():
            try:
                self.samples.append((machine.cpu_nanoseconds(self.pids), self.bed.seen(self.upstream)["requests"]))
            except (OSError, ValueError):
                pass
            self.over.wait(WINDOW)

    def stop(self):
        """The windows but the first, in which connections are opened."""
        self.over.set()
        self.join(5)
        return [round((after[0] - before[0]) / 1000 / (after[1] - before[1]), 3)
                for before, after in zip(self.samples[1:], self.samples[2:]) if after[1] - before[1] >= 50]


def measure(bed, peer, scenario, options):
    """A list of one row. Raises BedError where the peer did not start or the load not end."""
    before = bed.seen(scenario.upstream), bed.seen("sink")["spans"]
    running = peer.start(bed, scenario.listener, **variation(bed, scenario))
    idle = []
    try:
        port = running.ports[scenario.listener]
        if faults := checks.answers(bed, scenario, port):
            return [{"faults": faults}]
        warm = loads.warm_up(bed, scenario, port, options.warm_up)
        idle = loads.open_idle(port, loads.idle_count(scenario.idle))
        row = timed(bed, peer, scenario, running, options.seconds)
        row["faults"] += checks.idle(idle)
        row["idle"] = len(idle) or None
        known = row["requests"] + warm + 1
        asked = max(known, bed.seen(scenario.upstream)["requests"] - before[0]["requests"]) + scenario.connections * scenario.streams
        row["spans"], row["spans_wanted"], faults = checks.spans(bed, peer, scenario, asked, known + len(idle), before[1])
        row["faults"] += faults
        if row["spans"] is not None:
            row["spans_each"] = row["spans"] / max(1, known + len(idle))
        return [{name: value for name, value in row.items() if value is not None}]
    finally:
        for one in idle:
            one.close()
        bed.stop(running.process)


def variation(bed, scenario):
    made = dict(scenario.variation)
    if made.get("collector") == "closed":
        made["collector"] = bed.ports["closed"]
    return made


def timed(bed, peer, scenario, running, seconds):
    """The load, and what the proxy has used for it."""
    pids = tree(running.process.pid)
    windows = Windows(bed, pids, scenario.upstream) if scenario.load in STEADY else None
    before, watch = bed.seen(scenario.upstream), machine.Watch(bed, pids + bed.helper_pids)
    cpu, (user, system) = machine.cpu_nanoseconds(pids), machine.user_and_system(pids)
    if windows:
        windows.start()
    row = getattr(loads, scenario.load)(bed, scenario, running.ports[scenario.listener], seconds)
    cpu = machine.cpu_nanoseconds(pids) - cpu
    user, system = (after - start for after, start in zip(machine.user_and_system(pids), (user, system)))
    row["foreign"], row["disturbed"] = machine_verdict(watch)
    row["windows"] = windows.stop() if windows else None
    requests = max(1, row["requests"])
    row["cpu_us"] = cpu / 1000 / requests
    if user + system:
        row["user_us"], row["system_us"] = (row["cpu_us"] * part / (user + system) for part in (user, system))
    row["rss_kib"] = machine.resident_kib(pids)
    row["calibration"] = watch.calibration
    row["faults"] += checks.upstream(peer, scenario, row["requests"], before, bed.seen(scenario.upstream))
    if sorted(tree(running.process.pid)) != sorted(pids):
        row["faults"].append("its processes changed while it was measured")
    return row


def machine_verdict(watch):
    foreign, disturbed = watch.verdict()
    return round(foreign, 3), disturbed
