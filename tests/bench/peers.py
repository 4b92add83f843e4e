"""The proxies that are compared, and the backend behind them."""

import http.client
import os
import re
import shutil
import time
import urllib.request
from pathlib import Path

import templates
from bodies import PATH
from process import Failed, Process, free_ports, shout

# The filter hands its counters to Envoy once a second.
FILTER_EXPORT_SECONDS = 1.2
PLUGINS = ["confidence", "feature-stats", "sampler"]
# Peers that export spans: the share of traces the head samples. The sampler keeps 1 % by the same draw.
TRACED = {"weir-traced": "1%", "weir-traced-all": "100%"}
# A peer that evaluates rules and objectives: how many of each.
ALERTING = {"weir-alerting": (1000, 100)}
# Peers with the three plugins.
JUDGED = ("weir-plugins", *TRACED, *ALERTING)


class Place:
    """Where programs and built files are, and where a run may write."""

    def __init__(self, root, scratch, weir, plugins):
        self.root, self.scratch = Path(root), Path(scratch)
        self.weir, self.plugins = Path(weir).absolute(), Path(plugins).absolute()
        self.wasm = self.root / "tests/bench/envoy-filter/dist/envoy_filter.wasm"
        self.load = self.root / "tests/bench/load/target/release/bench-load"
        self.python = self.root / ".peers/fastapi/bin/python"

    def folder(self, name):
        """A fresh folder of this name."""
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def envoy(self):
        """Envoy's binary, without the Python script that wraps it."""
        return next(self.root.glob(".peers/envoy/lib/python3*/site-packages/envoy/_bin/envoy"), None)

    def plugin(self, name):
        """The built component of a plugin, or `None`."""
        files = [self.plugins / f"{name}.wasm", self.plugins / f"{name.replace('-', '_')}.wasm"]
        return next((file for file in files if file.is_file()), None)


class Peer:
    """A running proxy."""

    def __init__(self, name, process, port, admin=None):
        self.name, self.process, self.port, self.admin = name, process, port, admin

    def get(self, path):
        """The body of a GET on the peer's admin port."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=10) as answer:
            return answer.read().decode()

    def observed(self):
        """The exchanges its telemetry has seen so far, by what became of them; `None` without telemetry."""
        try:
            return self._fates()
        except OSError as error:
            shout(f"what {self.name} observed is unknown: {error}")
            return None

    def _fates(self):
        if self.name == "envoy-wasm":
            time.sleep(FILTER_EXPORT_SECONDS)
            stats = dict(re.findall(r"bench\.(\w+): (\d+)", self.get("/stats?filter=bench")))
            seen, undecodable = int(stats.get("exchanges", 0)), int(stats.get("undecodable", 0))
            return {"observed": seen - undecodable, "undecodable": undecodable}
        if self.name.startswith("weir") and self.name != "weir-bare":
            self.get("/api/settle")
            pattern = r'^weir_exchanges_total\{[^}]*fate="(\w+)"[^}]*\} (\S+)$'
            return _summed(re.findall(pattern, self.get("/metrics"), re.MULTILINE))
        return None

    def exported(self):
        """Spans offered to the collector so far, by what became of them."""
        pattern = r'^weir_export_items_total\{[^}]*outcome="(\w+)"[^}]*\} (\S+)$'
        return _summed(re.findall(pattern, self.get("/metrics"), re.MULTILINE))


def missing(place):
    """Peers that cannot run here, each with what is to be done about it."""
    lacks = {}
    for name, program in {"nginx": "nginx", "haproxy": "haproxy"}.items():
        if not shutil.which(program):
            lacks[name] = f"no `{program}` (run tests/bench/setup.sh)"
    if not place.envoy():
        lacks["envoy"] = lacks["envoy-wasm"] = "no envoy under .peers (run tests/bench/setup.sh)"
    elif not place.wasm.is_file():
        lacks["envoy-wasm"] = f"no `{place.wasm.name}` (run tests/bench/setup.sh)"
    for name in ("weir-bare", "weir-observed", *JUDGED):
        if not os.access(place.weir, os.X_OK):
            lacks[name] = f"no `{place.weir}` (run make build, or give --weir)"
    unbuilt = [name for name in PLUGINS if not place.plugin(name)]
    if unbuilt and "weir-plugins" not in lacks:
        why = f"{', '.join(unbuilt)} not in `{place.plugins}`"
        for name in JUDGED:
            lacks[name] = f"{why} (run make build, or give --plugins)"
    return lacks


def backend(place, bodies, cores):
    """An nginx that answers every POST with the response body; returns the process and its port."""
    folder, [port] = place.folder(f"backend-{bodies.name}"), free_ports(1)
    (folder / "response.json").write_bytes(bodies.response)
    config = folder / "nginx.conf"
    small = len(bodies.response) < 4000
    answer = (templates.ANSWER_STRING.format(text=bodies.response.decode()) if small
              else templates.ANSWER_FILE.format(dir=folder))
    config.write_text(templates.NGINX_BACKEND.format(
        dir=folder, port=port, workers=1, user=_nginx_user(), answer=answer))
    process = Process("backend", ["nginx", "-p", folder, "-c", config], cores, folder / "log")
    _await_reply(process, port, bodies)
    return process, port


def start(name, place, target, bodies, cores):
    """Starts a peer in front of the port `target` with a worker per core and proves that it forwards."""
    folder, (port, admin) = place.folder(name), free_ports(2)
    command = _command(name, place, folder, port=port, admin=admin, backend=target, workers=len(cores))
    peer = Peer(name, Process(name, command, cores, folder / "log"), port, admin)
    try:
        _await_reply(peer.process, port, bodies)
    except Failed:
        peer.process.stop()
        raise
    return peer


def _command(name, place, folder, port, admin, backend, workers):
    if name == "nginx":
        config = folder / "nginx.conf"
        config.write_text(templates.NGINX_PROXY.format(
            dir=folder, port=port, backend=backend, workers=workers, user=_nginx_user(),
            reuseport=" reuseport" if workers > 1 else ""))
        return ["nginx", "-p", folder, "-c", config]
    if name == "haproxy":
        config = folder / "haproxy.cfg"
        config.write_text(templates.HAPROXY.format(port=port, backend=backend, workers=workers))
        return ["haproxy", "-db", "-f", config]
    if name in ("envoy", "envoy-wasm"):
        config = folder / "envoy.json"
        config.write_text(templates.envoy(port, admin, backend, place.wasm if name == "envoy-wasm" else None))
        return [place.envoy(), "-c", config, "--concurrency", workers, "--disable-hot-restart", "-l", "error"]
    config = folder / "weir.toml"
    plugins = {plugin: place.plugin(plugin) for plugin in PLUGINS} if name in JUDGED else {}
    text = templates.weir(port, admin, workers, backend, name != "weir-bare", plugins, TRACED.get(name))
    config.write_text(text + templates.alerting(*ALERTING.get(name, (0, 0))))
    return [place.weir, "run", "--config", config]


def _await_reply(process, port, bodies):
    answer = process.await_answer(lambda: post(port, PATH, bodies.request))
    if answer != bodies.response:
        raise Failed(f"{process.name} answered {answer[:200]!r} instead of the backend's response")


def post(port, path, body):
    """The body of the answer to a POST, whatever its status; `None` while the server says 502, 503 or 504."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return None if answer.status in (502, 503, 504) else answer.read()
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def _nginx_user():
    return "user root;" if os.geteuid() == 0 else ""


def _summed(pairs):
    total = {}
    for key, value in pairs:
        total[key] = total.get(key, 0) + int(float(value))
    return total
