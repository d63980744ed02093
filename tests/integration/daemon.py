"""A stressd daemon under test: a real process, its files, its HTTP side. Every wait has a deadline."""

import contextlib
import copy
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 40.0  # for anything that takes a second or two on an idle machine

# Small and quick: one process, two threads, frames of a few rows, no probes, little to judge.
SMALL = {
    "name": "small",
    "duration_s": 2,
    "warmup_s": 0,
    "generated_movies": 100,
    "generate_batch": 10,
    "content": {"kind": "movies", "rows": [5, 15]},
    "keys_per_lane": 2,
    "pools": [
        {
            "name": "main",
            "processes": 1,
            "threads": 2,
            "rate": 60,
            "mix": {"generate": 2, "save": 15, "read": 60, "read_store": 20, "scrub": 3},
        }
    ],
    "verification": {"cache_every": 1, "scribble_every": 4},
    # So little load decides none of these; what is left passes.
    "criteria": {
        "omit": ["memory_growth", "degradation", "cpu_at_rest", "error_rate", "cache_speedup", "cache_hit_rate"]
    },
}
SMALL["criteria"]["omit"] += ["save_throughput", "read_throughput"]


def merge(base, changes):
    """Return a copy of `base` with `changes` laid over it, mapping by mapping; `pool` changes the first pool."""
    result = copy.deepcopy(base)
    for name, value in changes.items():
        if name == "pool":
            result["pools"] = [merge(result["pools"][0], value)]
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merge(result[name], value)
        else:
            result[name] = copy.deepcopy(value)
    return result


def write_scenario(folder, name="scenario.yaml", **changes):
    """Write SMALL with changes into a file; return its path. `duration_s=None` makes it endless."""
    path = Path(folder) / name
    path.write_text(yaml.safe_dump(merge(SMALL, changes)), encoding="utf-8")
    return path


def write_target(folder, *lines, base="memory:MemoryTarget"):
    """Write `own.py` with a target `Own`, a built-in one changed by these lines; return the options that name it."""
    module, _, name = base.partition(":")
    text = f"import os, sys, time\nfrom stressd.targets.{module} import {name}\n\nclass Own({name}):\n"
    (Path(folder) / "own.py").write_text(text + "".join(f"    {line}\n" for line in lines), encoding="utf-8")
    return ("--target", "own:Own")


def command(*arguments):
    return [sys.executable, "-m", "stressd", *map(str, arguments)]


def environment(**more):
    """Return this process's environment without settings of stressd, with the project to be found from any folder."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("STRESSD_")}
    path = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
    return env | {"PYTHONPATH": path} | {name: str(value) for name, value in more.items()}


def stressd(*arguments, cwd, timeout_s=PATIENCE_S, **env):
    """Run one command to its end; return the CompletedProcess with text in stdout and stderr."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def until(condition, what, timeout_s=PATIENCE_S, every_s=0.02):
    """Return what `condition()` returns as soon as it is true; AssertionError after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        now_s = time.monotonic()
        assert now_s < deadline_s, f"not within {timeout_s:g} s: {what() if callable(what) else what}"
        time.sleep(every_s)
    return value


def is_alive(pid):
    """Say whether the process is there; a zombie is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def children_of(pid):
    """Return the pids of a process's direct children, ended ones left out."""
    pids = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pids += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
    return sorted(pid for pid in pids if is_alive(pid))


