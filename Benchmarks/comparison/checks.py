"""Did the row do the work? Each function gives a list of faults."""
import math
import re
import time

from . import loads
from .bed import PATTERN, body, fetch, which
from .peers import H1, TLS


def answers(bed, scenario, port):
    """One request, before the load: status and body are exact, or over HTTP/2, where the load counts the bytes, status and trailers."""
    if scenario.listener not in (H1, TLS):
        return answers_http2(bed, scenario, port)
    content = PATTERN * (scenario.upload // len(PATTERN)) if scenario.upload else None
    try:
        status, got = fetch(port, scenario.path, "POST" if content else "GET", content, scenario.listener == TLS)
    except OSError as error:
        return [f"no answer: {error}"]
    if status != 200:
        return [f"the answer to {scenario.path} is {status}"]
    return [] if got == body(scenario.path) else [f"the body of {scenario.path} is another one, {len(got)} bytes"]


def answers_http2(bed, scenario, port):
    """With nghttp, which comes with h2load."""
    file, fields = loads.upload(bed, scenario), loads.GRPC_FIELDS if scenario.grpc else ()
    words = [which("nghttp"), "-nv", *(word for field in fields for word in ("-H", field)), *(["-d", file] if file else []), loads.url(scenario, port)]
    output = re.sub(r"\x1b\[[\d;]*m", "", bed.run(words, 10))
    status, trailer = re.search(r"\) :status: (\d+)", output), re.search(r"\) grpc-status: (\d+)", output)
    if not status or status[1] != "200":
        return [f"the answer to {scenario.path} is {status[1] if status else 'none'}"]
    return ["the call's trailers lack grpc-status: 0"] if scenario.grpc and (not trailer or trailer[1] != "0") else []


def upstream(peer, scenario, requests, before, after):
    """What the upstream has seen while `requests` were answered. Requests in flight when the load ends are seen and not answered."""
    seen = {name: after[name] - before[name] for name in after}
    faults = []
    if not requests - 10 <= seen["requests"] <= requests * 1.01 + scenario.connections * scenario.streams + 20:
        faults.append(f"the upstream saw {seen['requests']} requests, not {requests}")
    if seen["bad"]:
        faults.append(f"the upstream had to answer {seen['bad']} with 404")
    if seen["body_bytes"] < requests * scenario.upload:
        faults.append(f"the upstream got {seen['body_bytes']} bytes of {requests} bodies of {scenario.upload}")
    if peer.marks and seen[peer.marks] < seen["requests"]:
        faults.append(f"{peer.marks} was on {seen[peer.marks]} of {seen['requests']} requests")
    return faults


def sampled(peer, scenario):
    """The share of requests whose spans must come."""
    if scenario.variation.get("collector") == "closed":
        return 0
    return peer.sampled * scenario.variation.get("sampling", 100) / 100


def spans(bed, peer, scenario, asked, answered, before):
    """How many spans came since the proxy was started, how many were owed, and faults. Waits for the last ones. `asked` counts requests that may have
    begun, and `answered` those that ended well: those in flight at the end leave a span or not, whether the upstream has read them or not."""
    if not peer.spans:
        return None, None, []
    share = sampled(peer, scenario)
    chance = 5 * math.sqrt(asked * share * (1 - share)) + 10  # five standard deviations where sampling is by chance, and a few
    least, most = peer.spans * (share * answered - chance), peer.spans * (share * asked + chance)
    end = time.monotonic() + (8 if share else 0)
    while (got := bed.seen("sink")["spans"] - before) < peer.spans * share * answered and time.monotonic() < end:
        if share < 1 and got >= least:
            break
        time.sleep(0.1)
    return got, round(peer.spans * share * answered), [] if least <= got <= most else [
        f"{got} spans for {answered} requests, not {peer.spans * share:g} each"]


def idle(connections):
    count = loads.dead(connections) if connections else 0
    return [f"{count} of the idle connections no longer answer"] if count else []
