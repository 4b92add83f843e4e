"""What is measured, one function per table. Peers are interleaved, so that noise hits all of them alike."""

import random
import statistics
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass

import bodies
import peers
from process import Failed, shout
from traffic import Load

# Telemetry is judged after the response; its work for the last requests belongs to the run.
SETTLE_SECONDS = 0.3
# Idle memory is read after the start-up work is over.
IDLE_SECONDS = 2


@dataclass(frozen=True)
class Bench:
    """What all tables share."""

    place: peers.Place
    names: list
    # Peers that could not be measured, with the reason; the report says so.
    lacks: dict
    rounds: int
    seconds: float
    connections: int
    rate: float
    tail_runs: int
    load_core: int

    def load(self, path=bodies.PATH):
        """The load generators, for one path."""
        return Load(self.place.scratch, path, self.load_core, self.place.load)


@contextmanager
def running(bench, names, body, cores):
    """The named peers, started in front of one backend; one that does not start is reported and left out."""
    backend, port = peers.backend(bench.place, body, {bench.load_core})
    started = []
    try:
        for name in names:
            try:
                started.append(peers.start(name, bench.place, port, body, cores))
            except Failed as error:
                bench.lacks[name] = str(error)
                shout(f"{name} is left out: {error}")
        yield started
    finally:
        for peer in started:
            peer.process.stop()
        backend.stop()


def main_table(bench, body, cores, rounds=None, names=None, base="nginx"):
    """CPU per request and requests per second at full load; the ratio to the base within each round."""
    load = bench.load().prepare(body.request)
    with running(bench, names or bench.names, body, cores) as started:
        for peer in started:
            load.full(peer.port, bench.connections, 1)
        before = {peer.name: peer.observed() for peer in started}
        table = {peer.name: [] for peer in started}
        for number in range(rounds or bench.rounds):
            for peer in turned(started, number):
                table[peer.name].append(full_run(bench, load, peer, len(cores)))
        fates = {peer.name: _difference(before[peer.name], peer.observed()) for peer in started}
    reference = table.get(base)
    return {name: {**summary(runs, reference), "telemetry": fates[name]} for name, runs in table.items()}


def full_run(bench, load, peer, cores):
    """One run at full load."""
    begin, cpu = time.monotonic(), peer.process.cpu_seconds()
    result = load.full(peer.port, bench.connections, bench.seconds)
    taken = time.monotonic() - begin
    time.sleep(SETTLE_SECONDS)
    cpu = peer.process.cpu_seconds() - cpu
    return {"cpu_us": cpu * 1e6 / max(result["requests"], 1), "rps": result["requests"] / result["seconds"],
            "busy": cpu / taken / cores, "failed": result["failed"], "requests": result["requests"]}


def sizes(bench, cores):
    """CPU per request and per KB at 7 and 100 KB each way; per KB: what bytes beyond the reference add."""
    small = bodies.reference()
    base = main_table(bench, small, cores, rounds=3)
    tables = {}
    for name, size in (("7 KB", 7_000), ("100 KB", 100_000)):
        body = bodies.of_size(name.replace(" ", ""), size)
        table = main_table(bench, body, cores, rounds=3)
        for peer, row in table.items():
            if peer in base:
                row["us_per_kb"] = (row["cpu_us"] - base[peer]["cpu_us"]) / (body.kilobytes - small.kilobytes)
        tables[name] = {
            "request_bytes": len(body.request), "response_bytes": len(body.response), "peers": table}
    return tables


def tracing(bench, cores):
    """The three plugins without spans, with those of 1 % of the traces, and of all, beside each other."""
    load, body, names = bench.load(), bodies.reference(), ["weir-plugins", *peers.TRACED]
    load.prepare(body.request)
    table = {name: [] for name in names}
    with running(bench, names, body, cores) as started:
        for peer in started:
            load.full(peer.port, bench.connections, 1)
        exported = {peer.name: peer.exported() for peer in started}
        for number in range(2 * bench.rounds):
            for peer in turned(started, number):
                table[peer.name].append(full_run(bench, load, peer, len(cores)))
        fates = {peer.name: _difference(exported[peer.name], peer.exported()) for peer in started}
    base = table["weir-plugins"]
    return {name: {**summary(runs, base), "spans": fates.get(name)} for name, runs in table.items() if runs}