class Daemon:
    """`stressd run SCENARIO ...` in a process of its own; as a context manager it is gone at the end, workers too.

    `folder` gets its output and is its current folder, in which a target's module is looked for; `state` is the state
    folder, `folder`/state if not given. More arguments go to the command line, more keywords into the environment.
    """

    def __init__(self, folder, scenario, *arguments, state=None, **env):
        self.folder = Path(folder)
        self.state = Path(state) if state is not None else self.folder / "state"
        self._number = len(list(self.folder.glob("stderr-*")))
        self._out_path = self.folder / f"stdout-{self._number}"
        self._err_path = self.folder / f"stderr-{self._number}"
        with open(self._out_path, "wb") as out, open(self._err_path, "wb") as err:
            self.process = subprocess.Popen(
                command("run", scenario, "--state", self.state, "--listen", "127.0.0.1:0", *arguments),
                cwd=self.folder,
                env=environment(**env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self.pid = self.process.pid
        self._address = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        workers = self.worker_pids()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)
        until(lambda: not any(map(is_alive, workers)), f"workers {workers} gone after their daemon was killed")

    # --- what it says

    @property
    def stdout(self):
        return self._out_path.read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self):
        return self._err_path.read_text(encoding="utf-8", errors="replace")

    def until(self, condition, what, timeout_s=PATIENCE_S, every_s=0.02):
        """Wait for a condition; once the daemon has ended it holds or never will. Its log is in the message."""

        def holds_or_never():
            ended = self.process.poll() is not None
            value = condition()
            assert value or not ended, f"the daemon ended before: {what}; {self._told()}"
            return value

        return until(holds_or_never, lambda: f"{what}; {self._told()}", timeout_s, every_s)

    def _told(self):
        return f"exit code {self.process.poll()}, it said:\n{self.stderr}"

    def until_says(self, pattern, timeout_s=PATIENCE_S):
        """Wait until stderr matches the pattern; return the match."""
        return self.until(lambda: re.search(pattern, self.stderr), f"stderr matches {pattern!r}", timeout_s)

    # --- its HTTP side

    @property
    def address(self):
        """Return http://HOST:PORT, as soon as it is printed."""
        if self._address is None:
            self._address = self.until_says(r"metrics at (http://\S+?)/metrics")[1]
        return self._address

    def get(self, path, timeout_s=10.0, **headers):
        """Return (status, body) of one request, error answers too. AssertionError if nobody answers."""
        request = urllib.request.Request(self.address + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            raise AssertionError(f"no answer to {path}: {error}; {self._told()}") from error

    def metrics(self):
        """Scrape; return {(sample name, ((label, value), ...)): value}."""
        status, body = self.get("/metrics")
        assert status == 200, body
        return samples(body)

    def metric(self, name, **labels):
        """Scrape; return the sum of the samples of that name that have these labels."""
        return total(self.metrics(), name, **labels)

    def status(self):
        status, body = self.get("/api/status")
        assert status == 200, body
        return json.loads(body)

    def until_state(self, *states, timeout_s=PATIENCE_S):
        """Wait until /api/status shows one of these states (starting, warmup, running, draining, stopped)."""
        return self.until(lambda: self.status()["facts"]["state"] in states, f"state {' or '.join(states)}", timeout_s)

    def until_at_work(self, operations=20, timeout_s=PATIENCE_S):
        """Wait until the workers have done some operations."""
        self.until(
            lambda: self.metric("stressd_operations_total", outcome="ok") >= operations, "work done", timeout_s, 0.1
        )

    # --- its processes, its end

    def worker_pids(self):
        return children_of(self.pid)

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, timeout_s=PATIENCE_S):
        """Send a signal and wait for the end; return the exit code."""
        self.send(number)
        return self.wait(timeout_s)

    def wait(self, timeout_s=PATIENCE_S):
        """Wait for the end; return the exit code."""
        self.until(lambda: self.process.poll() is not None, "the daemon has ended", timeout_s)
        return self.process.returncode

    def record(self):
        """Return run.json."""
        return json.loads((self.state / "run.json").read_text(encoding="utf-8"))

    def report(self):
        """Return the last run's report from the state folder."""
        return json.loads((self.state / "reports" / f"{self.record()['run_id']}.json").read_text(encoding="utf-8"))


def samples(body):
    """Return {(sample name, ((label, value), ...)): value} of an answer of /metrics."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


def total(scrape, name, **labels):
    """Return the sum of the samples of that name that have these labels; AssertionError if there is none."""
    found = [
        value for (named, pairs), value in scrape.items() if named == name and labels.items() <= dict(pairs).items()
    ]
    assert found, f"no sample {name} {labels}"
    return sum(found)


def criterion(report, name):
    """Return one criterion of a report."""
    return next(entry for entry in report["criteria"] if entry["name"] == name)


def groups_in(state):
    """Return the beginnings of the names of the groups of which the embedded store holds data: `s1234abcd-`."""
    return {path.relative_to(state / "store").parts[0].partition("-")[0] + "-" for path in state.rglob("*.parquet")}
