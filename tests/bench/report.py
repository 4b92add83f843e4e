"""The results as Markdown."""

TITLES = {
    "nginx": "nginx", "haproxy": "HAProxy", "envoy": "Envoy", "envoy-wasm": "Envoy + Wasm filter",
    "weir-bare": "Weir bare", "weir-observed": "Weir observing, no plugin",
    "weir-plugins": "Weir + 3 plugins",
    "weir-alerting": "Weir + 3 plugins, 1,000 rules, 100 objectives",
    "weir-traced": "Weir + 3 plugins, spans of 1 %", "weir-traced-all": "Weir + 3 plugins, spans of all",
    "weir": "Weir, local model", "fastapi": "FastAPI + scikit-learn",
}

RATIO = "ratio to nginx (range over rounds)"


def markdown(results):
    """The whole report."""
    parts = [_missing(results["missing"])]
    parts += [f"**Failed: {section}** - {why}" for section, why in results.get("failed", {}).items()]
    for workers, table in results.get("main", {}).items():
        parts.append(_main(int(workers), table))
    if "sizes" in results:
        parts += [_sizes(name, table) for name, table in results["sizes"].items()]
    if "tracing" in results:
        parts.append(_tracing(results["tracing"]))
    if "alerts" in results:
        parts.append(_alerts(results["alerts"]))
    if "tail" in results:
        parts.append(_tail(results["tail"]))
    if "memory" in results:
        parts.append(_memory(results["memory"]))
    if "inference" in results:
        parts += [_inference(model, rows) for model, rows in results["inference"].items()]
    if "plugins" in results:
        parts.append(_plugins(results["plugins"]))
    return "\n\n".join(part for part in parts if part)


def _missing(lacks):
    return "\n".join(f"**Missing: {TITLES[name]}** - {why}" for name, why in lacks.items())


def _main(workers, table):
    where = "1 worker on core 0; backend and load on core 1"
    if workers > 1:
        where = f"{workers} workers on cores 0 and 1, shared with backend and load"
    head = ["peer", "CPU us/request", RATIO, "requests/s", "proxy busy", "telemetry"]
    rows = [[TITLES[name], f"{row['cpu_us']:.2f}", _ratio(row), f"{row['rps']:,.0f}", f"{row['busy']:.0%}",
             _fates(row)] for name, row in table.items()]
    return f"## Reference request, {where}\n\n" + _table(head, rows) + _failures(table)


def _sizes(name, table):
    head = ["peer", "CPU us/request", RATIO, "CPU us/KB", "requests/s", "telemetry"]
    rows = [[TITLES[peer], f"{row['cpu_us']:.1f}", _ratio(row), f"{row.get('us_per_kb', float('nan')):.2f}",
             f"{row['rps']:,.0f}", _fates(row)] for peer, row in table["peers"].items()]
    lengths = f"request {table['request_bytes']:,} B, response {table['response_bytes']:,} B"
    title = f"## {name} each way ({lengths})"
    return f"{title}\n\nPer KB of request and response together, beyond the reference request.\n\n" \
        + _table(head, rows) + _failures(table["peers"])


def _tracing(rows):
    head = ["peer", "CPU us/request", "ratio to no spans (range over rounds)", "requests/s", "spans exported"]
    lines = [[TITLES[name], f"{row['cpu_us']:.2f}", _ratio(row), f"{row['rps']:,.0f}", _spans(row)]
             for name, row in rows.items()]
    title = "## Spans to a collector beside the backend, reference request, one core"
    return f"{title}\n\n" + _table(head, lines) + _failures(rows)


def _spans(row):
    counts = {fate: count for fate, count in (row["spans"] or {}).items() if count}
    return ", ".join(f"{fate} {count / max(row['requests'], 1):.1%} a request"
                     for fate, count in counts.items()) or "none"


def _alerts(rows):
    head = ["peer", "CPU us/request", "ratio to no rules (range over rounds)", "requests/s"]
    lines = [[TITLES[name], f"{row['cpu_us']:.2f}", _ratio(row), f"{row['rps']:,.0f}"]
             for name, row in rows.items()]
    title = "## Rules and objectives, evaluated every 15 s, reference request, one core"
    return f"{title}\n\n" + _table(head, lines) + _failures(rows)


def _tail(tail):
    title = f"## Latency at {tail['rate']:,.0f} requests/s, median of {tail['runs']} interleaved runs"
    rows = [[TITLES[name], f"{row['p50_us']:.0f}", f"{row['p99_us']:.0f}"]
            for name, row in tail["peers"].items()]
    text = f"{title}\n\n" + _table(["peer", "p50 us", "p99 us"], rows) + _failures(tail["peers"])
    found = [[TITLES[each["on"]], TITLES[each["off"]], f"{each['difference_us']:+.0f}",
              f"{each['low_us']:+.0f} to {each['high_us']:+.0f}",
              "yes" if each["low_us"] <= 0 <= each["high_us"] else "no"] for each in tail["differences"]]
    head = ["on", "off", "p99 difference us", "95 % interval", "contains 0"]
    return text + ("\n\n" + _table(head, found) if found else "")


def _memory(memory):
    head = ["peer", "idle MB", f"at {memory['connections']:,} connections MB"]
    rows = [[TITLES[name], f"{row['idle'] / 1e6:.1f}", f"{row['loaded'] / 1e6:.1f}"]
            for name, row in memory["peers"].items()]
    return "## Memory (proportional set size)\n\n" + _table(head, rows) + _failures(memory["peers"])


def _inference(model, rows):
    head = ["server", "requests/s", "times FastAPI", "CPU us/request"]
    base = rows.get("fastapi", {}).get("rps")
    lines = [[TITLES[name], f"{row['rps']:,.0f}", f"{row['rps'] / base:.1f}" if base else "-",
              f"{row['cpu_us']:.1f}"] for name, row in rows.items()]
    missing = "".join(f"**Missing: {TITLES[name]}**\n\n" for name in ("fastapi", "weir") if name not in rows)
    title = f"## Local inference, {model}, 2 rows a request, one core\n\n{missing}"
    return title + _table(head, lines) + _failures(rows)


def _plugins(costs):
    rows = [[name, f"{cost:.0f}"] for name, cost in costs.items()]
    table = _table(["plugin", "ns/exchange"], rows) if rows else "**Missing**"
    return f"## Plugins (`weir plugin bench`)\n\n{table}"


def _ratio(row):
    if row["ratio"] is None:
        return "-"
    low, high = row["ratio_range"]
    return f"{row['ratio']:.2f} ({low:.2f}-{high:.2f})"


def _fates(row):
    """What became of the exchanges in the telemetry, as shares of the requests answered in the rounds."""
    if not row["telemetry"]:
        return "none"
    shares = {fate: count / max(row["requests"], 1) for fate, count in row["telemetry"].items() if count}
    return ", ".join(f"{fate} {share:.1%}" for fate, share in shares.items()) or "**nothing observed**"


def _failures(rows):
    bad = [f"{TITLES[name]}: {row['failed']}" for name, row in rows.items() if row["failed"]]
    return f"\n\n**Failed requests** - {'; '.join(bad)}" if bad else ""


def _table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
