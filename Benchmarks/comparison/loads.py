"""What makes requests: wrk, h2load, and TLS handshakes. Bounded in time and in count; what went wrong is told as faults."""
import json
import pathlib
import re
import resource
import socket
import sys
import time

from .bed import GRPC_CALLS, GRPC_MESSAGE, PATTERN, SIZES, BedError, which
from .peers import TLS

# A build of ours that has no max_requests_per_connection ends a connection after 10,000, and h2load counts what it then has open as failed.
CONNECTION_REQUESTS = 9000
GRPC_FIELDS = ("content-type: application/grpc", "te: trailers")
SCRIPT = """%s
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('FIGURES{"requests":%%d,"microseconds":%%d,"bytes":%%d,"errors":%%d,"p50":%%.1f,"p99":%%.1f,"p999":%%.1f}\\n',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""


def url(scenario, port):
    return f"{'https' if scenario.listener == TLS else 'http'}://127.0.0.1:{port}{scenario.path}"


def reply_size(scenario):
    return len(GRPC_MESSAGE) * GRPC_CALLS[scenario.path] if scenario.grpc else SIZES[scenario.path]


def upload(bed, scenario):
    """The file of a request's body, or None."""
    if scenario.grpc:
        return bed.file("upload", GRPC_MESSAGE * GRPC_CALLS[scenario.path])
    return bed.file("upload", PATTERN * (scenario.upload // len(PATTERN))) if scenario.upload else None


def wrk(bed, scenario, port, seconds):
    """Closed loop at saturation. `bytes` are those of heads and bodies."""
    body = f'wrk.method = "POST"; wrk.body = string.rep("x", {scenario.upload})' if scenario.upload else scenario.options.get("script", "")
    threads = min(len(bed.other_cores), 4, scenario.connections)
    fields = (*scenario.fields, *(["Connection: close"] if scenario.close else []))
    output = bed.run([which("wrk"), f"-t{threads}", f"-c{scenario.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "5s",
                      "-s", bed.file("wrk.lua", SCRIPT % body), *[word for field in fields for word in ("-H", field)], url(scenario, port)], seconds + 60)
    found = re.search(r"FIGURES(\{.*\})", output)
    if not found:
        raise BedError(f"wrk: {output.strip()[-300:]}")
    figures = json.loads(found[1])
    took = figures["microseconds"] / 1e6
    faults = [f"wrk had {figures['errors']} errors or replies that were not 2xx or 3xx"] if figures["errors"] else []
    if figures["bytes"] < figures["requests"] * reply_size(scenario):
        faults.append(f"{figures['bytes']} bytes are too few for {figures['requests']} replies")
    return {"requests": figures["requests"], "seconds": took, "rps": figures["requests"] / took, "p50_us": figures["p50"], "p99_us": figures["p99"],
            "p999_us": figures["p999"], "faults": faults}


def h2load_once(bed, scenario, port, count, more=()):
    """So many requests: the seconds they took, and faults."""
    file = upload(bed, scenario)
    words = [which("h2load"), "-t1", f"-c{min(scenario.connections, count)}", f"-m{scenario.streams}", f"-n{count}", *more, *(["-d", file] if file else [])]
    for field in (*scenario.fields, *(GRPC_FIELDS if scenario.grpc else ())):
        words += ["-H", field]
    output = bed.run([*words, url(scenario, port)], 120)
    done = re.search(r"requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    took = re.search(r"finished in ([\d.]+)(us|ms|s),", output)
    good = re.search(r"status codes: (\d+) 2xx", output)
    data = re.search(r"traffic: .*?\((\d+)\) data", output)
    if not (done and took and good and data):
        raise BedError(f"h2load: {output.strip()[-300:]}")
    faults = []
    if int(good[1]) != count or done.groups() != (str(count), "0", "0", "0"):
        faults.append(f"h2load asked for {count}, {good[1]} were answered with 2xx, failed, errored and timed out: {', '.join(done.groups()[1:])}")
    elif int(data[1]) != count * reply_size(scenario):
        faults.append(f"{data[1]} bytes of bodies, not {count} times {reply_size(scenario)}")
    return float(took[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1}[took[2]], faults


def h2load(bed, scenario, port, seconds):
    """One run after the other until the time is up, each with new connections and as many requests as they may carry. h2load tells no percentiles."""
    count, requests, took, faults = scenario.connections * 100, 0, 0.0, []
    while took < seconds and not faults:
        spent, faults = h2load_once(bed, scenario, port, count)
        requests, took = requests + count, took + spent
        wanted = int(count / spent * (seconds - took))
        count = max(scenario.connections * 20, min(scenario.connections * CONNECTION_REQUESTS, wanted))
    return {"requests": requests, "seconds": took, "rps": requests / took, "faults": faults}


def handshakes(bed, scenario, port, seconds):
    """Bursts of callers that each connect, shake hands in full (h2load never resumes), ask once and close."""
    requests, took, faults, end = 0, 0.0, [], time.monotonic() + seconds
    while time.monotonic() < end and not faults:
        spent, faults = h2load_once(bed, scenario, port, scenario.connections, ["--h1"])
        requests, took = requests + scenario.connections, took + spent
    return {"requests": requests, "seconds": took, "rps": requests / took, "faults": faults}


def resumptions(bed, scenario, port, seconds):
    """A process of its own makes them: see resumptions.py. Requests a second are what that one caller can do."""
    script = pathlib.Path(__file__).resolve().parent / "resumptions.py"
    output = bed.run([sys.executable, script, port, scenario.path, reply_size(scenario), seconds], seconds + 60)
    if not output.startswith("{"):
        return {"requests": 0, "seconds": seconds, "rps": 0, "faults": [output.strip().splitlines()[-1] if output.strip() else "nothing was resumed"]}
    figures = json.loads(output)
    return {**figures, "rps": figures["requests"] / figures["seconds"], "faults": []}


def warm_up(bed, scenario, port, count):
    """Pools fill, code is paged in: requests over connections as the scenario has them."""
    if scenario.load == "resumptions":
        return resumptions(bed, scenario, port, 0.3)["requests"]
    least = 20 if scenario.load == "handshakes" else 1
    count = max(scenario.connections * least // 20, min(count, (64 << 20) // reply_size(scenario), scenario.connections * CONNECTION_REQUESTS))
    if scenario.load == "handshakes":
        count = scenario.connections
    h2load_once(bed, scenario, port, count, [] if scenario.load == "h2load" else ["--h1"])
    return count


def idle_count(wanted):
    """As many as wanted, or as the limit of open files leaves to ours, which keeps half of it for upstreams."""
    return min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 200)


def open_idle(port, count):
    """Connections that have each done one request and stay open; a list of sockets."""
    request, opened = b"GET /0k HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", []
    for number in range(count):
        one = socket.create_connection(("127.0.0.1", port), 5)
        opened.append(one)
        if not answered(one, request):
            raise BedError(f"idle connection {number} was not answered with 200")
    return opened


def answered(connection, request):
    """Whether the 20 bytes come whole, with 200."""
    got = b""
    try:
        connection.sendall(request)
        while not got.endswith(PATTERN[:20]):
            more = connection.recv(4096)
            if not more:
                return False
            got += more
    except OSError:
        return False
    return got.startswith(b"HTTP/1.1 200")


def dead(connections):
    """How many of a sample of idle connections no longer answer."""
    request = b"GET /0k HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    return sum(not answered(one, request) for one in connections[::max(1, len(connections) // 50)])
