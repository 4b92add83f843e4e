"""Load: wrk as fast as it goes, and bench-load at a constant rate."""

import json
import subprocess
from dataclasses import dataclass

from process import Failed

# The request is built once by wrk itself; only the summary runs Lua.
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = io.open("{body}", "rb"):read("*a")
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nJSON {{"requests":%d,"seconds":%f,"failed":%d}}\\n', summary.requests,
    summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """One fixed request, and the core the load generators run on."""

    folder: object
    path: str
    core: int
    program: object

    def prepare(self, body):
        """Writes the request body and wrk's script."""
        (self.folder / "request.json").write_bytes(body)
        (self.folder / "wrk.lua").write_text(SCRIPT.format(body=self.folder / "request.json"))
        return self

    def full(self, port, connections, seconds):
        """As many requests as `connections` keep-alive connections bring through; wrk's summary."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
                   "-s", self.folder / "wrk.lua", f"http://127.0.0.1:{port}{self.path}"]
        found = [line for line in self._run(command, seconds).splitlines() if line.startswith("JSON ")]
        if not found:
            raise Failed("wrk printed no summary")
        return json.loads(found[-1][5:])

    def steady(self, port, connections, rate, seconds):
        """`rate` requests a second, latency from the intended time; bench-load's summary."""
        command = [self.program, "--address", f"127.0.0.1:{port}", "--path", self.path,
                   "--body-file", self.folder / "request.json", "--rate", rate,
                   "--connections", connections, "--seconds", seconds, "--warmup", 0.5]
        return json.loads(self._run(command, seconds))

    def _run(self, command, seconds):
        pinned = [str(part) for part in ["taskset", "-c", self.core, *command]]
        done = subprocess.run(pinned, capture_output=True, text=True, timeout=seconds + 60)
        if done.returncode == 127:
            raise Failed(f"no `{command[0]}` (run tests/bench/setup.sh)")
        if done.returncode:
            raise Failed(f"{command[0]} failed: {done.stderr.strip()[-300:]}")
        return done.stdout
