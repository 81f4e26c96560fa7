#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several workers under load: every answer carries the id of its own request, and none is lost."""

import time

import lab
import load


def main():
    parser = lab.arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64, help="of each of two callers (default: %(default)s)")
    options = parser.parse_args()
    upstreams, address = load.start_upstream()
    table = lab.Table(("worker", 12), ("requests", 10))
    with lab.Proxy(options.binary, address, workers=options.workers) as proxy:
        begin = time.monotonic()
        callers = [load.Callers(proxy.address, options.connections, number=number) for number in range(2)]
        time.sleep(options.seconds)
        for caller in callers:
            caller.stop()
        seconds = time.monotonic() - begin
        served = sum(caller.counters["served"] for caller in callers)
        failed = sum(caller.counters["failed"] for caller in callers)
        mixed = sum(caller.counters["mixed"] for caller in callers)
        slowest = max(caller.counters["slowest0"] for caller in callers)
        time.sleep(1.2)  # gauges are published each second
        samples = proxy.metrics()
        counted = lab.metric(samples, "requests_total")
        table.row(counted == served, "counted", f"{counted:.0f}")
        table.row(served > 0, "served", served, f"{served / seconds:.0f} a second, slowest {slowest / 1000:.1f} ms")
        table.row(failed == 0, "failed", failed, *[caller.first_errors for caller in callers if caller.first_errors])
        table.row(mixed == 0, "mixed up", mixed)
        buffers = lab.metric(samples, "buffers")
        table.row(buffers == 0, "buffers", f"{buffers:.0f}")
    for upstream in upstreams:
        upstream.end()
    table.end()


if __name__ == "__main__":
    main()
