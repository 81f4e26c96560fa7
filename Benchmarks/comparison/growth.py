"""How the cost of a request grows with connections, routes, fields, endpoints and workers: rows of kind growth, each one of kind throughput with x."""
import argparse
import contextlib
import dataclasses
import os
import statistics

from . import throughput
from .bed import free_ports, helper
from .memory import most_connections

COUNTS = {"connections": (1, 10, 100, 1000, 10_000), "routes": (1, 10, 100, 1000, 10_000), "headers": (1, 10, 30, 100), "endpoints": (1, 10, 100, 1000),
          "workers": (1, 2)}
OPENING_SECONDS = 3  # more, in which thousands of connections are opened
SPREAD_PATHS = """local requests, number = {}, 0
init = function()
  for route = %d, %d do requests[#requests + 1] = wrk.format(nil, string.format("/0k/route-%%05d", route)) end
end
request = function()
  number = (number + 7919) %% #requests
  return requests[number + 1]
end
"""


def measure(bed, peer, scenario, options):
    """One row a step. What a step changes besides the scenario is in `variation`, which every peer of the scenario understands."""
    rows, step = [], globals()["grow_" + scenario.options["what"]]
    for count in COUNTS[scenario.options["what"]]:
        with contextlib.ExitStack() as stack:
            count, changed = step(bed, scenario, count, stack)
            seconds = options.seconds + (OPENING_SECONDS if changed.get("connections", 0) > 1000 else 0)
            made = throughput.measure(bed, peer, dataclasses.replace(scenario, **changed), changed_options(options, seconds))
        rows += [{"x": count, **steady(row)} for row in made]
    return rows


def changed_options(options, seconds):
    return argparse.Namespace(**{**vars(options), "seconds": seconds})


def steady(row):
    """The cost in the second half of the windows, when all connections have been opened."""
    windows = row.get("windows", [])[len(row.get("windows", [])) // 2:]
    if not windows or not row.get("cpu_us"):
        return row
    factor = statistics.median(windows) / row["cpu_us"]
    return {**row, **{name: row[name] * factor for name in ("cpu_us", "user_us", "system_us") if name in row}, "windows": windows}


def grow_connections(bed, scenario, count, stack):
    """As many connections to the upstream stay open: without it thousands would be closed and made anew all the time."""
    count = min(count, most_connections())
    return count, {"connections": count, "variation": {"keepalive": max(count, 2048)}}


def grow_routes(bed, scenario, count, stack):
    """Requests go to all routes in turn, or to the last one. One more route is for the path that is asked for before; what fits none would be 404."""
    kind = scenario.options.get("match", "prefix")
    first = count - 1 if scenario.options.get("last") else 0
    names = [f"/0k/route-{number:05d}" for number in range(count)]
    matches = [f"{kind}: {name}" for name in names] + [f"path: {scenario.path}"]
    routes = ", ".join(f"{{ match: {{ {match} }}, upstream: up }}" for match in matches)
    return count, {"variation": {"routes": f"[ {routes} ]", "prefixes": names}, "options": {**scenario.options, "script": SPREAD_PATHS % (first, count - 1)}}


def grow_headers(bed, scenario, count, stack):
    """All field lines of a request: Host is one of them, and User-Agent, which h2load would add of itself."""
    fields = ["User-Agent: growth", *(f"X-Field-{number}: value of field {number}" for number in range(count - 2))]
    return count, {"fields": tuple(fields[:count - 1])}


def grow_endpoints(bed, scenario, count, stack):
    """An upstream that listens on as many addresses."""
    (port,), usual = free_ports(1), bed.ports["up"]
    process = bed.start("endpoints", [helper("upstream"), port, "replies", count], [port])
    stack.callback(bed.stop, process)
    bed.helper_pids.append(process.pid)
    stack.callback(bed.helper_pids.remove, process.pid)
    bed.ports["up"] = port
    stack.callback(bed.ports.update, up=usual)
    hosts = ["127.0.0.1", *(f"127.0.{1 + number // 256}.{number % 256}" for number in range(1, count))]
    return count, {"variation": {"endpoints": [f"{host}:{port}" for host in hosts]}}


def grow_workers(bed, scenario, count, stack):
    """On all cores, which the load shares: compare these two with each other only."""
    cores = bed.proxy_cores
    bed.proxy_cores = sorted(os.sched_getaffinity(0))
    stack.callback(setattr, bed, "proxy_cores", cores)
    return count, {"variation": {"workers": count}}
