#!/usr/bin/env python3
"""Asks the real Prometheus what PromQL makes of random series, and writes `promql.txt` beside itself.

    gateway/stats/tests/promql.py        (needs promtool 2.42 in the path, as Debian's package `prometheus` has it)

Every query is a test of `promtool test rules` that expects no sample, so that promtool tells what it got instead; a query
that passes found nothing. Lines of `promql.txt`, all times in ms, `-` where there is no result:

    series SAMPLES              of the queries that follow, TIME=VALUE each, VALUE `stale` for a staleness marker
    instant AT RESULT           with a lookback of 5 minutes
    present|increase|rate AT WINDOW RESULT
    quantile Q EDGE=CUMULATIVE,... RESULT
"""

import math
import pathlib
import random
import re
import subprocess
import tempfile

STEP_MS = 100
LOOKBACK_MS = 300_000
VERSION = "2.42.0"


def series(rng, kind):
    """(time, value) of a series; value None for a staleness marker."""
    at, value, samples = rng.randrange(0, 600) * STEP_MS, 0.0, []
    spacing = rng.choice([5_000, 15_000, 30_000, 60_000])
    if kind != "from zero":
        value = rng.choice([3.0, 1000.0, 123_456_789.0])
    for _ in range(rng.randrange(30, 120)):
        samples.append((at, value))
        jitter = rng.randrange(-4, 5) * STEP_MS if kind != "irregular" else rng.randrange(0, 900) * STEP_MS
        at += max(STEP_MS, spacing + jitter)
        if rng.random() < 0.06:
            if rng.random() < 0.5:
                samples.append((at, None))
                at += STEP_MS * rng.choice([1, 50, 300])
            at += spacing * rng.choice([2, 5, 15, 30])
        if kind == "gauge":
            value += round(rng.gauss(0, 50), 3)
        elif kind == "idle" and rng.random() < 0.8:
            pass
        else:
            value += rng.choice([0, 1, 7, 250, rng.random(), rng.random() * 1e4])
        if kind in ("resets", "irregular", "not finite") and rng.random() < 0.12:
            value = rng.choice([0.0, 0.5, 2.0])
        if kind == "not finite" and rng.random() < 0.05:
            value = rng.choice([float("inf"), float("nan"), float("-inf")])
        if not math.isfinite(value) and rng.random() < 0.7:
            samples.append((at, value))
            at += spacing
            value = 1.0
    return sorted({t: v for t, v in samples}.items())


def notation(samples):
    """The samples as promtool writes a series, a step of STEP_MS each."""
    words, last = [], -1
    for at, value in samples:
        step = at // STEP_MS
        if step - last > 1:
            words.append(f"_x{step - last - 1}")
        words.append("stale" if value is None else number(value))
        last = step
    return " ".join(words)


def number(value):
    text = repr(float(value))
    return {"inf": "Inf", "-inf": "-Inf", "nan": "NaN"}.get(text, text)


def moments(rng, samples):
    """Times worth asking at: on samples, just beside them, at the ends of lookbacks and windows, and anywhere."""
    times = [at for at, _ in samples]
    window = rng.choice([20_000, 60_000, 61_234, 300_000, 900_000, 1_800_000])
    at = rng.choice(times) + rng.choice([0, 0, 1, -1, LOOKBACK_MS, LOOKBACK_MS + 1, LOOKBACK_MS - 1, window, window + 1])
    if rng.random() < 0.4:
        at = rng.randrange(times[0], times[-1] + 600_000)
    return max(0, at), window


def lookback_ends(samples):
    """The ends of the lookback, and just beside them, of samples that nothing follows within it."""
    followed = zip(samples, [*samples[1:], (float("inf"), None)])
    alone = [at for (at, value), (later, _) in followed if value is not None and later - at > LOOKBACK_MS + 1]
    return [at + LOOKBACK_MS + beside for at in alone for beside in (-1, 0, 1)]


