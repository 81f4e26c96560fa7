"""System calls a request, counted by strace in a turn of its own: it slows the proxy down, so that nothing else of that turn counts."""
import re
import signal
import subprocess
import time

from . import loads, rounds, throughput
from .bed import BedError, tree, which

LINE = re.compile(r"^\s*(\d+)\s+(?:\d+\s+)?(\w+)$", re.M)


def run(bed, peers, chosen, options, take):
    for scenario in chosen:
        for peer in peers:
            if scenario.kind == "throughput" and rounds.takes_part(peer, scenario):
                try:
                    row = count(bed, peer, scenario, options)
                except (BedError, OSError) as error:
                    row = {"faults": [str(error)]}
                take({"scenario": scenario.key, "target": peer.name, "round": 0, **row})


def count(bed, peer, scenario, options):
    running = peer.start(bed, scenario.listener, **throughput.variation(bed, scenario))
    try:
        port = running.ports[scenario.listener]
        loads.warm_up(bed, scenario, port, options.warm_up)
        summary = bed.folder / "strace"
        tracer = bed.spawn([which("strace"), "-f", "-c", "-U", "calls,errors,name", "-o", summary,
                            *(word for pid in tree(running.process.pid) for word in ("-p", pid))], bed.other_cores, output=subprocess.DEVNULL)
        time.sleep(0.7)  # it has attached to all threads
        before = bed.seen(scenario.upstream)["requests"]
        row = getattr(loads, scenario.load)(bed, scenario, port, options.seconds)
        requests = bed.seen(scenario.upstream)["requests"] - before
        tracer.send_signal(signal.SIGINT)
        tracer.wait(timeout=30)
        calls = {name: int(calls) / max(1, requests) for calls, name in LINE.findall(summary.read_text()) if name != "total"}
        return {"requests": requests, "syscalls": sum(calls.values()), "calls": {name: round(each, 3) for name, each in calls.items() if each > 0.005},
                "faults": row["faults"]}
    finally:
        bed.stop(running.process)
