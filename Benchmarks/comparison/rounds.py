"""Interleaved rounds: each target takes its turn in each round, so that all of them meet the same machine."""
import importlib
import time

from . import machine, scenarios, throughput
from .bed import BedError

CALIBRATIONS = 10  # before the first row, so that there is something to hold the later ones against
# Who measures a kind: a module with measure(bed, peer, scenario, options), which gives rows without scenario, target and round.
KINDS = {"throughput": throughput}
for kind in ("latency", "memory", "growth"):
    try:
        KINDS[kind] = importlib.import_module(f".{kind}", __package__)
    except ModuleNotFoundError:
        continue


def takes_part(peer, scenario):
    if scenario.only_ours and not peer.is_ours:
        return False
    return scenario.key not in peer.unfit and scenario.listener in peer.listeners and peer.name in scenario.options.get("targets", [peer.name])


def attempt(bed, peer, scenario, options):
    """The rows of one turn; once more if the machine was disturbed, and then the quieter ones."""
    best, kind = None, KINDS[scenario.kind]
    for _ in range(1 if getattr(kind, "RETRIES_ROWS", False) else options.tries):
        machine.wait_for_quiet(bed, options.wait)
        try:
            rows = kind.measure(bed, peer, scenario, options)
        except (BedError, OSError) as error:
            rows = [{"faults": [str(error) or type(error).__name__]}]
        if best is None or foreign(rows) < foreign(best):
            best = rows
        if not any(row.get("disturbed") for row in rows):
            break
    return best


def foreign(rows):
    return max((row.get("foreign", 0) for row in rows), default=0)


def run(bed, peers, chosen, options, take):
    """Gives each row to `take` as it comes. With a limit all scenarios take turns in one round, and none is begun that is likely to end too late."""
    start = time.monotonic()
    for _ in range(CALIBRATIONS):
        machine.calibrate(bed)
    for group in [chosen] if options.limit else scenarios.groups(chosen):
        rounds = min(options.rounds, *(scenario.options.get("rounds", options.rounds) for scenario in group))
        for number in range(rounds):
            if options.limit and number and (time.monotonic() - start) * (number + 1) / number > options.limit:
                print(f"no more rounds: {number} took {time.monotonic() - start:.0f} s", flush=True)
                break
            for scenario in group:
                for peer in peers:
                    if not takes_part(peer, scenario):
                        continue
                    for row in attempt(bed, peer, scenario, options):
                        take({"scenario": scenario.key, "target": peer.name, "round": number, **row, "when": time.strftime("%H:%M:%S", time.gmtime())})
