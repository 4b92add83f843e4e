#!/usr/bin/env python3
"""Weir beside nginx, HAProxy and Envoy, on the same cores in the same minutes. See README.md."""

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

import bodies
import measure
import models
import peers
import report
from process import Failed, shout

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ORDER = ["nginx", "haproxy", "envoy", "envoy-wasm", "weir-bare", "weir-observed", "weir-plugins"]
SECTIONS = ["main", "sizes", "tracing", "alerts", "tail", "memory", "inference", "plugins"]
PAIRS = [("weir-plugins", "weir-observed"), ("weir-plugins", "weir-bare"), ("envoy-wasm", "envoy")]
PROXY_CORE, LOAD_CORE = 0, 1


def main():
    options = arguments()
    if (os.cpu_count() or 1) < 2:
        sys.exit("the benchmark needs two cores: one for the proxy, one for backend and load")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as scratch:
        place = peers.Place(ROOT, scratch, options.weir, options.plugins)
        lacks = {name: why for name, why in peers.missing(place).items()
                 if name in options.peers or name in peers.TRACED}
        for name, why in lacks.items():
            shout(f"{name} is missing: {why}")
        bench = measure.Bench(
            place, [name for name in options.peers if name not in lacks], lacks, options.rounds,
            options.seconds, options.connections, options.rate, options.tail_runs, LOAD_CORE)
        results = {"machine": machine(), "options": vars(options), "missing": lacks}
        for section in options.sections:
            print(f"... {section}", file=sys.stderr, flush=True)
            try:
                results[section] = measured(section, bench, options)
            except Failed as error:
                results.setdefault("failed", {})[section] = str(error)
                shout(f"{section} failed: {error}")
    (HERE / "results.json").write_text(json.dumps(results, indent=1, default=str) + "\n")
    print(report_of(results))
    sys.exit(1 if "failed" in results else 0)


def measured(section, bench, options):
    """One section's numbers."""
    one = {PROXY_CORE}
    if section == "main":
        body = bodies.reference()
        return {workers: measure.main_table(bench, body, set(range(workers))) for workers in options.workers}
    if section == "sizes":
        return measure.sizes(bench, one)
    if section == "tracing":
        return measure.tracing(bench, one)
    if section == "alerts":
        return measure.alerts(bench, one)
    if section == "tail":
        return measure.tail(bench, one, PAIRS)
    if section == "memory":
        return measure.memory(bench, one)
    if section == "inference":
        return models.inference(bench, one, options.churn)
    return models.plugin_costs(bench.place)


def report_of(results):
    """The Markdown report under a line that says what it was measured on."""
    told = results["machine"]
    head = f"{told['cpu']}, {told['cores']} cores, Linux {told['kernel']}, {told['at']}, " \
        f"load average before {told['load_average']:.1f}"
    return f"# Benchmark\n\n{head}\n\n{report.markdown(results)}"


def machine():
    """What the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.machine(), "cores": os.cpu_count(),
            "kernel": platform.release(), "load_average": os.getloadavg()[0],
            "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)

    def listed(kind, allowed):
        def read(text):
            values = [kind(part) for part in text.split(",") if part]
            if wrong := [value for value in values if value not in allowed]:
                raise argparse.ArgumentTypeError(f"{wrong} not among {', '.join(map(str, allowed))}")
            return values
        return read

    parser.add_argument("--weir", default=ROOT / "target/release/weir", help="the Weir binary")
    parser.add_argument("--plugins", default=ROOT / "plugins/dist", help="the folder of built plugins")
    parser.add_argument("--churn", type=Path, default=ROOT / "examples/churn/churn.csv", help="training data")
    parser.add_argument("--peers", type=listed(str, ORDER), default=ORDER, help="comma-separated")
    parser.add_argument("--sections", type=listed(str, SECTIONS), default=SECTIONS, help="comma-separated")
    parser.add_argument("--workers", type=listed(int, [1, 2]), default=[1, 2], help="1, 2 or 1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of load per peer and round")
    parser.add_argument("--connections", type=int, default=32, help="at full load")
    parser.add_argument("--rate", type=int, default=4000, help="requests per second of the latency table")
    parser.add_argument("--tail-runs", type=int, default=10, help="of the latency table, per peer")
    return parser.parse_args()


if __name__ == "__main__":
    main()