def alerts(bench, cores):
    """The three plugins without rules, and with 1,000 of them and 100 objectives, beside each other."""
    load, body, names = bench.load(), bodies.reference(), ["weir-plugins", *peers.ALERTING]
    load.prepare(body.request)
    table = {name: [] for name in names}
    with running(bench, names, body, cores) as started:
        for peer in started:
            load.full(peer.port, bench.connections, 1)
        for number in range(2 * bench.rounds):
            for peer in turned(started, number):
                table[peer.name].append(full_run(bench, load, peer, len(cores)))
    base = table["weir-plugins"]
    return {name: summary(runs, base) for name, runs in table.items() if runs}


def tail(bench, cores, pairs):
    """p99 at a fixed rate, with something on against off; each pair's difference with its 95 % interval."""
    load, body = bench.load(), bodies.reference()
    load.prepare(body.request)
    wanted = list(dict.fromkeys(name for pair in pairs for name in pair if name in bench.names))
    with running(bench, wanted, body, cores) as started:
        runs = {peer.name: [] for peer in started}
        for number in range(bench.tail_runs):
            for peer in turned(started, number):
                runs[peer.name].append(load.steady(peer.port, 32, bench.rate, bench.seconds))
    p99 = {name: [run["p99_us"] for run in results] for name, results in runs.items()}
    rows = {name: {"p50_us": _median(runs[name], "p50_us"), "p99_us": statistics.median(p99[name]),
                   "failed": sum(run["failed"] for run in runs[name])} for name in runs}
    differences = [{"on": on, "off": off, **paired_difference(p99[on], p99[off])}
                   for on, off in pairs if on in p99 and off in p99]
    return {"rate": bench.rate, "runs": bench.tail_runs, "peers": rows, "differences": differences}


def memory(bench, cores, connections=1000):
    """Memory after start, and the highest while 1,000 connections are in use, each peer alone and fresh."""
    load, body = bench.load(), bodies.reference()
    load.prepare(body.request)
    rows = {}
    for name in bench.names:
        with running(bench, [name], body, cores) as started:
            for peer in started:
                time.sleep(IDLE_SECONDS)
                idle = peer.process.memory()
                result, highest = _watched(peer.process.memory,
                                           lambda: load.steady(peer.port, connections, 2 * connections, 3))
                rows[name] = {"idle": idle, "loaded": highest, "failed": result["failed"]}
    return {"connections": connections, "peers": rows}


def turned(things, number):
    """The same things, starting with another one each time and in the other direction every other time."""
    start = number % len(things) if things else 0
    order = things[start:] + things[:start]
    return order[::-1] if number % 2 else order


def _watched(read, work):
    """Does the work and returns its result with the highest reading meanwhile."""
    over, readings = threading.Event(), []

    def watch():
        while not over.wait(0.2):
            readings.append(read())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return work(), max(readings, default=0)
    finally:
        over.set()
        watcher.join()


def summary(runs, reference):
    ratios = [run["cpu_us"] / base["cpu_us"] for run, base in zip(runs, reference or [])]
    return {
        "cpu_us": _median(runs, "cpu_us"), "rps": _median(runs, "rps"), "busy": _median(runs, "busy"),
        "failed": sum(run["failed"] for run in runs), "requests": sum(run["requests"] for run in runs),
        "ratio": statistics.median(ratios) if ratios else None,
        "ratio_range": [min(ratios), max(ratios)] if ratios else None,
    }


def _difference(before, after):
    if before is None or after is None:
        return None
    return {key: after[key] - before.get(key, 0) for key in after}


def _median(runs, key):
    return statistics.median(run[key] for run in runs)


def paired_difference(on, off, samples=10_000):
    """The median of the paired differences and its 95 % bootstrap interval, the same for the same numbers."""
    differences = [a - b for a, b in zip(on, off)]
    dice = random.Random(1)
    medians = sorted(statistics.median(dice.choices(differences, k=len(differences))) for _ in range(samples))
    return {"difference_us": statistics.median(differences),
            "low_us": medians[int(samples * 0.025)], "high_us": medians[int(samples * 0.975) - 1]}