def buckets(rng):
    edges = rng.choice([[0.1, 0.5, 1.0, 5.0], [-2.0, -1.0, 0.0, 1.0], [0.0, 10.0], [1.0], [2.5, 10.0, 100.0, 1000.0, 1e4]])
    total, result = 0.0, []
    for edge in [*edges, float("inf")]:
        total += rng.choice([0, 0, 1, 3, 10, 0.25, 1e6])
        wrong = rng.random() < 0.1
        result.append((edge, max(0.0, total - rng.choice([0.5, 2.0, 5.0])) if wrong else total))
    if rng.random() < 0.1:
        result.pop()
    if rng.random() < 0.1:
        result = [(edge, 0.0) for edge, _ in result]
    if rng.random() < 0.05:
        result = result[-1:]
    return result


def questions(rng):
    """Pairs of a line without its result and the expression; then the series they are about."""
    asked, inputs = [], []
    kinds = ["from zero", "resets", "irregular", "gauge", "idle", "not finite"]
    for index in range(18):
        samples = series(rng, kinds[index % len(kinds)])
        name = f"m{index}"
        inputs.append((name, notation(samples)))
        written = " ".join(f"{t}={'stale' if v is None else number(v)}" for t, v in samples)
        asked.append((f"series {written}", None, 0))
        some = []
        for _ in range(36):
            at, window = moments(rng, samples)
            kind = rng.choice(["instant", "increase", "increase", "rate", "present"])
            if kind == "instant":
                some.append((f"instant {at}", name, at))
            else:
                function = "present_over_time" if kind == "present" else kind
                some.append((f"{kind} {at} {window}", f"{function}({name}[{window}ms])", at))
        some.extend((f"instant {end}", name, end) for end in lookback_ends(samples))
        asked.extend(sorted(some, key=lambda question: question[2]))
    for index in range(140):
        name, shape = f"h{index}", buckets(rng)
        for edge, count in shape:
            le = "+Inf" if edge == float("inf") else number(edge)
            inputs.append((f'{name}{{le="{le}"}}', number(count)))
        q = rng.choice([0.0, 0.5, 0.9, 0.99, 1.0, rng.random(), rng.random(), -0.1, 1.1, float("nan")])
        if q != q and index % 5:
            q = 0.75
        text = ",".join(f"{number(edge)}={number(count)}" for edge, count in shape)
        asked.append((f"quantile {number(q)} {text}", f"histogram_quantile({number(q)}, {name})", 0))
    return asked, inputs


def answers(asked, inputs):
    """The result of every question by its index; what is absent found nothing."""
    lines = ["tests:", f"  - interval: {STEP_MS}ms", "    input_series:"]
    for name, values in inputs:
        lines += [f"      - series: '{name}'", f"        values: '{values}'"]
    # promtool loads samples up to the last whole minute it is asked about, so it is asked about a later one.
    end = max(at for _, _, at in asked) + 120_000
    lines += ["    promql_expr_test:", "      - expr: 'vector(1) > 1'", f"        eval_time: {end}ms"]
    for index, (_, expression, at) in enumerate(asked):
        if expression:
            marked = f'label_replace({expression}, "id", "{index}", "", "")'
            lines += [f"      - expr: '{marked}'", f"        eval_time: {at}ms"]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "test.yml"
        file.write_text("\n".join(lines) + "\n")
        run = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True)
    told = run.stdout + run.stderr
    found = re.findall(r'got:\s*\{[^}]*id="(\d+)"[^}]*\} (\S+)', told)
    if not found:
        raise SystemExit(f"failed to get a result from promtool:\n{told[:2000]}")
    return {int(index): value for index, value in found}


def main():
    told = subprocess.run(["promtool", "--version"], capture_output=True, text=True)
    if VERSION not in told.stdout + told.stderr:
        raise SystemExit(f"failed to find promtool {VERSION} (another version may read series otherwise)")
    asked, inputs = questions(random.Random(42))
    got = answers(asked, inputs)
    lines = [f"# What Prometheus {VERSION} answers; written by promql.py, which says how to read it."]
    for index, (line, expression, _) in enumerate(asked):
        lines.append(f"{line} {got.get(index, '-')}" if expression else line)
    path = pathlib.Path(__file__).with_name("promql.txt")
    path.write_text("\n".join(lines) + "\n")
    print(f"{sum(1 for _, e, _ in asked if e)} questions, {len(got)} with a result")


if __name__ == "__main__":
    main()
