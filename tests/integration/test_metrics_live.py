"""What /metrics serves during a run: all series from the first scrape, counters that never go back, valid text.

`make soak-metrics KILLS=200` is the long form: the default soak as a daemon, its workers killed all the time.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import pytest
from daemon import Daemon, samples, until, write_scenario
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from stressd import criteria
from stressd.metrics import METRICS, PREFIX, RESTART_REASONS, WORKER_STATES
from stressd.stats.histogram import LADDER_S

KILLS = int(os.environ.get("STRESSD_METRICS_KILLS") or 3)
LONG_S = float(os.environ.get("STRESSD_METRICS_SECONDS") or 0)  # 0: the short form, as fast as workers come back
POOLS = {"main": 2, "other": 1}  # pool: processes
OMITTED = ("memory_growth", "degradation", "cpu_at_rest")
INFO = ("version", "python", "commit", "run_id", "scenario", "target", "hash")


def two_pools(folder):
    pool = {"threads": 1, "rate": 20, "mix": {"generate": 1, "save": 10, "read": 50, "read_store": 20}}
    pools = [{"name": name, "processes": processes, **pool} for name, processes in POOLS.items()]
    return write_scenario(folder, duration_s=None, pools=pools, criteria={"omit": [*OMITTED]})


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    with Daemon(folder, two_pools(folder), "--set", "supervision.backoff_most_s=0.1") as running:
        yield running


@pytest.fixture(scope="module")
def first_scrape(daemon):
    """The answer to a scrape as soon as the address was printed; asked for by the first test."""
    return daemon.get("/metrics")[1]


def expected_series():
    """Return every series that must be there, made from the metrics' table alone; labels of INFO left out."""
    values = {"state": WORKER_STATES, "reason": RESTART_REASONS, "worker": "01"}
    values["criterion"] = [name for name in criteria.BY_NAME if name not in OMITTED]
    found = set()
    for metric in METRICS:
        if not metric.exported:
            continue
        own = len(metric.series[0])
        values["pool"] = (*POOLS, "probe") if metric.home == "lane" else tuple(POOLS)
        names = [label for label in metric.labels[own:] if label not in INFO]
        for mine, *rest in product(metric.series, *(values[name] for name in names)):
            labels = dict(zip((*metric.labels[:own], *names), (*mine, *rest), strict=True))
            if "worker" in labels and int(labels["worker"]) >= POOLS[labels["pool"]]:
                continue
            found |= {(PREFIX + name, frozenset(pairs)) for name, pairs in _samples_of(metric, labels)}
    return found


def _samples_of(metric, labels):
    if metric.kind != "histogram":
        return [(metric.name, labels.items())]
    edges = [str(le) for le in LADDER_S] + ["+Inf"]
    parts = [(f"{metric.name}_{part}", labels.items()) for part in ("count", "sum")]
    return parts + [(f"{metric.name}_bucket", (labels | {"le": le}).items()) for le in edges]


def series_of(scrape):
    """Return the series of ours in a scrape, as `expected_series` writes them."""
    return {
        (name, frozenset(pair for pair in pairs if pair[0] not in INFO))
        for name, pairs in scrape
        if name.startswith(PREFIX)
    }


