"""Local inference against a FastAPI + scikit-learn server, and the plugins' own benchmark."""

import csv
import json
import os
import subprocess

import peers
import templates
from measure import full_run, summary, turned
from process import Failed, Process, free_ports, shout

# What examples/fastapi/app.py uses; Weir is trained on the same four columns.
COLUMNS = ["tenure", "monthly_charges", "total_charges", "senior_citizen"]
ROWS = [[12, 70.35, 845.5, 0], [60, 99.5, 5970.0, 1]]
ALGORITHMS = {"logistic": "logistic-regression", "forest": "random-forest"}
LOCAL_PATH = "/v1/models/churn:predict"


def inference(bench, cores, table):
    """Requests per second of 2 rows each, one worker each on the same core, for two kinds of model."""
    rows = {}
    for model, algorithm in ALGORITHMS.items():
        started = []
        try:
            for start in (_start_fastapi, _start_weir):
                try:
                    started.append(start(bench, cores, table, model, algorithm))
                except Failed as error:
                    shout(f"inference, {model}: {error}")
            rows[model] = _measure(bench, started)
        finally:
            for peer, _ in started:
                peer.process.stop()
    return rows


def plugin_costs(place):
    """ns per exchange of every shipped plugin, as `weir plugin bench` measures it."""
    costs = {}
    for name in peers.PLUGINS:
        command = [place.weir, "plugin", "bench", place.plugin(name) or f"{name}.wasm", "--json"]
        try:
            done = ran(command, 120)
            costs[name] = float(json.loads(done.stdout)["ns_per_exchange"])
        except (OSError, ValueError, KeyError, TypeError, subprocess.TimeoutExpired) as error:
            shout(f"the cost of plugin {name} is missing: {error!r}")
    return costs


def ran(command, seconds):
    """The command once it has ended, with what it printed."""
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds)


def _measure(bench, started):
    runs = {peer.name: [] for peer, _ in started}
    for number in range(3):
        for peer, (path, body) in turned(started, number):
            load = bench.load(path).prepare(body)
            runs[peer.name].append(full_run(bench, load, peer, 1))
    return {name: summary(results, None) for name, results in runs.items()}


def _start_fastapi(bench, cores, table, model, _algorithm):
    place = bench.place
    if not place.python.is_file():
        raise Failed("no FastAPI under .peers (run tests/bench/setup.sh)")
    [port] = free_ports(1)
    command = [place.python, "-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", port,
               "--app-dir", place.root / "examples/fastapi", "--log-level", "warning", "--no-access-log"]
    env = {"CHURN_CSV": str(table), "MODEL": model, "OMP_NUM_THREADS": "1"}
    process = Process("fastapi", command, cores, place.folder("fastapi") / "log", env)
    return _proved(peers.Peer("fastapi", process, port), "/predict", {"features": ROWS}, "probabilities")


def _start_weir(bench, cores, table, model, algorithm):
    place = bench.place
    if not os.access(place.weir, os.X_OK):
        raise Failed(f"no `{place.weir}` (run make build, or give --weir)")
    folder, (port, admin) = place.folder("weir-local"), free_ports(2)
    data, file = folder / "churn.csv", folder / "churn.model"
    _four_columns(table, data)
    train = [place.weir, "model", "train", "--data", data, "--target", "churn",
             "--algorithm", algorithm, "-o", file]
    done = ran(train, 300)
    if done.returncode:
        raise Failed(f"weir model train failed: {(done.stderr or done.stdout).strip()[-300:]}")
    text = templates.WEIR_LOCAL.format(port=port, admin=admin, workers=1, path=LOCAL_PATH, model=file)
    for name in peers.PLUGINS:
        if path := place.plugin(name):
            text += templates.WEIR_PLUGIN.format(name=name, path=path)
        else:
            shout(f"weir answers without the plugin {name}, which is not built")
    config = folder / "weir.toml"
    config.write_text(text)
    process = Process("weir", [place.weir, "run", "--config", config], cores, folder / "log")
    return _proved(peers.Peer("weir", process, port), LOCAL_PATH, {"instances": ROWS}, "predictions")


def _proved(peer, path, request, key):
    """The peer with its path and body, once it has answered a prediction."""
    body = json.dumps(request).encode()
    try:
        answer = peer.process.await_answer(lambda: peers.post(peer.port, path, body))
        if len(json.loads(answer).get(key, [])) != len(ROWS):
            raise Failed(f"{peer.name} answered {answer[:200]!r}")
    except (Failed, ValueError) as error:
        peer.process.stop()
        raise Failed(str(error)) from error
    return peer, (path, body)


def _four_columns(source, target):
    """The columns that the FastAPI example uses, and the target; a blank is 0 there and so it is here."""
    with open(source, newline="") as text, open(target, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([*COLUMNS, "churn"])
        for row in csv.DictReader(text):
            cells = ["0" if row[name] in ("", "NA") else row[name] for name in COLUMNS]
            writer.writerow([*cells, row["churn"]])
