"""Child processes: started on given cores, measured through /proc, ended by their id."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """Something could not be started or measured; the message says what and why."""


def shout(message):
    """Says something that must not be overlooked."""
    print(f"!!! {message}", file=sys.stderr, flush=True)


class Process:
    """A program pinned to cores, with its output in a log file. It does not outlive the runner."""

    def __init__(self, name, command, cores, log, env=None):
        self.name, self.log = name, Path(log)

        def pin():
            os.sched_setaffinity(0, cores)
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

        command = [str(part) for part in command]
        with open(self.log, "ab") as out:
            try:
                self.child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                    env={**os.environ, **(env or {})}, preexec_fn=pin, start_new_session=True)
            except OSError as error:
                raise Failed(f"{name} does not start: {error} (run tests/bench/setup.sh)") from error

    def tree(self):
        """The process and all its descendants."""
        found, todo = [], [self.child.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for task in _read_dir(f"/proc/{pid}/task"):
                todo += [int(child) for child in _read(f"/proc/{pid}/task/{task}/children").split()]
        return found

    def cpu_seconds(self):
        """User and system time of every thread of the tree since its start."""
        total = 0
        for pid in self.tree():
            fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12]) if fields else 0
        return total / TICKS

    def memory(self):
        """Resident bytes of the tree, pages shared within it counted once (proportional set size)."""
        total = 0
        for pid in self.tree():
            for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total

    def await_answer(self, ask, seconds=60):
        """Calls `ask` until it returns something true; fails if the process ends first or the time is up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise Failed(f"{self.name} ended with {self.child.returncode}: {self.tail()}")
            try:
                if answer := ask():
                    return answer
            except OSError:
                pass
            time.sleep(0.05)
        raise Failed(f"{self.name} was not ready after {seconds} s: {self.tail()}")

    def tail(self):
        """The end of what the process wrote."""
        return self.log.read_text(errors="replace")[-600:].strip() or "(no output)"

    def stop(self):
        """Ends the process: asked first, then forced."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


def free_ports(count):
    """Ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _read(path):
    try:
        return Path(path).read_text()
    except OSError:  # it ended between the listing and the reading
        return ""


def _read_dir(path):
    try:
        return os.listdir(path)
    except OSError:
        return []