def counters(body):
    """Return the samples of a scrape that may only grow: counters, and counts and sums of histograms."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if family.type in ("counter", "histogram")
    }


def test_every_series_is_there_from_the_first_scrape_and_no_other(first_scrape):
    assert series_of(samples(first_scrape)) == expected_series()


@pytest.fixture
def mortal(daemon, tmp_path):
    """The daemon whose workers are killed."""
    if not LONG_S:
        yield daemon
        return
    with Daemon(tmp_path, "soak") as running:
        yield running


@pytest.mark.timeout(120 + 2 * LONG_S)
def test_counters_never_go_back_and_series_stay_while_workers_are_killed(mortal):
    mortal.until_state("warmup", "running", timeout_s=120)  # the probes are over
    looks = Looks(mortal)
    began_s, killed = time.monotonic(), set()
    for deaths in range(1, KILLS + 1):
        victim = until(lambda: sorted(set(mortal.worker_pids()) - killed), "a worker to kill")[0]
        os.kill(victim, signal.SIGKILL)
        killed.add(victim)
        until(lambda deaths=deaths: looks.take() >= deaths, f"{deaths} restarts counted", every_s=0.2)
        while time.monotonic() < began_s + deaths * LONG_S / KILLS:
            looks.take()
            time.sleep(1)
    done = looks.before["stressd_operations_total", OK]
    until(lambda: looks.take() and looks.before["stressd_operations_total", OK] > done, "the load goes on", every_s=0.2)
    looks.print()
    assert mortal.metric("stressd_violations_total") == 0


OK = (("op", "read"), ("outcome", "ok"), ("pool", "mixed" if LONG_S else "main"))


class Looks:
    """Scrapes, one after the other, of which each has to follow from the one before."""

    def __init__(self, daemon):
        self._daemon = daemon
        body = daemon.get("/metrics")[1]
        self.before, self._series = counters(body), set(samples(body))
        self._gauges = [samples(body)]
        self._took_s = []

    def take(self):
        """Scrape; return how many workers were replaced so far."""
        began_s = time.monotonic()
        body = self._daemon.get("/metrics")[1]
        self._took_s.append(time.monotonic() - began_s)
        now = counters(body)
        backwards = {name: (self.before[name], now[name]) for name in now if now[name] < self.before[name]}
        assert not backwards
        assert set(samples(body)) == self._series
        self.before = now
        self._gauges[1:] = [samples(body)]
        return sum(value for (name, _), value in now.items() if name == "stressd_worker_restarts_total")

    def print(self):
        took_ms = sorted(1e3 * seconds for seconds in self._took_s)
        memory = [scrape["process_resident_memory_bytes", ()] / 1e6 for scrape in self._gauges]
        fds = [scrape["process_open_fds", ()] for scrape in self._gauges]
        print(f"{KILLS} kills, {len(took_ms):,} scrapes of {len(self._series):,} samples each: median "
              f"{took_ms[len(took_ms) // 2]:.1f} ms, 99 % {took_ms[len(took_ms) * 99 // 100]:.1f} ms; daemon "
              f"{memory[0]:.1f} -> {memory[-1]:.1f} MB, {fds[0]:.0f} -> {fds[-1]:.0f} descriptors")  # fmt: skip


def test_promtool_finds_nothing_to_say(daemon, first_scrape):
    beside = Path(sys.executable).parent.parent / "tools" / "promtool"
    promtool = shutil.which("promtool") or (str(beside) if beside.is_file() else None)
    if promtool is None:
        pytest.skip("no promtool: neither on the PATH nor fetched by `make tools`")
    daemon.until_at_work()
    for body in (first_scrape, daemon.get("/metrics")[1]):
        check = [promtool, "check", "metrics"]
        checked = subprocess.run(check, input=body, capture_output=True, text=True, timeout=30, check=False)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_openmetrics_says_the_same_series(daemon, first_scrape):
    _, body = daemon.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    families = list(parse_openmetrics(body))
    scraped = {(sample.name, tuple(sample.labels.items())) for family in families for sample in family.samples}
    assert series_of(scraped) == series_of(samples(first_scrape))


def test_the_counters_agree_with_the_report(tmp_path):
    with Daemon(tmp_path, write_scenario(tmp_path), "--linger", "30") as daemon:
        daemon.until_state("stopped")
        daemon.until(lambda: daemon.stdout, "the verdict is printed")
        scrape, verification = daemon.metrics(), daemon.report()["verification"]
        assert scrape["stressd_reads_verified_total", ()] == verification["reads_checked"] > 0
        assert scrape["stressd_state", (("stressd_state", "stopped"),)] == 1
        assert scrape["stressd_criterion_status", (("criterion", "data_integrity"),)] == 0
        assert daemon.stop() == daemon.report()["exit_code"] == 0, daemon.stdout
